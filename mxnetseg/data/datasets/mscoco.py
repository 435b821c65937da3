"""Microsoft COCO 2017 (Lin et al., ECCV 2014) with the 21 classes of PASCAL VOC."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import identity
from ..palettes import voc_palette
from .pascal_voc import CLASSES

# COCO's category of each class; background has none.
CATEGORIES = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)


@DATASETS.register(
    "MSCOCO",
    aliases=("coco",),
    classes=21,
    folder="COCO",
    splits={"train": None, "val": 5000, "val_filtered": None},
    homepage="https://cocodataset.org",
)
class MSCOCO(SegmentationDataset):
    """COCO 2017, the 21 classes of PASCAL VOC; other things are background, nothing is ignored.

    ``train`` leaves out images with 1000 labelled pixels or fewer. ``val`` is whole; ``val_filtered`` is
    filtered in the same way, as the MXNetSeg and GluonCV figures are. Masks are rasterised once, by
    ``mxnetseg prepare MSCOCO``.
    """

    classes = CLASSES
    palette = voc_palette(21)
    id_map = identity(21)
    layout = "{train2017,val2017}/<id>.jpg, masks/{train2017,val2017}/<id>.png, {train,val,val_filtered}.txt"
    source = (
        "download train2017.zip, val2017.zip and annotations_trainval2017.zip from https://cocodataset.org, "
        "run `mxnetseg prepare MSCOCO`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / f"{split}.txt", self.remedy)
        part = "train2017" if split == "train" else "val2017"
        return pair_listed(names, self.root / part, self.root / "masks" / part, self.remedy)
