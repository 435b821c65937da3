"""PASCAL Context (Mottaghi et al., CVPR 2014), the 59 most frequent classes."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, shifted
from ..palettes import voc_palette

# Ids of the classes among the 459 labels; a mask value is 1 + the place in this list.
LABELS_459 = (
    2,
    9,
    18,
    19,
    22,
    23,
    25,
    31,
    33,
    34,
    44,
    45,
    46,
    59,
    65,
    68,
    72,
    80,
    85,
    98,
    104,
    105,
    113,
    115,
    144,
    158,
    159,
    162,
    187,
    189,
    207,
    220,
    232,
    258,
    259,
    260,
    284,
    295,
    296,
    308,
    324,
    326,
    347,
    349,
    354,
    355,
    360,
    366,
    368,
    397,
    415,
    416,
    420,
    424,
    427,
    440,
    445,
    454,
    458,
)


@DATASETS.register(
    "PascalContext",
    aliases=("pcontext", "context"),
    classes=59,
    folder="PContext",
    splits={"train": 4998, "val": 5105},
    homepage="https://cs.stanford.edu/~roozbeh/pascal-context/",
)
class PascalContext(SegmentationDataset):
    """PASCAL Context, 59 classes; background (0) is ignored.

    The classes are in the alphabetical order in which the masks number them. The 60-class mIoU of some papers,
    which counts background as a class that is never found, is 59/60 of this one.
    """

    classes = class_names(
        """
        aeroplane; bag; bed; bedclothes; bench; bicycle; bird; boat; book; bottle; building; bus; cabinet; car; cat;
        ceiling; chair; cloth; computer; cow; cup; curtain; dog; door; fence; floor; flower; food; grass; ground;
        horse; keyboard; light; motorbike; mountain; mouse; person; plate; platform; pottedplant; road; rock; sheep;
        shelves; sidewalk; sign; sky; snow; sofa; table; track; train; tree; truck; tvmonitor; wall; water; window;
        wood
        """
    )
    palette = voc_palette(59)
    id_map = shifted(59)
    layout = "JPEGImages/<id>.jpg (VOC 2010), Labels_59/<id>.png, {train,val}.txt"
    source = (
        "download VOC 2010 from http://host.robots.ox.ac.uk/pascal/VOC/voc2010/ and trainval_merged.json (or the .mat "
        "files of 459 labels) from https://cs.stanford.edu/~roozbeh/pascal-context/, "
        "run `mxnetseg prepare PascalContext`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / f"{split}.txt", self.remedy)
        return pair_listed(names, self.root / "JPEGImages", self.root / "Labels_59", self.remedy)
