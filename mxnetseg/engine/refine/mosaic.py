"""The refined patches of a scale, and the map that they make."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile

import numpy as np

from ...data.bilinear import Axis, blend, select
from ...errors import DataError
from .grid import Box
from .views import Index, Size, View

__all__ = ["IN_MEMORY", "Mosaic"]

# A pixel counts as refined only this far inside of a patch.
_FRAME = 10
IN_MEMORY = 16 << 20


class Mosaic(View):
    """Map of a scale made of patches; 0 where there is none.

    Patches stay in memory up to 16 MiB; beyond, they are in a file without a name, which vanishes with the process.

    Parameters
    ----------
    size : (int, int)
        Height and width of the scale.
    boxes : sequence of Box
        Where the patches lie, in the order in which they are added.
    average : bool
        Whether overlapping patches are averaged. Otherwise, as in MagNet's published program, the last one wins and
        is divided by the number of patches whose inner part covers the pixel.
    scratch : path, optional
        Folder of the file; the system's for temporary files when None.
    """

    def __init__(self, size: Size, boxes: Sequence[Box], average: bool = True, scratch: str | Path | None = None):
        self.size, self.average = size, average
        self._bounds = np.array([(b.top, b.bottom, b.left, b.right) for b in boxes], np.int64).reshape(-1, 4)
        self._shape = (0, 0, 0)
        self._file = SpooledTemporaryFile(IN_MEMORY, dir=scratch)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    @property
    def classes(self) -> int:
        """Number of planes."""
        return self._shape[0]

    def add(self, patch: np.ndarray) -> None:
        """Put the next patch (K, h, w), at whatever size, equal for all, into its rectangle.

        Raises
        ------
        DataError
            If there is no room for it.
        """
        self._shape = patch.shape
        try:
            self._file.seek(0, 2)
            # Rows first: those that a look needs lie together.
            self._file.write(np.ascontiguousarray(patch.transpose(1, 0, 2), np.float32).data)
        except OSError as error:
            raise DataError(
                f"refined patches cannot be kept ({error.strerror})",
                f"room in the folder for temporary files, {patch.nbytes / 2**20:.1f} MiB per patch",
                "name another folder, with --scratch (predict) or in the environment as TMPDIR",
            ) from error

    def take(self, rows: Index, columns: Index) -> np.ndarray:
        """See :meth:`.views.View.take`."""
        result = np.zeros((self._shape[0], len(rows), len(columns)), np.float32)
        for number, ys, xs in self._crossing(rows, columns):
            top, bottom, left, right = self._bounds[number]
            down = Axis(self._shape[1], bottom - top, rows[ys] - top)
            across = Axis(self._shape[2], right - left, columns[xs] - left)
            values = blend(self._read(number, down.needed, across.needed), down, across)
            if self.average:
                result[:, ys, xs] += values
            else:
                result[:, ys, xs] = values
        counts = self._counts(rows, columns, 0 if self.average else _FRAME)
        if counts.max(initial=0) > 1:
            result /= np.maximum(counts, 1).astype(np.float32)
        return result

    def covered(self, rows: Index, columns: Index) -> np.ndarray:
        """Mask of the crossings that are in any patch."""
        return self._counts(rows, columns, 0) > 0

    def mask(self, rows: Index, columns: Index) -> np.ndarray:
        """Mask of the crossings that are inside of a patch by more than its frame of 10 pixels."""
        return self._counts(rows, columns, _FRAME) > 0

    def _counts(self, rows: Index, columns: Index, frame: int) -> np.ndarray:
        counts = np.zeros((len(rows), len(columns)), np.uint16)
        for _, ys, xs in self._crossing(rows, columns, frame):
            counts[ys, xs] += 1
        return counts

    def _crossing(self, rows: Index, columns: Index, frame: int = 0) -> Iterator[tuple[int, slice, slice]]:
        """Patches, without their frame, that some rows and columns cross, and which of these do."""
        if not (len(rows) and len(columns)):
            return
        top, bottom, left, right = (self._bounds + np.array([frame, -frame] * 2)).T
        near = (top <= rows[-1]) & (bottom > rows[0]) & (left <= columns[-1]) & (right > columns[0])
        for number in np.flatnonzero(near):
            ys = slice(*np.searchsorted(rows, (top[number], bottom[number])))
            xs = slice(*np.searchsorted(columns, (left[number], right[number])))
            if ys.start < ys.stop and xs.start < xs.stop:
                yield int(number), ys, xs

    def _read(self, number: int, rows: Index, columns: Index) -> np.ndarray:
        """Crossings of some rows and columns of a patch: float32 (K, rows, columns)."""
        classes, height, width = self._shape
        first, count = int(rows[0]), int(rows[-1] - rows[0] + 1)
        row = 4 * classes * width
        self._file.seek((number * height + first) * row)
        values = np.frombuffer(self._file.read(count * row), np.float32).reshape(count, classes, width)
        return select(values.transpose(1, 0, 2), rows - first, columns, axis=1)
