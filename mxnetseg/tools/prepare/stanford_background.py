"""Stanford Background's text masks to index PNG files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...errors import DataError
from .workspace import Workspace

__all__ = ["prepare"]

_UNKNOWN = 255
_ENDING = ".regions.txt"


def prepare(work: Workspace) -> None:
    """Write ``labels/<name>.png`` from ``labels/<name>.regions.txt``, negative (unknown) ids as 255.

    The publication has no lists. Without ``trainList.txt`` and ``evalList.txt`` every fifth image in the
    order of names goes to the evaluation (143 of 715, the usual share).
    """
    base = work.find(f"labels/*{_ENDING}", "Stanford Background's masks").parent.parent
    masks = {p.name.removesuffix(_ENDING): p for p in sorted((base / "labels").glob(f"*{_ENDING}"))}
    work.convert("masks", ((f"labels/{name}.png", partial(_ids, path)) for name, path in masks.items()))
    work.place_folder(base / "images", "images")
    work.place_or_split("trainList.txt", "evalList.txt", list(masks))


def _ids(path: Path) -> np.ndarray:
    try:
        ids = np.loadtxt(path, dtype=int, ndmin=2)
    except ValueError as error:
        raise DataError(f"{path}: {error}", "rows of class ids", "download it again") from error
    return np.where(ids < 0, _UNKNOWN, ids).astype(np.uint8)
