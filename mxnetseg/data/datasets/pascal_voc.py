"""PASCAL VOC 2012 segmentation (Everingham et al., IJCV 2015)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import identity
from ..palettes import voc_palette

CLASSES = (
    "background",
    "airplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorcycle",
    "person",
    "potted-plant",
    "sheep",
    "sofa",
    "train",
    "tv",
)


@DATASETS.register(
    "PascalVOC",
    aliases=("voc", "pascal", "voc2012"),
    classes=21,
    folder="VOCdevkit/VOC2012",
    splits={"train": 1464, "val": 1449, "test": 1456, "trainval": 2913},
    homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
)
class PascalVOC(SegmentationDataset):
    """PASCAL VOC 2012, 21 classes with background; void (255) is ignored.

    ``train`` is the training list; ``trainval`` holds the validation images too, so a validation score
    after training on it means nothing. ``test`` has no masks.
    """

    classes = CLASSES
    palette = voc_palette(21)
    id_map = identity(21, 255)
    layout = "JPEGImages/<id>.jpg, SegmentationClass/<id>.png, ImageSets/Segmentation/<split>.txt"
    source = "download VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        stems = list_entries(self.root / "ImageSets" / "Segmentation" / f"{split}.txt", self.remedy)
        masks = None if split == "test" else self.root / "SegmentationClass"
        return pair_listed(stems, self.root / "JPEGImages", masks, self.remedy)
