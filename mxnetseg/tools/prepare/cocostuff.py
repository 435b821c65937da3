"""COCO-Stuff's MATLAB masks to index PNG files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .matlab import read_mat
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Write ``labels/<name>.png`` from ``annotations/<name>.mat``; place the images and lists."""
    base = work.find("imageLists", "COCO-Stuff's folder of lists").parent
    masks = sorted((base / "annotations").glob("*.mat"))
    work.convert("masks", ((f"labels/{p.stem}.png", partial(_ids, p)) for p in masks))
    work.place_folder(base / "images", "images")
    work.place_folder(base / "imageLists", "imageLists")


def _ids(path: Path) -> np.ndarray:
    return read_mat(path, "S").astype(np.uint8)
