"""Weizmann Horses' grey masks to masks of 0 and 1."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...data.files import images_below
from ...data.images import read_rgb
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Write ``mask/<name>.png``, place the images as ``horse/<name>``.

    Sources are ``rgb`` and ``figure_ground`` (as published) or ``horse`` and ``mask``. Without ``train.txt`` and
    ``val.txt`` every fifth image in the order of names goes to the validation.
    """
    published = next(iter(work.look_for("figure_ground")), None)
    masks = published or work.find("mask", "folder of the horses' masks")
    images = masks.parent / ("rgb" if published else "horse")
    files = {p.stem: p for p in reversed(images_below(masks))}
    work.convert("masks", ((f"mask/{name}.png", partial(_ids, path)) for name, path in sorted(files.items())))
    work.place_folder(images, "horse")
    work.place_or_split("train.txt", "val.txt", sorted(files))


def _ids(path: Path) -> np.ndarray:
    """1 where the (possibly JPEG) mask is bright; masks of 0 and 1 stay what they are."""
    gray = read_rgb(path)[..., 0]
    return (gray >= (1 if gray.max() == 1 else 128)).astype(np.uint8)
