"""Where windows are summed up."""

from __future__ import annotations

import numpy as np

from .forward import Span
from .protocols import Windows
from .scores import divide_counts

__all__ = ["Canvas"]


class Canvas:
    """Sums of windows over some rows of an image; rows that no later window touches can be taken and forgotten.

    Parameters
    ----------
    rows, columns : Windows
        The grid.
    passes : int
        Sums per window (2 where the mirror image is added to it).
    height : int
        Rows held at a time: the image's, or at least those of a window.
    """

    def __init__(self, rows: Windows, columns: Windows, passes: int, height: int):
        self.rows, self.columns, self._height = rows, columns, height
        self._row_counts, self._column_counts = rows.counts() * passes, columns.counts()
        self._total: np.ndarray | None = None
        self._first = 0

    def target(self, classes: int, y: Span, x: Span) -> np.ndarray:
        """The part (K, h, w) to which the window at (y, x) is added."""
        if self._total is None:
            self._total = np.zeros((classes, self._height, self.columns.size), np.float32)
        return self._total[:, y[0].start - self._first : y[0].stop - self._first, x[0]]

    def take(self, stop: int) -> np.ndarray:
        """Mean (K, h, w) of the rows up to row `stop` of the image that were not forgotten; valid until `forget`."""
        rows = self._total[:, : stop - self._first]
        divide_counts(rows, self._row_counts[self._first : stop], self._column_counts)
        return rows

    def forget(self, stop: int) -> None:
        """Make room: drop the rows before row `stop` of the image."""
        done = stop - self._first
        kept = self._height - done
        self._total[:, :kept] = self._total[:, done:].copy()
        self._total[:, kept:] = 0
        self._first = stop
