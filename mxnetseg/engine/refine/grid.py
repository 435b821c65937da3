"""The patches of a scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Box", "grid"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """Rectangle of a map, in pixels (perhaps between them); the ends do not belong to it."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of a rectangle of whole pixels."""
        return np.arange(int(self.top), int(self.bottom)), np.arange(int(self.left), int(self.right))


def grid(size: Size, patch: Size) -> list[Box]:
    """Patches that cover a map, down the columns, from left to right.

    Neighbours overlap evenly where the patches do not fill the map exactly. The step is a whole number of pixels, so
    up to n - 2 of the last pixels of an axis with n patches belong to no patch.

    Parameters
    ----------
    size, patch : (int, int)
        Height and width of the map and of a patch.
    """
    rows, columns = (_starts(s, p) for s, p in zip(size, patch, strict=True))
    return [Box(y, x, y + patch[0], x + patch[1]) for x in columns for y in rows]


def _starts(size: int, patch: int) -> list[int]:
    count = -(-size // patch)
    step = int(patch - (count * patch - size) / max(count - 1, 1))
    return [i * step for i in range(count)]
