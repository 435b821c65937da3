"""ISPRS Vaihingen aerial images, cut into tiles."""

from __future__ import annotations

from ...registry import DATASETS
from .potsdam import Potsdam


@DATASETS.register(
    "Vaihingen",
    aliases=("isprsvaihingen",),
    classes=6,
    folder="vaihingen",
    splits={"train": 344, "val": 398},
    homepage="https://www.isprs.org/education/benchmarks/UrbanSemLab/",
)
class Vaihingen(Potsdam):
    """ISPRS Vaihingen, 6 classes with clutter, tiles of 512x512; borders (0) are ignored."""

    source = (
        "request ISPRS_semantic_labeling_Vaihingen.zip and its ground truth with eroded boundaries at "
        "https://www.isprs.org/education/benchmarks/UrbanSemLab/, run `mxnetseg prepare Vaihingen --source FOLDER`"
    )
