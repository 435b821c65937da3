"""Aeroscapes drone scenes (Nigam et al., WACV 2018)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, identity
from ..palettes import AEROSCAPES


@DATASETS.register(
    "Aeroscapes",
    aliases=("aero",),
    classes=12,
    folder="Aeroscapes",
    splits={"train": 2621, "val": 648},
    homepage="https://github.com/ishann/aeroscapes",
)
class Aeroscapes(SegmentationDataset):
    """Aeroscapes, 12 classes with background, 1280x720; nothing is ignored."""

    classes = class_names(
        """
        background; person; bike; car; drone; boat; animal; obstacle; construction; vegetation; road; sky
        """
    )
    palette = AEROSCAPES
    id_map = identity(12)
    layout = "JPEGImages/<name>.jpg, SegmentationClass/<name>.png, ImageSets/{trn,val}.txt"
    source = "download aeroscapes.tar.gz from https://github.com/ishann/aeroscapes"

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / "ImageSets" / ("trn.txt" if split == "train" else "val.txt"), self.remedy)
        return pair_listed(names, self.root / "JPEGImages", self.root / "SegmentationClass", self.remedy)
