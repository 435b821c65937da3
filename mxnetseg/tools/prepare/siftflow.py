"""SIFT Flow's MATLAB masks to index PNG files."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from ...data.files import list_entries
from . import unpack
from .matlab import read_mat
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Write ``labels/<name>.png`` from ``SemanticLabels/<set>/<name>.mat`` and the lists; place the images.

    ``TestSet1.txt`` names the images of ``val``, the others are ``train``. Data that are in the form of PNG and
    lists already are only unpacked.
    """
    masks = {p.stem: p for p in work.look_for("SemanticLabels/*/*.mat")}
    if not masks:
        unpack.prepare(work)
        return
    photos = work.find("Images/*/*.jpg", "SIFT Flow's images").parent
    listed = list_entries(work.find("TestSet1.txt", "SIFT Flow's list of test images"), work.remedy)
    test = {PureWindowsPath(line).stem for line in listed}
    work.convert("masks", ((f"labels/{name}.png", partial(_ids, path)) for name, path in sorted(masks.items())))
    work.place("images", ((photos / f"{name}.jpg", f"images/{name}.jpg") for name in sorted(masks)))
    work.write_list("train.txt", sorted(masks.keys() - test))
    work.write_list("val.txt", sorted(masks.keys() & test))


def _ids(path: Path) -> np.ndarray:
    return read_mat(path, "S").astype(np.uint8)
