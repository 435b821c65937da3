"""PASCAL Context's 459 labels to masks of the 59 most frequent classes."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data.datasets.pascal_context import LABELS_459
from ...data.files import list_entries
from .coco_masks import draw, read_annotations
from .matlab import read_mat
from .workspace import Workspace

__all__ = ["prepare"]

_PLACE = np.zeros(65536, np.uint8)
_PLACE[list(LABELS_459)] = np.arange(1, len(LABELS_459) + 1)


def prepare(work: Workspace) -> None:
    """Write ``Labels_59/<id>.png`` and the lists; place the images of VOC 2010.

    The labels come from ``trainval_merged.json``, or from MATLAB files ``<id>.mat`` with ``LabelMap`` and
    the lists ``train.txt`` and ``val.txt`` in the same folder or above it.
    """
    merged = next(iter(work.look_for("trainval_merged.json")), None)
    lists = _from_json(work, merged) if merged else _from_matlab(work)
    photos = work.find("JPEGImages/*.jpg", "images of VOC 2010").parent
    stems = sorted(s for names in lists.values() for s in names)
    work.place("images", ((photos / f"{s}.jpg", f"JPEGImages/{s}.jpg") for s in stems))
    for split, names in lists.items():
        work.write_list(f"{split}.txt", names)


def _from_json(work: Workspace, path: Path) -> dict[str, list[str]]:
    images, annotations = read_annotations(path, "images", "annos_segmentation")
    of_image = defaultdict(list)
    for annotation in annotations:
        of_image[annotation["image_id"]].append(annotation)
    lists: dict[str, list[str]] = {"train": [], "val": []}
    jobs = []
    for image in images:
        stem = Path(image["file_name"]).stem
        if image["phase"] in lists:
            lists[image["phase"]].append(stem)
            jobs.append((f"Labels_59/{stem}.png", partial(_drawn, image, of_image[image["image_id"]])))
    work.convert("masks", jobs)
    return lists


def _drawn(image: dict[str, Any], annotations: list[dict[str, Any]]) -> np.ndarray:
    ids = np.zeros((image["height"], image["width"]), np.uint8)
    for annotation in annotations:
        place = _PLACE[annotation["category_id"]]
        if place:
            ids[draw(annotation["segmentation"], ids.shape)] = place
    return ids


def _from_matlab(work: Workspace) -> dict[str, list[str]]:
    folder = work.find("*.mat", "neither trainval_merged.json nor masks of 459 labels").parent
    lists = {}
    for split in ("train", "val"):
        beside = folder / f"{split}.txt"
        path = beside if beside.is_file() else folder.parent / f"{split}.txt"
        lists[split] = list_entries(path, work.remedy)
    stems = sorted({s for names in lists.values() for s in names})
    work.convert("masks", ((f"Labels_59/{s}.png", partial(_mapped, folder / f"{s}.mat")) for s in stems))
    return lists


def _mapped(path: Path) -> np.ndarray:
    return _PLACE[read_mat(path, "LabelMap").astype(np.uint16)]
