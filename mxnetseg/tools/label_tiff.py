"""Labels of pictures that are never in memory as a whole: written as a TIFF in tiles, and reduced to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tifffile import TiffWriter

from ..data.tiff import TiffPicture
from ..engine.atomic import remove_stray_files, replacing
from ..engine.refine.views import assemble, blocks
from ..engine.scores import label_dtype

__all__ = ["reduced_labels", "write_labels"]

Size = tuple[int, int]
LabelsAt = Callable[[np.ndarray, np.ndarray], np.ndarray]

_TILE = 512
# GeoTIFF 1.1 (OGC 19-008r4), sec. 7: where the pixels lie on the earth.
_GEOTIFF_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
_CLASSIC_BYTES = 2**31


def write_labels(path: Path, source: TiffPicture, labels_at: LabelsAt, palette: np.ndarray) -> None:
    """Write labels, compressed without loss, with their colours and the place on the earth that the picture has.

    Parameters
    ----------
    path : Path
        Appears when it is complete.
    source : TiffPicture
        The picture.
    labels_at : callable
        Gives the labels at the crossings of some rows and columns.
    palette : ndarray of uint8, (K, 3)
        RGB colours; more than 256 classes are written without.
    """
    dtype = np.dtype(label_dtype(len(palette)))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stray_files(path.parent)
    colors = {"photometric": "minisblack"}
    if dtype == np.uint8:
        table = np.zeros((3, 256), np.uint16)
        table[:, : len(palette)] = palette.T.astype(np.uint16) * 257
        colors = {"photometric": "palette", "colormap": table}
    big = source.size[0] * source.size[1] * dtype.itemsize > _CLASSIC_BYTES
    with replacing(path) as temporary, TiffWriter(temporary, bigtiff=big) as file:
        file.write(
            _tiles(source.size, labels_at, dtype),
            shape=source.size,
            dtype=dtype,
            tile=(_TILE, _TILE),
            compression="zlib",
            metadata=None,
            software="mxnetseg",
            maxworkers=1,
            extratags=_place_on_earth(source),
            **colors,
        )


def _tiles(size: Size, labels_at: LabelsAt, dtype: np.dtype) -> Iterator[np.ndarray]:
    for rows, columns in blocks(size, _TILE):
        tile = np.zeros((_TILE, _TILE), dtype)
        tile[: len(rows), : len(columns)] = labels_at(rows, columns)
        yield tile


def _place_on_earth(source: TiffPicture) -> list[tuple]:
    tags = (source.page.tags.get(code) for code in _GEOTIFF_TAGS)
    return [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in tags if tag is not None]


def reduced_labels(labels_at: LabelsAt, size: Size, reduced: Size) -> np.ndarray:
    """Labels of a picture at a smaller size: that of the pixel in the middle.

    Parameters
    ----------
    labels_at : callable
        As for :func:`write_labels`.
    size, reduced : (int, int)
        Height and width, before and after.

    Returns
    -------
    ndarray of uint8 or uint16, (H, W)
    """
    rows, columns = ((np.arange(m) * n + n // 2) // m for n, m in zip(size, reduced, strict=True))
    first = labels_at(rows[:1], columns[:1])
    return assemble(np.empty(reduced, first.dtype), lambda ys, xs: labels_at(rows[ys], columns[xs]), 64)
