"""Generated street scenes: data for a first run, for tests and for demonstrations."""

from __future__ import annotations

from pathlib import Path

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample
from ..labels import identity
from ..palettes import CITYSCAPES
from ..scenery import CLASSES, VOID
from ..synthetic import generate_synthetic
from .cityscapes import find_pairs


@DATASETS.register("Synthetic", aliases=("synth",), classes=8, folder="Synthetic", splits={"train": None, "val": None})
class Synthetic(SegmentationDataset):
    """Procedural street scenes, 8 classes; generated from a seed when they are absent.

    Parameters
    ----------
    root, split
        See the base class.
    train, val : int
        Numbers of images.
    size : tuple of int
        (height, width).
    seed : int
    enlarge, variety, border
        How hard the scenes are, see :class:`~mxnetseg.data.scenery.View`.
    """

    classes = CLASSES
    palette = CITYSCAPES[[0, 1, 2, 8, 10, 5, 13, 11]]
    id_map = identity(len(CLASSES), VOID)
    layout = "leftImg8bit/<split>/<town>/*_leftImg8bit.png and gtFine/<split>/<town>/*_gtFine_labelTrainIds.png"

    def __init__(
        self,
        root: str | Path,
        split: str,
        train: int = 320,
        val: int = 80,
        size: tuple[int, int] = (192, 384),
        seed: int = 0,
        enlarge: float = 1.0,
        variety: float = 1.0,
        border: int = 1,
    ):
        super().__init__(root, split)

    @classmethod
    def prepare(cls, root: Path, **options: object) -> None:
        """Generate the scenes unless `root` holds those of the same options."""
        if "size" in options:
            options["size"] = tuple(options["size"])
        generate_synthetic(root, **options)

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by name."""
        return find_pairs(self.root, split, "labelTrainIds", self.remedy)
