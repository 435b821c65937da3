"""Cityscapes urban scenes (Cordts et al., CVPR 2016), fine annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ...errors import ConfigError
from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, images_below, pair_folders, require
from ..labels import IGNORE, identity
from ..palettes import CITYSCAPES

CLASSES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
ID_MAP = {**dict.fromkeys(range(-1, 34), IGNORE), **{raw: label for label, raw in enumerate(LABEL_IDS)}}


def find_pairs(root: Path, split: str, kind: str, remedy: str, annotation: str = "gtFine") -> list[Sample]:
    """Pairs of ``leftImg8bit/<split>/<city>`` and ``<annotation>/<split>/<city>``.

    Parameters
    ----------
    root : Path
    split : str
        Name of the folder.
    kind : str
        Form of the masks, ``labelIds`` or ``labelTrainIds``.
    remedy : str
        What to do when files are missing.
    annotation : str
        Folder of the masks, and part of their names: ``gtFine`` or ``gtCoarse``.
    """
    images, masks = root / "leftImg8bit" / split, root / annotation / split
    return pair_folders(images, masks, remedy, image_ending="_leftImg8bit", mask_ending=f"_{annotation}_{kind}")


@DATASETS.register(
    "Cityscapes",
    aliases=("citys", "city"),
    classes=19,
    folder="Cityscapes",
    splits={"train": 2975, "val": 500, "test": 1525, "trainval": 3475},
    homepage="https://www.cityscapes-dataset.com",
)
class Cityscapes(SegmentationDataset):
    """Cityscapes, 19 classes, 2048x1024; reads labelIds or labelTrainIds masks.

    Parameters
    ----------
    root, split
        See the base class. ``trainval`` is train followed by val; ``test`` has no masks.
    labels : str
        ``labelIds`` (as distributed), ``labelTrainIds`` (made by cityscapesScripts), or ``auto``: labelIds
        where the first city has them.
    """

    classes = CLASSES
    palette = CITYSCAPES
    id_map = ID_MAP
    submission_size = (1024, 2048)
    layout = "leftImg8bit/<split>/<city>/*_leftImg8bit.png and gtFine/<split>/<city>/*_gtFine_labelIds.png"
    source = "register at https://www.cityscapes-dataset.com and unpack leftImg8bit_trainvaltest, gtFine_trainvaltest"

    def __init__(self, root: str | Path, split: str, labels: Literal["auto", "labelIds", "labelTrainIds"] = "auto"):
        if labels not in ("auto", "labelIds", "labelTrainIds"):
            raise ConfigError(f"data.options.labels is {labels!r}", "auto, labelIds or labelTrainIds")
        self._kind = labels
        super().__init__(root, split)

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by city and name."""
        if split == "trainval":
            return self.find("train") + self.find("val")
        if split == "test":
            folder = require(self.root / "leftImg8bit" / "test", "folder of images", self.remedy)
            return [Sample(path, None) for path in images_below(folder, (".png",), "_leftImg8bit")]
        return self._pairs(split, "gtFine")

    def _pairs(self, split: str, annotation: str) -> list[Sample]:
        if self._kind == "auto":
            first = next((self.root / annotation / split).rglob(f"*_{annotation}_labelIds.png"), None)
            self._kind = "labelTrainIds" if first is None else "labelIds"
        if self._kind == "labelTrainIds":
            self.id_map = identity(19, 255)
        return find_pairs(self.root, split, self._kind, self.remedy, annotation)

    def encode_prediction(self, prediction: np.ndarray) -> np.ndarray:
        """Label ids (uint8) of the test server, whatever form the masks have."""
        return np.array(LABEL_IDS, np.uint8)[prediction]

    def submission_name(self, index: int) -> str:
        """``<city>_<sequence>_<frame>_pred_labelIds.png``, as cityscapesScripts looks for it."""
        return self.samples[index].image.name.replace("_leftImg8bit.png", "_pred_labelIds.png")
