"""Everything that is counted of the predictions for a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..boundary import BoundaryCounts
from ..metrics import ConfusionMatrix

__all__ = ["Counts"]


@dataclass
class Counts:
    """Pairs of label and prediction, and where asked for what happens at the borders of the classes.

    Attributes
    ----------
    confusion : ConfusionMatrix
    boundary : BoundaryCounts, optional
    """

    confusion: ConfusionMatrix
    boundary: BoundaryCounts | None = None

    @classmethod
    def start(cls, num_classes: int, left_out: Sequence[int], boundary: bool) -> Counts:
        """Counts of nothing."""
        borders = BoundaryCounts(num_classes, left_out=left_out) if boundary else None
        return cls(ConfusionMatrix(num_classes, left_out), borders)

    def update(self, label: np.ndarray, prediction: np.ndarray) -> None:
        """Count one image; see :meth:`ConfusionMatrix.update`."""
        self.confusion.update(label, prediction)
        if self.boundary:
            self.boundary.update(label, prediction)

    def arrays(self) -> list[np.ndarray]:
        """The integers behind everything; adding those of other images gives the counts of all."""
        return [self.confusion.counts, *([self.boundary.bands, self.boundary.edges] if self.boundary else [])]

    def summary(self) -> dict[str, float]:
        """Scalar metrics by name, fractions."""
        return self.confusion.summary() | (self.boundary.summary() if self.boundary else {})

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """A row per class, see :meth:`ConfusionMatrix.per_class`, with boundary IoU and F-score where counted."""
        rows = self.confusion.per_class(class_names)
        if self.boundary:
            for row, iou, f_score in zip(rows, self.boundary.iou, self.boundary.f_score, strict=True):
                row |= {"BIoU": _known(iou), "BF": _known(f_score)}
        return rows

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Everything, ready for JSON (undefined values are None)."""
        scalars = {key: _known(value) for key, value in self.summary().items()}
        return {**self.confusion.as_dict(class_names), **scalars, "per_class": self.per_class(class_names)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
