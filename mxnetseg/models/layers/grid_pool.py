"""Pooling over a grid of square cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .resize import mix_pixels, size_of

__all__ = ["square_grid_pool"]


def square_grid_pool(F: Any, x: Any, rows: int, transform: Callable[[Any], Any]) -> Any:
    """Average over a grid, transform each cell, resize bilinearly to the size of the map again.

    The grid has `rows` rows and round(rows * W / H) columns, ties to the even number, but at least one: its cells are
    nearly square at any aspect ratio (Orsic & Segvic, Pattern Recognition 2021). Cells are computed at
    the four neighbours of every pixel, so that one graph serves all sizes.

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, H, W).
    rows : int
        Rows of the grid.
    transform : callable
        Pointwise function of maps (M, C, H, W) -> (M, D, H, W). Batch statistics in it count every cell by the pixels
        that it is a neighbour of.

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, D, H, W).
    """
    pixels = [F.contrib.arange_like(size_of(F, x), axis=axis) for axis in (2, 3)]
    height, width = (F.max(p, axis=0, keepdims=True) + 1.0 for p in pixels)
    columns = F.maximum(_round_to_even(F, width * rows / height), 1.0)
    (upper, lower, down), (left, right, across) = (
        _neighbours(F, p, size, count)
        for p, size, count in zip(pixels, (height, width), (0 * height + rows, columns), strict=True)
    )
    corners = [mix_pixels(F, x, vertical, horizontal) for vertical in (upper, lower) for horizontal in (left, right)]
    corners = list(F.split(transform(F.concat(*corners, dim=0)), num_outputs=4, axis=0))
    across, down = F.reshape(across, shape=(1, 1, 1, -1)), F.reshape(down, shape=(1, 1, -1, 1))
    above, below = (a + F.broadcast_mul(b - a, across) for a, b in (corners[:2], corners[2:]))
    return above + F.broadcast_mul(below - above, down)


def _round_to_even(F: Any, value: Any) -> Any:
    """Nearest whole number, of two the even one."""
    up = F.floor(value + 0.5)
    return up - (up == value + 0.5) * (up - 2 * F.floor(up / 2))


def _neighbours(F: Any, pixel: Any, size: Any, count: Any) -> tuple[Any, Any, Any]:
    """Matrices (out, in) that average over each pixel's cells before and after it, and the weight of the latter."""
    position = F.broadcast_div(F.broadcast_mul(pixel + 0.5, count), size) - 0.5
    position = F.broadcast_minimum(F.relu(position), count - 1.0)
    before = F.floor(position)
    after = F.broadcast_minimum(before + 1.0, count - 1.0)
    return *(_cells(F, pixel, cell, size, count) for cell in (before, after)), F.BlockGrad(position - before)


def _cells(F: Any, pixel: Any, cell: Any, size: Any, count: Any) -> Any:
    """Matrix (out, in): row i averages over the pixels of cell i."""
    first = F.expand_dims(F.floor(F.broadcast_div(F.broadcast_mul(cell, size), count)), axis=1)
    end = F.expand_dims(F.ceil(F.broadcast_div(F.broadcast_mul(cell + 1.0, size), count)), axis=1)
    pixel = F.expand_dims(pixel, axis=0)
    inside = F.broadcast_greater_equal(pixel, first) * F.broadcast_lesser(pixel, end)
    return F.broadcast_div(inside, end - first)
