"""Masks in the forms of COCO's annotation files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from ...errors import DataError

__all__ = ["draw", "read_annotations"]

_LEAST_POLYGON = 6  # coordinates; COCO holds a few shorter ones, which cover nothing


def read_annotations(path: Path, *keys: str) -> list[list[dict[str, Any]]]:
    """Tables of an annotation file.

    Raises
    ------
    DataError
        If the file is damaged or lacks a table.
    """
    try:
        content = json.loads(path.read_bytes())
        return [content[key] for key in keys]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: {error!r}", f"JSON with {', '.join(keys)}", "download it again") from error


def draw(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Pixels that a segmentation covers.

    Parameters
    ----------
    segmentation : list of polygons [x, y, x, y, ...], or dict
        A dict is a run-length code with ``counts`` as a list of lengths or as COCO's text.
    size : (int, int)
        Height and width.

    Returns
    -------
    bool array (H, W)
    """
    if isinstance(segmentation, list):
        polygons = [p for p in segmentation if len(p) >= _LEAST_POLYGON]
        if not polygons:
            return np.zeros(size, bool)
        code = rle.merge(rle.frPyObjects(polygons, *size))
    elif isinstance(segmentation["counts"], list):
        code = rle.frPyObjects(segmentation, *size)
    else:
        code = segmentation
    return rle.decode(code).astype(bool)
