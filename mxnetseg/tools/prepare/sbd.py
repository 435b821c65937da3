"""SBD's MATLAB masks to index PNG files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .matlab import read_mat
from .workspace import Workspace

__all__ = ["find_sbd", "prepare", "read_sbd_mask"]


def find_sbd(work: Workspace) -> Path:
    """Folder that holds SBD's ``img``, ``cls``, ``train.txt`` and ``val.txt``."""
    masks = [p for p in work.look_for("cls") if next(p.glob("*.mat"), None)]
    return masks[0].parent if masks else work.find("cls/*.mat", "SBD's folder of masks").parent.parent


def read_sbd_mask(path: Path) -> object:
    """uint8 class ids (H, W) of an SBD file."""
    return read_mat(path, "GTcls", "Segmentation").astype("uint8")


def prepare(work: Workspace) -> None:
    """Write ``cls_png/<id>.png`` from ``cls/<id>.mat``; place the images and lists."""
    base = find_sbd(work)
    masks = sorted((base / "cls").glob("*.mat"))
    work.convert("masks", ((f"cls_png/{p.stem}.png", partial(read_sbd_mask, p)) for p in masks))
    work.place_folder(base / "img", "img")
    work.place("lists", ((p, p.name) for p in sorted(base.glob("*.txt"))))
