"""Bilinear resizing, pixel by pixel: a part of the result is the same whether or not the rest is computed."""

from __future__ import annotations

import numpy as np

__all__ = ["Axis", "blend", "blend_grey", "select"]

# OpenCV's weights of 8-bit pixels: so many parts make 1.
_PARTS = 2048


class Axis:
    """What some pixels of a resized axis are made of: half-pixel centres, no antialiasing.

    Parameters
    ----------
    source, target : int
        Length of the axis before and after.
    index : ndarray of int
        Pixels of the resized axis, ascending.

    Attributes
    ----------
    needed : ndarray of int
        Pixels of the source that they are made of, ascending.
    low, high : ndarray of int
        The two neighbours of each, as positions in `needed`.
    share : ndarray of float32
        Weight of the higher one.
    same : bool
        Whether the axis keeps its length, so that nothing is to be done.
    """

    def __init__(self, source: int, target: int, index: np.ndarray):
        self.same = source == target
        if self.same:
            self.needed, self.share = index, np.zeros(len(index), np.float32)
            self.low = self.high = np.arange(len(index))
            return
        # As OpenCV computes it, rounding included.
        position = ((index + 0.5) * (1 / (target / source)) - 0.5).astype(np.float32)
        low = np.floor(position)
        self.share = position - low
        low = low.astype(np.int64)
        pairs = np.clip(np.stack([low, low + 1]), 0, source - 1)
        self.needed, places = np.unique(pairs, return_inverse=True)
        self.low, self.high = places.reshape(pairs.shape)


def select(array: np.ndarray, rows: np.ndarray, columns: np.ndarray, axis: int = 0) -> np.ndarray:
    """Crossings of some rows (dimension `axis`) and columns (the next one), both ascending; a view where they touch."""
    for index in (rows, columns):
        if len(index) and index[-1] - index[0] + 1 == len(index):
            array = array[(slice(None),) * axis + (slice(index[0], index[-1] + 1),)]
        else:
            array = np.take(array, index, axis)
        axis += 1
    return array


def _shaped(values: np.ndarray, dimension: int, dimensions: int) -> np.ndarray:
    return values.reshape([-1 if i == dimension else 1 for i in range(dimensions)])


def blend(values: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """Resized maps.

    Parameters
    ----------
    values : ndarray of float32, (K, h, w)
        Rows ``rows.needed`` and columns ``columns.needed`` of the source.
    rows, columns : Axis

    Returns
    -------
    ndarray of float32, (K, len(rows.low), len(columns.low))
    """
    # Columns first: enlarging, there are fewer rows before than after, and whole rows are copied fast.
    for dimension, axis in ((2, columns), (1, rows)):
        if axis.same:
            continue
        low, high = (np.take(values, places, dimension) for places in (axis.low, axis.high))
        high -= low
        high *= _shaped(axis.share, dimension, 3)
        low += high
        values = low
    return values


def blend_grey(pixels: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """Resized picture, equal to ``cv2.resize`` of the whole one, which calculates with whole numbers.

    Parameters
    ----------
    pixels : ndarray of uint8, (h, w, 3)
        Rows ``rows.needed`` and columns ``columns.needed`` of the source.
    rows, columns : Axis

    Returns
    -------
    ndarray of uint8, (len(rows.low), len(columns.low), 3)
    """
    pixels = pixels.astype(np.int32)
    low, high = (_shaped(part, 1, 3) for part in _parts(columns))
    across = (pixels[:, columns.low] * low + pixels[:, columns.high] * high) >> 4
    low, high = (_shaped(part, 0, 3) for part in _parts(rows))
    down = ((across[rows.low] * low) >> 16) + ((across[rows.high] * high) >> 16)
    return ((down + 2) >> 2).astype(np.uint8)


def _parts(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    high = np.rint(axis.share * np.float32(_PARTS)).astype(np.int32)
    return _PARTS - high, high
