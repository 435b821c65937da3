"""Multi-Human Parsing, version 1 (Li et al., 2017), all persons of an image together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...errors import ConfigError
from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, shifted
from ..palettes import MHP

_TRAIN = 3000


@DATASETS.register(
    "MHPv1",
    aliases=("mhp",),
    classes=18,
    folder="MHP/v1",
    splits={"train": 3000, "val": 1000, "test": 980},
    homepage="https://lv-mhp.github.io",
)
class MHPv1(SegmentationDataset):
    """Multi-Human Parsing v1, 18 parts and clothes; background (0) is ignored.

    ``train`` is the first 3000 lines of the official training list, ``val`` the other 1000.

    Parameters
    ----------
    root, split
        See the base class.
    short_edge : int
        Images and masks are resized so that their shorter side has this length, the longer one being
        rounded to a multiple of 8; 0 leaves them as they are.
    """

    classes = class_names(
        """
        hat; hair; sunglasses; upper clothes; skirt; pants; dress; belt; left shoe; right shoe; face; left leg;
        right leg; left arm; right arm; bag; scarf; torso skin
        """
    )
    palette = MHP
    id_map = shifted(18)
    layout = "images/<id>.jpg, labels/<id>.png (made from annotations/<id>_<n>_<m>.png), {train,test}_list.txt"
    source = "download LV-MHP-v1.zip from https://lv-mhp.github.io, run `mxnetseg prepare MHPv1`"

    def __init__(self, root: str | Path, split: str, short_edge: int = 768):
        if not isinstance(short_edge, int) or short_edge < 0:
            raise ConfigError(f"data.options.short_edge is {short_edge!r}", "a length in pixels, or 0")
        self._edge = short_edge
        super().__init__(root, split)

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / ("test_list.txt" if split == "test" else "train_list.txt"), self.remedy)
        names = {"train": names[:_TRAIN], "val": names[_TRAIN:], "test": names}[split]
        return pair_listed(names, self.root / "images", self.root / "labels", self.remedy)

    def read_image(self, index: int) -> np.ndarray:
        """uint8 RGB image, resized."""
        return self._resized(super().read_image(index), cv2.INTER_LINEAR)

    def _mask(self, index: int) -> tuple[np.ndarray, Path]:
        mask, path = super()._mask(index)
        return self._resized(mask, cv2.INTER_NEAREST), path

    def _resized(self, image: np.ndarray, interpolation: int) -> np.ndarray:
        height, width = image.shape[:2]
        if not self._edge:
            return image
        longer = max(8, 8 * round(self._edge * max(height, width) / min(height, width) / 8))
        size = (longer, self._edge) if width > height else (self._edge, longer)
        return cv2.resize(image, size, interpolation=interpolation)
