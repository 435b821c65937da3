"""ISPRS Potsdam aerial images, cut into tiles."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, pair_folders
from ..labels import shifted
from ..palettes import ISPRS

CLASSES = ("impervious_surface", "building", "low_vegetation", "tree", "car", "clutter")


@DATASETS.register(
    "Potsdam",
    aliases=("isprspotsdam",),
    classes=6,
    folder="potsdam",
    splits={"train": 3456, "val": 2016},
    homepage="https://www.isprs.org/education/benchmarks/UrbanSemLab/",
)
class Potsdam(SegmentationDataset):
    """ISPRS Potsdam, 6 classes with clutter, tiles of 512x512; borders (0) are ignored."""

    classes = CLASSES
    palette = ISPRS
    id_map = shifted(6)
    layout = "img_dir/{train,val}/<tile>.png and ann_dir/{train,val}/<tile>.png"
    source = (
        "request 2_Ortho_RGB.zip and 5_Labels_all_noBoundary.zip at "
        "https://www.isprs.org/education/benchmarks/UrbanSemLab/, run `mxnetseg prepare Potsdam --source FOLDER`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by name."""
        return pair_folders(self.root / "img_dir" / split, self.root / "ann_dir" / split, self.remedy)
