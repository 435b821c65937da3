"""Weizmann Horses (Borenstein and Ullman, ECCV 2002)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import identity
from ..palettes import WEIZMANN


@DATASETS.register(
    "WeizmannHorses",
    aliases=("weizmann", "horses"),
    classes=2,
    folder="WeizHorses",
    splits={"train": None, "val": None},
    homepage="http://www.msri.org/people/members/eranb/",
)
class WeizmannHorses(SegmentationDataset):
    """Weizmann Horses, horse and background, 328 images; a horse is 1 or 255 in the masks."""

    classes = ("background", "horse")
    palette = WEIZMANN
    id_map = {**identity(2), 255: 1}
    layout = "horse/<name>, mask/<name> (same stem), {train,val}.txt"
    source = (
        "get weizmann_horse_db from http://www.msri.org/people/members/eranb/, run `mxnetseg prepare WeizmannHorses`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        names = list_entries(self.root / f"{split}.txt", self.remedy)
        return pair_listed(names, self.root / "horse", self.root / "mask", self.remedy, (".jpg", ".png"))
