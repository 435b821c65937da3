"""Where the refined patches of a scale are put together."""

from __future__ import annotations

import numpy as np

from .grid import Box
from .maps import resize_bilinear

__all__ = ["Mosaic"]

# A pixel counts as refined only this far inside of a patch.
_FRAME = 10


class Mosaic:
    """Map of a scale made of patches; 0 where there is none.

    Parameters
    ----------
    size : (int, int)
        Height and width of the scale.
    classes : int
        Number of maps.
    average : bool
        Whether overlapping patches are averaged. Otherwise, as in MagNet's published program, the last one wins and
        is divided by the number of patches whose inner part covers the pixel.
    """

    def __init__(self, size: tuple[int, int], classes: int, average: bool = True):
        self.maps, self.average = np.zeros((classes, *size), np.float32), average
        self._patches, self._inner = (np.zeros(size, np.uint16) for _ in range(2))

    def add(self, box: Box, patch: np.ndarray) -> None:
        """Put a patch (K, h, w), at whatever size, into its rectangle."""
        rows, columns = box.slices
        target = self.maps[:, rows, columns]
        patch = resize_bilinear(patch, target.shape[1:])
        if self.average:
            target += patch
        else:
            target[:] = patch
        self._patches[rows, columns] += 1
        inner = np.s_[rows.start + _FRAME : rows.stop - _FRAME, columns.start + _FRAME : columns.stop - _FRAME]
        self._inner[inner] += 1

    @property
    def covered(self) -> np.ndarray:
        """Mask (H, W) of the pixels in any patch."""
        return self._patches > 0

    @property
    def mask(self) -> np.ndarray:
        """Mask (H, W) of the pixels inside of a patch by more than its frame of 10 pixels."""
        return self._inner > 0

    def finish(self) -> np.ndarray:
        """Map (K, H, W) of all patches; none can be added after that."""
        counts = self._patches if self.average else self._inner
        if counts.max() > 1:
            self.maps /= np.maximum(counts, 1).astype(np.float32)
        return self.maps
