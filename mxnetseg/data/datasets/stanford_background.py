"""Stanford Background outdoor scenes (Gould et al., ICCV 2009)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, identity
from ..palettes import voc_palette


@DATASETS.register(
    "StanfordBackground",
    aliases=("stanford10", "stanfordbg"),
    classes=8,
    folder="Stanford10",
    splits={"train": None, "val": None},
    homepage="http://dags.stanford.edu/projects/scenedataset.html",
)
class StanfordBackground(SegmentationDataset):
    """Stanford Background, 8 classes, 715 images of about 320x240; unknown (255) is ignored."""

    classes = class_names(
        """
        Sky; tree/bush; road/path; grass; water; building; mountain; foreground object
        """
    )
    palette = voc_palette(8)
    id_map = identity(8, 255)
    layout = "images/<name>.jpg, labels/<name>.png (made from labels/<name>.regions.txt), {train,eval}List.txt"
    source = (
        "download iccv09Data.tar.gz from http://dags.stanford.edu/projects/scenedataset.html, "
        "run `mxnetseg prepare StanfordBackground`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        path = self.root / ("trainList.txt" if split == "train" else "evalList.txt")
        return pair_listed(list_entries(path, self.remedy), self.root / "images", self.root / "labels", self.remedy)
