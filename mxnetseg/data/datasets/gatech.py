"""Georgia Tech videos with geometric context (Raza et al., CVPR 2013)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, shifted
from ..palettes import voc_palette


@DATASETS.register(
    "GATECH",
    aliases=("gatechvideo",),
    classes=8,
    folder="GATECH",
    splits={"train": None, "val": None, "test": None, "test_all": None},
    homepage="http://www.cc.gatech.edu/cpl/projects/videogeometriccontext/",
)
class GATECH(SegmentationDataset):
    """Frames of the Georgia Tech videos, 8 classes; 0 is ignored.

    There is one short list for evaluation, so ``val`` and ``test`` are the same frames; ``test_all`` is the long list.
    """

    classes = class_names(
        """
        sky; ground; solid buildings etc; porous; humans; cars; vertical Mix; main Mix
        """
    )
    palette = voc_palette(8)
    id_map = shifted(8)
    layout = "images/<name>.jpg, labels/<name>.png, {train,test,test_all}.txt"
    source = "get the frames from http://www.cc.gatech.edu/cpl/projects/videogeometriccontext/"

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / f"{'test' if split == 'val' else split}.txt", self.remedy)
        return pair_listed(names, self.root / "images", self.root / "labels", self.remedy)
