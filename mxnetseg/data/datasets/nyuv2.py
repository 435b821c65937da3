"""NYU Depth v2 indoor scenes (Silberman et al., ECCV 2012), 40 classes (Gupta et al., CVPR 2013)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, shifted
from ..palettes import NYUV2


@DATASETS.register(
    "NYUv2",
    aliases=("nyu", "nyudv2"),
    classes=40,
    folder="NYUv2",
    splits={"train": 795, "val": 654},
    homepage="https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html",
)
class NYUv2(SegmentationDataset):
    """NYU Depth v2, 40 classes, 640x480 RGB; 0 is ignored, ``val`` is the official test list."""

    classes = class_names(
        """
        wall; floor; cabinet; bed; chair; sofa; table; door; window; bookshelf; picture; counter; blinds; desk;
        shelves; curtain; dresser; pillow; mirror; floor mat; clothes; ceiling; books; refridgerator; television;
        paper; towel; shower curtain; box; whiteboard; person; night stand; toilet; sink; lamp; bathtub; bag;
        otherstructure; otherfurniture; otherprop
        """
    )
    palette = NYUV2
    id_map = shifted(40)
    layout = "images/<i>.png (or .jpg), labels40/<i>.png, {train,val}.txt"
    source = (
        "download nyu_depth_v2_labeled.mat and splits.mat from "
        "https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html, "
        "get labels40.mat or classMapping40.mat of Gupta et al., "
        "run `mxnetseg prepare NYUv2 --source FOLDER`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / f"{split}.txt", self.remedy)
        return pair_listed(names, self.root / "images", self.root / "labels40", self.remedy, (".png", ".jpg"))
