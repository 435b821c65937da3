"""Semantic Boundaries Dataset (Hariharan et al., ICCV 2011): masks for more images of PASCAL VOC."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import identity
from ..palettes import voc_palette
from .pascal_voc import CLASSES


@DATASETS.register(
    "SBD",
    classes=21,
    folder="VOCdevkit/SBD",
    splits={"train": 8498, "val": 2857, "trainval": 11355},
    homepage="http://home.bharathh.info/pubs/codes/SBD/download.html",
)
class SBD(SegmentationDataset):
    """SBD, the 21 classes of PASCAL VOC; nothing is ignored.

    ``trainval`` without its own list is train followed by val. SBD's lists cut across those of VOC 2012:
    training images of SBD are validation images there.
    """

    classes = CLASSES
    palette = voc_palette(21)
    id_map = identity(21)
    layout = "img/<id>.jpg, cls_png/<id>.png (made from cls/<id>.mat), {train,val}.txt"
    source = (
        "download benchmark.tgz from http://home.bharathh.info/pubs/codes/SBD/download.html, run `mxnetseg prepare SBD`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        path = self.root / f"{split}.txt"
        if split == "trainval" and not path.is_file():
            return self.find("train") + self.find("val")
        return pair_listed(list_entries(path, self.remedy), self.root / "img", self.root / "cls_png", self.remedy)
