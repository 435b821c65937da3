"""Cityscapes urban scenes (Cordts et al., CVPR 2016), trained on the coarse annotations."""

from __future__ import annotations

from ...registry import DATASETS
from ..files import Sample
from .cityscapes import Cityscapes


@DATASETS.register(
    "CityCoarse",
    aliases=("cityscoarse", "cityscapescoarse"),
    classes=19,
    folder="Cityscapes",
    splits={"train": 19998, "val": 500},
    homepage="https://www.cityscapes-dataset.com",
)
class CityCoarse(Cityscapes):
    """Cityscapes with coarse training masks (``train_extra``), 19 classes; ``val`` is the fine one."""

    layout = (
        "leftImg8bit/{train_extra,val}/<city>/*_leftImg8bit.png, gtCoarse/train_extra/<city>/*_gtCoarse_labelIds.png "
        "and gtFine/val/<city>/*_gtFine_labelIds.png"
    )
    source = (
        "register at https://www.cityscapes-dataset.com and unpack leftImg8bit_trainextra, gtCoarse, "
        "leftImg8bit_trainvaltest, gtFine_trainvaltest"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by city and name."""
        return self._pairs("train_extra", "gtCoarse") if split == "train" else self._pairs("val", "gtFine")
