"""SIFT Flow outdoor scenes (Liu et al., CVPR 2009)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, shifted
from ..palettes import voc_palette


@DATASETS.register(
    "SiftFlow",
    aliases=("sift",),
    classes=33,
    folder="SiftFlow",
    splits={"train": 2488, "val": 200},
    homepage="https://people.csail.mit.edu/celiu/SIFTflow/",
)
class SiftFlow(SegmentationDataset):
    """SIFT Flow, 33 classes, 256x256; 0 (unlabeled) is ignored."""

    classes = class_names(
        """
        awning; balcony; bird; boat; bridge; building; bus; car; cow; crosswalk; desert; door; fence; field; grass;
        moon; mountain; person; plant; pole; river; road; rock; sand; sea; sidewalk; sign; sky; staircase;
        streetlight; sun; tree; window
        """
    )
    palette = voc_palette(33)
    id_map = shifted(33)
    layout = "images/<name>.jpg, labels/<name>.png, {train,val}.txt"
    source = (
        "get SiftFlowDataset.zip from https://people.csail.mit.edu/celiu/SIFTflow/, run `mxnetseg prepare SiftFlow`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / f"{split}.txt", self.remedy)
        return pair_listed(names, self.root / "images", self.root / "labels", self.remedy)
