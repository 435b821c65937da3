"""PASCAL VOC 2012 with the additional masks of SBD (Hariharan et al., ICCV 2011)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_pairs, require_files
from ..labels import identity
from ..palettes import voc_palette
from .pascal_voc import CLASSES


@DATASETS.register(
    "PascalVOCAug",
    aliases=("vocaug", "pascalaug"),
    classes=21,
    folder="VOCdevkit/VOCAug",
    splits={"train": 1464, "val": 1449, "train_aug": 10582, "trainval_aug": 12031},
    homepage="http://home.bharathh.info/pubs/codes/SBD/download.html",
)
class PascalVOCAug(SegmentationDataset):
    """PASCAL VOC 2012 with SBD masks, 21 classes; void (255) is ignored.

    Papers train on the split ``train_aug`` (``data.train_split=train_aug``), which has no image of ``val``.
    """

    classes = CLASSES
    palette = voc_palette(21)
    id_map = identity(21, 255)
    layout = "img_aug/, cls_aug/ (index PNG) and <split>.txt with lines 'image mask'"
    source = (
        "unpack VOC 2012 and SBD (benchmark.tgz, http://home.bharathh.info/pubs/codes/SBD/download.html) into "
        "VOCdevkit/VOC2012 and VOCdevkit/SBD, run `mxnetseg prepare PascalVOCAug`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        pairs = list_pairs(self.root / f"{split}.txt", self.remedy)
        samples = [Sample(self.root / "img_aug" / i, self.root / "cls_aug" / m) for i, m in pairs]
        return require_files(samples, self.remedy)
