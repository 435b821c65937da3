"""BDD100K driving scenes, semantic segmentation (Yu et al., CVPR 2020)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, images_below, pair_folders, require
from ..labels import identity
from ..palettes import CITYSCAPES
from .cityscapes import CLASSES


@DATASETS.register(
    "BDD100K",
    aliases=("bdd",),
    classes=19,
    folder="BDD/seg",
    splits={"train": 7000, "val": 1000, "test": 2000},
    homepage="https://www.bdd100k.com",
)
class BDD100K(SegmentationDataset):
    """BDD100K, the 19 classes of Cityscapes, 1280x720; void (255) is ignored, ``test`` has no masks."""

    classes = CLASSES
    palette = CITYSCAPES
    id_map = identity(19, 255)
    layout = "images/{train,val,test}/<name>.jpg and labels/{train,val}/<name>_train_id.png"
    source = "register at https://www.bdd100k.com and unpack bdd100k_seg.zip"

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by name."""
        images = self.root / "images" / split
        if split == "test":
            return [Sample(p, None) for p in images_below(require(images, "folder of test images", self.remedy))]
        return pair_folders(images, self.root / "labels" / split, self.remedy, mask_ending="_train_id")
