"""How the pixels are shared out among the classes, and weights that make up for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

from ...data.base import SegmentationDataset
from ...data.labels import IGNORE
from .samples import SampleReport

__all__ = ["WEIGHTINGS", "Balance", "class_weights", "enet_weights", "median_frequency_weights"]


@dataclass
class Balance:
    """Counts over the masks of a split.

    Attributes
    ----------
    pixels : list of int
        Labelled pixels per class.
    images : list of int
        Images that contain the class.
    visible : list of int
        Labelled pixels of these images.
    void : int
        Ignored pixels.
    masks : int
        Masks that were counted.
    """

    pixels: list[int]
    images: list[int]
    visible: list[int]
    void: int = 0
    masks: int = 0

    @classmethod
    def of(cls, dataset: SegmentationDataset, reports: list[SampleReport]) -> Balance:
        """Counts of all masks whose values are classes or void."""
        balance = cls(*([0] * dataset.num_classes for _ in range(3)))
        for report in reports:
            if report.values and report.values.keys() <= dataset.id_map.keys():
                balance._add(dataset, report.values)
        return balance

    def _add(self, dataset: SegmentationDataset, values: dict[int, int]) -> None:
        counts = [0] * len(self.pixels)
        for value, count in values.items():
            label = dataset.id_map[value]
            if label == IGNORE:
                self.void += count
            else:
                counts[label] += count
        self.masks += 1
        for label, count in enumerate(counts):
            if count:
                self.pixels[label] += count
                self.images[label] += 1
                self.visible[label] += sum(counts)

    @property
    def labelled(self) -> int:
        """Pixels that belong to a class."""
        return sum(self.pixels)

    def share(self, label: int) -> float:
        """Share of a class in the labelled pixels."""
        return self.pixels[label] / self.labelled if self.labelled else 0.0

    def as_dict(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Counts for JSON."""
        rows = [
            {"id": i, "name": name, "pixels": self.pixels[i], "share": self.share(i), "images": self.images[i]}
            for i, name in enumerate(classes)
        ]
        return {"masks": self.masks, "labelled": self.labelled, "void": self.void, "classes": rows}


def median_frequency_weights(balance: Balance) -> list[float]:
    """Median-frequency balancing (Eigen and Fergus, ICCV 2015, section 6.3.2).

    w_c = median(f) / f_c, f_c = pixels of c / labelled pixels of the images that contain c. Classes that never
    occur are left out of the median and get 1.
    """
    frequency = [p / v if v else 0.0 for p, v in zip(balance.pixels, balance.visible, strict=True)]
    middle = median([f for f in frequency if f] or [1.0])
    return [middle / f if f else 1.0 for f in frequency]


def enet_weights(balance: Balance) -> list[float]:
    """Weighting of ENet (Paszke et al., arXiv 1606.02147, section 5.1): w_c = 1 / ln(1.02 + p_c), in [1, 50.5]."""
    return [1 / math.log(1.02 + balance.share(label)) for label in range(len(balance.pixels))]


WEIGHTINGS = {"median": median_frequency_weights, "enet": enet_weights}


def class_weights(balance: Balance, method: str) -> list[float]:
    """Weight per class, to three digits.

    Parameters
    ----------
    balance : Balance
        Of the training split.
    method : str
        ``median`` or ``enet``.
    """
    return [float(f"{weight:.3g}") for weight in WEIGHTINGS[method](balance)]
