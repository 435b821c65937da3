"""SUN RGB-D indoor scenes (Song et al., CVPR 2015), colour images only."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_pairs, require_files
from ..labels import class_names, shifted
from ..palettes import voc_palette


@DATASETS.register(
    "SUNRGBD",
    aliases=("sun",),
    classes=37,
    folder="SUNRGBD",
    splits={"train": 5285, "val": 5050, "test": 5050},
    homepage="https://rgbd.cs.princeton.edu",
)
class SUNRGBD(SegmentationDataset):
    """SUN RGB-D, 37 classes; 0 is ignored.

    There is one list for evaluation, so ``val`` and ``test`` are the same images, with masks.
    """

    classes = class_names(
        """
        wall; floor; cabinet; bed; chair; sofa; table; door; window; bookshelf; picture; counter; blinds; desk;
        shelves; curtain; dresser; pillow; mirror; floor_mat; clothes; ceiling; books; fridge; tv; paper; towel;
        shower_curtain; box; whiteboard; person; night_stand; toilet; sink; lamp; bathtub; bag
        """
    )
    palette = voc_palette(37)
    id_map = shifted(37)
    layout = "images/, labels/ (index PNG) and {train,test}.txt with lines 'image mask' relative to them"
    source = "download SUNRGBD.zip and SUNRGBDtoolbox.zip from https://rgbd.cs.princeton.edu"

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        pairs = list_pairs(self.root / ("train.txt" if split == "train" else "test.txt"), self.remedy)
        samples = [Sample(self.root / "images" / i, self.root / "labels" / m) for i, m in pairs]
        return require_files(samples, self.remedy)
