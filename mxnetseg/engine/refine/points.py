"""The pixels of a scale that take refined values."""

from __future__ import annotations

import numpy as np

from .maps import nearest

__all__ = ["Points"]


class Points:
    """The pixels of highest score of a map enlarged to nearest pixels; of equal ones the first in reading order.

    Parameters
    ----------
    scores : ndarray of float32, (h, w)
        Scores before the enlargement.
    size : (int, int)
        Height and width of the map.
    count : int
        Number of pixels to choose.
    """

    def __init__(self, scores: np.ndarray, size: tuple[int, int], count: int):
        self._scores, self._width = scores, size[1]
        self._rows, self._columns = (nearest(*lengths) for lengths in zip(scores.shape, size, strict=True))
        self._threshold, self._last = np.float32(-np.inf), size[0] * size[1]
        if count <= 0:
            self._threshold, self._last = np.float32(np.inf), -1
        elif count < self._last:
            self._choose(count)

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Mask of the crossings of some rows and columns."""
        scores = self.scores(rows, columns)
        tied = (scores == self._threshold) & (rows[:, None] * self._width + columns <= self._last)
        return (scores > self._threshold) | tied

    def scores(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Scores at the crossings of some rows and columns."""
        return self._scores[np.ix_(self._rows[rows], self._columns[columns])]

    def _choose(self, count: int) -> None:
        """Find the lowest score that is chosen, and the last pixel that is with this score."""
        height, width = self._scores.shape
        down, across = np.bincount(self._rows, minlength=height), np.bincount(self._columns, minlength=width)
        values, places = np.unique(self._scores, return_inverse=True)
        pixels = np.bincount(places.ravel(), weights=np.outer(down, across).ravel()).astype(np.int64)
        above = np.cumsum(pixels[::-1])[::-1] - pixels
        lowest = int(np.flatnonzero(above < count)[0])
        self._threshold = values[lowest]
        self._last = self._place_of_tie(count - int(above[lowest]), across)

    def _place_of_tie(self, number: int, across: np.ndarray) -> int:
        """Index, in reading order, of the `number`-th pixel whose score is the threshold."""
        tied = self._scores == self._threshold
        until = np.cumsum((tied @ across)[self._rows])
        row = int(np.searchsorted(until, number))
        in_row = tied[self._rows[row]][self._columns]
        before = int(until[row - 1]) if row else 0
        return row * self._width + int(np.flatnonzero(in_row)[number - before - 1])
