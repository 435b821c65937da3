"""MHP v1's masks of single persons to one mask per image."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from ...data.images import read_mask
from ...errors import DataError
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Write ``labels/<id>.png`` from ``annotations/<id>_<n>_<m>.png``; place the images and lists.

    Where persons overlap, the one of the smaller number is kept.
    """
    base = work.find("train_list.txt", "MHP's list of training images").parent
    masks = sorted((base / "annotations").glob("*_*_*.png"), key=_person)
    persons = {image: list(files) for image, files in groupby(masks, key=lambda p: _person(p)[0])}
    work.convert("masks", ((f"labels/{image}.png", partial(_merged, files)) for image, files in persons.items()))
    work.place_folder(base / "images", "images")
    work.place("lists", ((p, p.name) for p in sorted(base.glob("*_list.txt"))))


def _person(path: Path) -> tuple[str, int]:
    """Image and number of a person's mask."""
    image, _, number = path.stem.rsplit("_", 2)
    try:
        return image, int(number)
    except ValueError:
        raise DataError(f"{path}: not the name of a person's mask", "<id>_<persons>_<number>.png") from None


def _merged(files: list[Path]) -> np.ndarray:
    merged = read_mask(files[0]).copy()
    for path in files[1:]:
        mask = read_mask(path)
        if mask.shape != merged.shape:
            raise DataError(f"{path}: {mask.shape[::-1]} pixels", f"{merged.shape[::-1]} as in {files[0].name}")
        merged = np.where(merged == 0, mask, merged)
    return merged.astype(np.uint8)
