"""TIFF files whose pixels lie in tiles (GeoTIFF, BigTIFF, cloud-optimised): any part is read without the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from ..errors import DataError
from .bilinear import select
from .images import DamagedSampleError

__all__ = ["RETILE", "TiffPicture", "is_tiled_tiff"]

RETILE = "write it in tiles: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE -co BIGTIFF=IF_SAFER IN OUT.tif"

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TILE_VALUES = 64 << 20
_COLORS = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE)


def is_tiled_tiff(path: Path) -> bool:
    """Whether a file is a TIFF whose first picture lies in tiles.

    Raises
    ------
    DamagedSampleError
        If it begins like a TIFF and its structure cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) not in _SIGNATURES:
                return False
    except OSError as error:
        raise DamagedSampleError(f"cannot be read ({error.strerror})", "a readable file") from error
    with _open(path) as file:
        return file.pages.first.is_tiled


def _open(path: Path) -> TiffFile:
    try:
        return TiffFile(path)
    except Exception as error:  # whatever the library finds in a damaged file
        raise DamagedSampleError(f"damaged TIFF ({error})", "a complete file", "copy or write it again") from error


class TiffPicture:
    """The first picture of a tiled TIFF; a tile at a time is in memory.

    Grey, palette, RGB and more bands (the first three count) of 8 bits, or 16 reduced to 8. Tiles that the file leaves
    out are black.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DamagedSampleError
        If the file is damaged or truncated.
    DataError
        If its pixels are stored in another form.
    """

    def __init__(self, path: Path):
        self._file = _open(path)
        try:
            self.page: TiffPage = self._file.pages.first
            self._check_form()
            self._check_complete()
        except BaseException:
            self.close()
            raise
        self.size = (self.page.imagelength, self.page.imagewidth)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TiffPicture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See :meth:`.pictures.Picture.take`."""
        result = np.empty((len(rows), len(columns), 3), np.uint8)
        for down, top in _groups(rows, self.page.tilelength):
            for across, left in _groups(columns, self.page.tilewidth):
                tile = self._tile(top // self.page.tilelength, left // self.page.tilewidth)
                result[down, across] = select(tile, rows[down] - top, columns[across] - left)
        return result

    def _check_form(self) -> None:
        page, orientation = self.page, self.page.tags.get("Orientation")
        bands = f"{page.samplesperpixel} bands of {page.bitspersample} bits, photometric {int(page.photometric)}"
        for wrong, found in (
            (not page.is_tiled, "in strips"),
            (page.dtype not in (np.uint8, np.uint16) or page.bitspersample not in (8, 16), f"with {bands}"),
            (not self._is_color() or page.imagedepth != 1 or page.samplesperpixel == 2, f"with {bands}"),
            (page.tilelength * page.tilewidth * page.samplesperpixel > _TILE_VALUES, "with tiles too large"),
            (orientation is not None and orientation.value != 1, "that is to be turned (orientation tag)"),
        ):
            if wrong:
                raise DataError(f"a TIFF {found}", "tiles of grey, palette or RGB, 8 or 16 bits per band", RETILE)

    def _is_color(self) -> bool:
        page = self.page
        if page.photometric == PHOTOMETRIC.YCBCR:
            return page.compression == COMPRESSION.JPEG  # its decoder gives RGB
        return page.photometric in _COLORS

    def _check_complete(self) -> None:
        page, end = self.page, self._file.filehandle.size
        planes = page.samplesperpixel if page.planarconfig == 2 else 1
        tiles = -(-page.imagelength // page.tilelength) * -(-page.imagewidth // page.tilewidth)
        places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        missing = sum(offset + count > end for offset, count in places) + max(0, tiles * planes - len(places))
        if missing:
            raise DamagedSampleError(
                f"truncated TIFF, {missing} of {tiles * planes} tiles are missing", "a complete file", "copy it again"
            )

    def _tile(self, row: int, column: int) -> np.ndarray:
        """Pixels uint8 (h, w, 3) of a tile."""
        page = self.page
        across = -(-page.imagewidth // page.tilewidth)
        index = row * across + column
        if page.planarconfig == 2:
            plane = across * -(-page.imagelength // page.tilelength)
            first = range(3 if page.samplesperpixel > 2 else 1)
            return _rgb(np.concatenate([self._decode(index + i * plane) for i in first], axis=2), page)
        return _rgb(self._decode(index), page)

    def _decode(self, index: int) -> np.ndarray:
        """Values (h, w, bands) of one piece of the file."""
        page, file = self.page, self._file.filehandle
        shape = (page.tilelength, page.tilewidth, 1 if page.planarconfig == 2 else page.samplesperpixel)
        if not page.databytecounts[index]:
            return np.zeros(shape, page.dtype)
        tables = {"jpegtables": page.jpegtables} if page.jpegtables else {}
        try:
            # Nothing between these two: looking up a tag moves the file's position.
            file.seek(page.dataoffsets[index])
            content = file.read(page.databytecounts[index])
            return page.decode(content, index, _fullsize=True, **tables)[0].reshape(shape)
        except Exception as error:  # each codec has its own
            raise DamagedSampleError(
                f"damaged TIFF, tile {index} ({error})", "a complete file", "copy or write it again"
            ) from error


def _rgb(values: np.ndarray, page: TiffPage) -> np.ndarray:
    """RGB of 8 bits."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        return (page.colormap >> 8).astype(np.uint8).T[values[..., 0]]
    if values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    return values[..., :3] if values.shape[2] > 2 else np.repeat(values, 3, axis=2)


def _groups(index: np.ndarray, step: int) -> Iterator[tuple[slice, int]]:
    """Runs of an ascending index that fall into one tile each, and where that begins."""
    starts = np.flatnonzero(np.diff(index // step, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(index)], strict=True):
        yield slice(start, stop), int(index[start] // step * step)
