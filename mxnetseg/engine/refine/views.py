"""Maps (K, H, W) that are computed where they are looked at, so that none of them is ever in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...data.bilinear import Axis, blend, select
from .maps import certainty

__all__ = ["Fixed", "Resized", "Uncertainty", "View", "assemble", "blocks", "resized"]

Size = tuple[int, int]
Index = np.ndarray


class View:
    """A map that can be looked at in parts.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    classes : int
        Number of planes.
    """

    size: Size
    classes: int

    def take(self, rows: Index, columns: Index) -> np.ndarray:
        """Values, float32 (K, rows, columns), at the crossings of some rows and columns, both ascending."""
        raise NotImplementedError

    def whole(self) -> np.ndarray:
        """All of it, float32 (K, H, W)."""
        return assemble(np.empty((self.classes, *self.size), np.float32), self.take)


class Fixed(View):
    """A map in memory, float32 (K, H, W)."""

    def __init__(self, maps: np.ndarray):
        self._maps, self.size, self.classes = maps, maps.shape[1:], len(maps)

    def take(self, rows: Index, columns: Index) -> np.ndarray:
        """See :meth:`View.take`."""
        return select(self._maps, rows, columns, axis=1)


class Resized(View):
    """A map seen at another size: bilinear, half-pixel centres."""

    def __init__(self, base: View, size: Size):
        self._base, self.size, self.classes = base, tuple(size), base.classes

    def take(self, rows: Index, columns: Index) -> np.ndarray:
        """See :meth:`View.take`."""
        down, across = (Axis(*lengths) for lengths in zip(self._base.size, self.size, (rows, columns), strict=True))
        return blend(self._base.take(down.needed, across.needed), down, across)


class Uncertainty(View):
    """1 minus the difference of the two largest probabilities, (1, H, W) (sec. 3.3)."""

    def __init__(self, base: View):
        self._base, self.size, self.classes = base, base.size, 1

    def take(self, rows: Index, columns: Index) -> np.ndarray:
        """See :meth:`View.take`."""
        return 1 - certainty(self._base.take(rows, columns))[None]


def resized(base: View, size: Size) -> View:
    """Map at a size; the same where it has it."""
    return base if tuple(base.size) == tuple(size) else Resized(base, size)


def blocks(size: Size, side: int) -> Iterator[tuple[Index, Index]]:
    """Rows and columns of the squares that a map is cut into, in reading order; those at the ends are smaller."""
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            yield np.arange(top, min(top + side, size[0])), np.arange(left, min(left + side, size[1]))


def assemble(result: np.ndarray, part: Callable[[Index, Index], np.ndarray], side: int = 256) -> np.ndarray:
    """Fill an array (..., H, W) square by square with what `part` gives for rows and columns; returns it."""
    for rows, columns in blocks(result.shape[-2:], side):
        result[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = part(rows, columns)
    return result
