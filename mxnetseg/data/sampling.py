"""Random numbers and sample order as pure functions of (seed, epoch, index, purpose)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import DataError
from .base import SegmentationDataset
from .images import DamagedSampleError
from .labels import IGNORE
from .presets import Transform
from .transforms import normalize

__all__ = ["Sampler", "epoch_order", "random_generator"]

_PURPOSES = ("order", "transform", "replacement")
_REPLACEMENTS = 20


def random_generator(seed: int, epoch: int, index: int, purpose: str) -> np.random.Generator:
    """Generator of one purpose for one sample of one epoch."""
    return np.random.Generator(np.random.PCG64([seed, epoch, index, _PURPOSES.index(purpose)]))


def epoch_order(seed: int, epoch: int, length: int) -> np.ndarray:
    """Permutation of the samples in an epoch."""
    return random_generator(seed, epoch, 0, "order").permutation(length)


@dataclass
class Written:
    """What became of one sample: its name and index, its labelled pixels, and the damaged files met."""

    name: str
    index: int
    valid: int
    damaged: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Sampler:
    """Reads, transforms and writes training samples.

    Parameters
    ----------
    dataset : SegmentationDataset
    transform : TrainTransform, SemsegTransform or MMSegTransform
    seed : int
    """

    dataset: SegmentationDataset
    transform: Transform
    seed: int

    def write(self, epoch: int, index: int, image: np.ndarray, label: np.ndarray) -> Written:
        """Fill `image` (3, h, w) and `label` (h, w) with the sample, or with its replacement if damaged.

        Raises
        ------
        DataError
            If a label is outside the classes, or no replacement can be read.
        """
        damaged: list[tuple[str, str]] = []
        for candidate in self._candidates(epoch, index):
            try:
                pixels, ids = self.dataset.read_compact(candidate)
            except DamagedSampleError as error:
                damaged.append((str(self.dataset.samples[candidate].image), error.found))
                continue
            rng = random_generator(self.seed, epoch, index, "transform")
            pixels, ids = self.transform(pixels, ids, rng)
            normalize(pixels, image)
            label[...] = ids
            valid = int(np.count_nonzero(ids != IGNORE))
            return Written(self.dataset.sample_name(candidate), candidate, valid, damaged)
        raise DataError("\n".join(reason for _, reason in damaged), "readable images and masks", "repair the data")

    def _candidates(self, epoch: int, index: int) -> Iterator[int]:
        """The sample itself, then the replacements in the order in which they are tried."""
        yield index
        rng = random_generator(self.seed, epoch, index, "replacement")
        yield from rng.integers(len(self.dataset), size=_REPLACEMENTS).tolist()
