"""CamVid's colours of 32 classes to masks of the 11 classes of SegNet."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...data.files import list_entries
from ...data.images import read_rgb
from ...data.palettes import ids_of_colors
from . import unpack
from .workspace import Workspace

__all__ = ["prepare"]

_VOID = 11
# The colours of the original classes that make up each of the eleven.
_COLORS = (
    ((128, 128, 128),),
    ((0, 128, 64), (128, 0, 0), (64, 192, 0), (64, 0, 64), (192, 0, 128)),
    ((192, 192, 128), (0, 0, 64)),
    ((128, 64, 128), (128, 0, 192), (192, 0, 64)),
    ((0, 0, 192), (64, 192, 128), (128, 128, 192)),
    ((128, 128, 0), (192, 192, 0)),
    ((192, 128, 128), (128, 128, 64), (0, 64, 64)),
    ((64, 64, 128),),
    ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),
    ((0, 128, 192), (192, 0, 192)),
)
_ALL = np.array([c for colors in _COLORS for c in colors], np.uint8)
_CLASS = np.full(256, _VOID, np.uint8)
_CLASS[: len(_ALL)] = [label for label, colors in enumerate(_COLORS) for _ in colors]


def prepare(work: Workspace) -> None:
    """Write ``labels/<name>_L.png`` from the colours, the lists; place the images.

    Colours are those of ``LabeledApproved_full``; the lists ``train.txt``, ``val.txt`` and ``test.txt`` name the
    images (as SegNet's do). Data that are in the 11-class form already are only unpacked.
    """
    colored = next(iter(work.look_for("LabeledApproved_full")), None)
    if colored is None:
        unpack.prepare(work)
        return
    photos = work.find("701_StillsRaw_full", "CamVid's images")
    for split in ("train", "val", "test"):
        path = work.find(f"{split}.txt", "list of the split, e.g. SegNet's")
        stems = [Path(line.split()[0]).stem for line in list_entries(path, work.remedy)]
        masks = ((f"labels/{s}_L.png", partial(_ids, _mask_of(colored, s))) for s in stems)
        work.convert(f"masks of {split}", masks)
        work.place(f"images of {split}", ((photos / f"{s}.png", f"images/{s}.png") for s in stems))
        work.write_list(f"{split}.txt", (f"{s}.png {s}_L.png" for s in stems))


def _mask_of(folder: Path, stem: str) -> Path:
    """The publication has the mask of one image under a name of its own (``..._P.png``)."""
    usual = folder / f"{stem}_L.png"
    return usual if usual.is_file() or not (folder / f"{stem}_P.png").is_file() else folder / f"{stem}_P.png"


def _ids(path: Path) -> np.ndarray:
    return _CLASS[ids_of_colors(read_rgb(path), _ALL, 255)]
