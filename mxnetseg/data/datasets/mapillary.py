"""Mapillary Vistas, version 1 (Neuhold et al., ICCV 2017)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, images_below, pair_folders, require
from ..labels import class_names, identity
from ..palettes import voc_palette

_PUBLISHED = {"train": "training", "val": "validation", "test": "testing"}


@DATASETS.register(
    "Mapillary",
    aliases=("vistas", "mapillaryvistas"),
    classes=65,
    folder="Mapillary",
    splits={"train": 18000, "val": 2000, "test": 5000, "trainval": 20000},
    homepage="https://www.mapillary.com/dataset/vistas",
)
class Mapillary(SegmentationDataset):
    """Mapillary Vistas 1.x, 65 classes; 65 (unlabeled) is ignored, ``test`` has no masks.

    Folders may have the published names (``training``, ``validation``, ``testing``). Colours are those of
    ``config.json`` where it lies beside the folders. The 66-class mIoU of some papers, which counts
    unlabeled as a class that is never found, is 65/66 of this one.
    """

    classes = class_names(
        """
        Bird; Ground Animal; Curb; Fence; Guard Rail; Barrier; Wall; Bike Lane; Crosswalk-Plain; Curb Cut; Parking;
        Pedestrian Area; Rail Track; Road; Service Lane; Sidewalk; Bridge; Building; Tunnel; Person; Bicyclist;
        Motorcyclist; Other Rider; Lane Marking-Crosswalk; Lane Marking-General; Mountain; Sand; Sky; Snow; Terrain;
        Vegetation; Water; Banner; Bench; Bike Rack; Billboard; Catch Basin; CCTV Camera; Fire Hydrant; Junction
        Box; Mailbox; Manhole; Phone Booth; Pothole; Street Light; Pole; Traffic Sign Frame; Utility Pole; Traffic
        Light; Traffic Sign (Back); Traffic Sign (Front); Trash Can; Bicycle; Boat; Bus; Car; Caravan; Motorcycle;
        On Rails; Other Vehicle; Trailer; Truck; Wheeled Slow; Car Mount; Ego Vehicle
        """
    )
    palette = voc_palette(65)
    id_map = identity(65, 65)
    layout = "{train,val,test}/images/<id>.jpg, {train,val}/labels/<id>.png (ids as colour indices), config.json"
    source = "request version 1.2 at https://www.mapillary.com/dataset/vistas"

    def __init__(self, root: str | Path, split: str):
        super().__init__(root, split)
        if (self.root / "config.json").is_file():
            self.palette = self._published_palette(self.root / "config.json")

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by name."""
        if split == "trainval":
            return self.find("train") + self.find("val")
        published = self.root / _PUBLISHED[split]
        folder = published if published.is_dir() else self.root / split
        if split == "test":
            return [
                Sample(p, None) for p in images_below(require(folder / "images", "folder of test images", self.remedy))
            ]
        return pair_folders(folder / "images", folder / "labels", self.remedy)

    def _published_palette(self, path: Path) -> np.ndarray:
        try:
            labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
            colors = np.array([label["color"] for label in labels[: self.num_classes]], np.uint8)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: {error!r}", "labels with a color [r, g, b] each", self.remedy) from error
        if colors.shape != (self.num_classes, 3):
            raise DataError(f"{path}: {len(colors)} colours", f"{self.num_classes} and that of unlabeled", self.remedy)
        return colors
