"""DeepGlobe land cover of satellite images (Demir et al., CVPR workshops 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import DataError
from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_pairs, require_files
from ..images import read_rgb
from ..labels import class_names, identity
from ..palettes import DEEPGLOBE, ids_of_colors

_OTHER = 255


@DATASETS.register(
    "DeepGlobe",
    aliases=("deepglobeland",),
    classes=7,
    folder="deepglobe",
    splits={"train": 454, "val": 207, "test": 142},
    homepage="http://deepglobe.org",
)
class DeepGlobe(SegmentationDataset):
    """DeepGlobe land cover, 7 classes with unknown, 2448x2448; the masks are colours.

    All three splits are parts of the published training images, as MagNet cuts them. Papers train on
    ``unknown`` and leave it out of the mIoU.
    """

    classes = class_names(
        """
        unknown; urban_land; agriculture_land; rangeland; forest_land; water; barren_land
        """
    )
    palette = DEEPGLOBE
    id_map = identity(7)
    layout = "land-train/<id>_sat.jpg and <id>_mask.png, {train,val,test}.txt (or list/) with lines 'image mask'"
    source = "download land-train.zip from http://deepglobe.org, copy the lists from MagNet's data/list/deepglobe"

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        own = self.root / f"{split}.txt"
        pairs = list_pairs(own if own.is_file() else self.root / "list" / f"{split}.txt", self.remedy)
        return require_files([Sample(self.root / i, self.root / m) for i, m in pairs], self.remedy)

    def _mask(self, index: int) -> tuple[np.ndarray, Path]:
        """Ids of the colours; channels are cut at 128, as the data set's description says."""
        path = self.samples[index].mask
        ids = ids_of_colors((read_rgb(path) >= 128) * np.uint8(255), DEEPGLOBE, _OTHER)
        if (ids == _OTHER).any():
            count = int((ids == _OTHER).sum())
            raise DataError(f"{path}: {count} pixels of a colour that is no class", "the seven colours", self.remedy)
        return ids, path
