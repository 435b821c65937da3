"""Pictures of which only parts are looked at."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .bilinear import Axis, blend_grey, select

__all__ = ["ArrayPicture", "Picture", "ResizedPicture", "resized_picture"]

Size = tuple[int, int]


class Picture(Protocol):
    """RGB pixels, wherever they are kept.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    """

    size: Size

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Pixels at the crossings of some rows and columns, both ascending: uint8 (rows, columns, 3), RGB."""


class ArrayPicture:
    """Picture in memory.

    Parameters
    ----------
    pixels : ndarray of uint8, (H, W, 3)
    """

    def __init__(self, pixels: np.ndarray):
        self._pixels, self.size = pixels, pixels.shape[:2]

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See :meth:`Picture.take`."""
        return select(self._pixels, rows, columns)


class ResizedPicture:
    """Picture seen at another size, as ``cv2.resize`` makes it (bilinear, no antialiasing).

    Parameters
    ----------
    base : Picture
    size : (int, int)
        Height and width.
    """

    def __init__(self, base: Picture, size: Size):
        self._base, self.size = base, tuple(size)

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See :meth:`Picture.take`."""
        down, across = (Axis(*lengths) for lengths in zip(self._base.size, self.size, (rows, columns), strict=True))
        return blend_grey(self._base.take(down.needed, across.needed), down, across)


def resized_picture(base: Picture, size: Size) -> Picture:
    """Picture at a size; the same where it has it."""
    return base if base.size == tuple(size) else ResizedPicture(base, size)
