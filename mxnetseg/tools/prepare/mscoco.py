"""COCO's polygons to index PNG files of the classes of PASCAL VOC."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ...data.datasets.mscoco import CATEGORIES
from .coco_masks import draw, read_annotations
from .workspace import Workspace

__all__ = ["prepare"]

_FEWEST_PIXELS = 1000


def prepare(work: Workspace) -> None:
    """Write ``masks/<part>/<id>.png`` of train2017 and val2017 and the lists; place the images.

    Instances are drawn in the order of the file, the first one on top; crowds count as instances. ``train``
    and ``val_filtered`` list the images with more than 1000 labelled pixels.
    """
    for part, filtered in (("train2017", "train.txt"), ("val2017", "val_filtered.txt")):
        path = work.find(f"instances_{part}.json", "COCO's annotations")
        names = _write_masks(work, part, path)
        work.place_folder(work.find(f"{part}/*.jpg", "COCO's images").parent, part)
        shown = tqdm(names, f"counting pixels of {part}", unit="file", disable=not work.progress or None)
        work.write_list(filtered, [n for n in shown if _is_labelled(work, part, n)])
        if part == "val2017":
            work.write_list("val.txt", names)


def _write_masks(work: Workspace, part: str, path: Path) -> list[str]:
    """Write the masks; return the names of the images in order."""
    images, annotations = read_annotations(path, "images", "annotations")
    of_image = defaultdict(list)
    for annotation in annotations:
        if annotation["category_id"] in CATEGORIES:
            of_image[annotation["image_id"]].append(annotation)
    named = {Path(image["file_name"]).stem: image for image in images}
    jobs = ((f"masks/{part}/{name}.png", partial(_ids, i, of_image[i["id"]])) for name, i in sorted(named.items()))
    work.convert(f"masks of {part}", jobs)
    return sorted(named)


def _ids(image: dict[str, Any], annotations: list[dict[str, Any]]) -> np.ndarray:
    ids = np.zeros((image["height"], image["width"]), np.uint8)
    for annotation in annotations:
        covered = draw(annotation["segmentation"], ids.shape)
        ids[covered & (ids == 0)] = CATEGORIES.index(annotation["category_id"])
    return ids


def _is_labelled(work: Workspace, part: str, name: str) -> bool:
    mask = cv2.imread(str(work.root / "masks" / part / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    return cv2.countNonZero(mask) > _FEWEST_PIXELS
