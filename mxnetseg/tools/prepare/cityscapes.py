"""Cityscapes' polygons or label ids to masks of training ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...data.datasets.cityscapes import ID_MAP
from ...data.images import read_mask
from ...data.labels import LabelMap
from ...errors import DataError
from . import unpack
from .workspace import Workspace

__all__ = ["prepare"]

_VOID = 255
# In the order of their ids, from 0; the license plate has -1.
_NAMES = """
    unlabeled; ego vehicle; rectification border; out of roi; static; dynamic; ground; road; sidewalk;
    parking; rail track; building; wall; fence; guard rail; bridge; tunnel; pole; polegroup; traffic light;
    traffic sign; vegetation; terrain; sky; person; rider; car; truck; bus; caravan; trailer; train;
    motorcycle; bicycle
"""
_IDS = {name: number for number, name in enumerate(" ".join(_NAMES.split()).split("; "))}
_TRAIN_IDS = LabelMap(ID_MAP, 19)
_KINDS = {"Cityscapes": "gtFine", "CityCoarse": "gtCoarse"}


def prepare(work: Workspace) -> None:
    """Write ``*_labelTrainIds.png`` beside the label ids or, where these are missing, beside the polygons."""
    unpack.prepare(work)
    folders = [work.root / kind for kind in dict.fromkeys((_KINDS[work.name], "gtFine"))]
    work.convert("training ids", [job for folder in folders for job in _jobs(work.root, folder)])


def _jobs(root: Path, folder: Path) -> Iterator[tuple[str, partial]]:
    for polygons in sorted(folder.rglob(f"*_{folder.name}_polygons.json")):
        path = polygons.with_name(polygons.name.replace("_polygons.json", "_labelIds.png"))
        if not path.is_file():
            yield _target(path, root), partial(_drawn, polygons)
    for path in sorted(folder.rglob(f"*_{folder.name}_labelIds.png")):
        yield _target(path, root), partial(_mapped, path)


def _target(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix().replace("_labelIds.png", "_labelTrainIds.png")


def _mapped(path: Path) -> np.ndarray:
    return _as_bytes(_TRAIN_IDS.apply(read_mask(path), path))


def _as_bytes(labels: np.ndarray) -> np.ndarray:
    return np.where(labels < 0, _VOID, labels).astype(np.uint8)


def _drawn(path: Path) -> np.ndarray:
    """Polygons drawn over each other in their order, as cityscapesScripts does."""
    try:
        content = json.loads(path.read_bytes())
        canvas = Image.new("L", (content["imgWidth"], content["imgHeight"]), _IDS["unlabeled"])
        pen = ImageDraw.Draw(canvas)
        for thing in content["objects"]:
            number = _id_of(thing["label"], path)
            if number is not None and not thing.get("deleted"):
                pen.polygon([tuple(point) for point in thing["polygon"]], fill=number)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: {error!r}", "polygons of Cityscapes", "unpack it again") from error
    return _as_bytes(_TRAIN_IDS.apply(np.asarray(canvas), path))


def _id_of(label: str, path: Path) -> int | None:
    """Id of a label, groups (``cargroup``) being what they consist of; None: not drawn."""
    if label == "license plate":
        return None
    number = _IDS.get(label, _IDS.get(label.removesuffix("group")))
    if number is None:
        raise DataError(f"{path}: unknown label {label!r}", "the labels of Cityscapes")
    return number
