"""Sampling of a map at displaced positions."""

from __future__ import annotations

from typing import Any

from .concat import concat

__all__ = ["warp"]


def warp(F: Any, x: Any, flow: Any, align_corners: bool = True) -> Any:
    """Sample `x` bilinearly at every pixel's position plus its displacement; outside the map it is 0.

    Map and displacements may differ in size: the corners of both lie on each other.

    Along a side of one pixel there is nowhere to go: the displacement has no effect there (MXNet's own
    ``GridGenerator`` divides by zero).

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, h, w).
    flow : NDArray or Symbol
        Displacements in its own pixels, (N, 2, H, W): channel 0 to the right, channel 1 downwards.
    align_corners : bool
        False stretches the positions about the centre by h / (h - 1) and w / (w - 1): what sampling does that takes
        the corners for those of pixels instead of their centres.

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, C, H, W).
    """
    right = _grid(F, F.slice_axis(flow, axis=1, begin=0, end=1), axis=3, shape=(1, 1, 1, -1))
    down = _grid(F, F.slice_axis(flow, axis=1, begin=1, end=2), axis=2, shape=(1, 1, -1, 1))
    if not align_corners:
        right, down = _stretch(F, right, x, axis=3), _stretch(F, down, x, axis=2)
    return F.BilinearSampler(x, concat(F, right, down))


def _grid(F: Any, displacement: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Positions along one axis, from -1 at the first pixel to 1 at the last."""
    start = F.reshape(F.contrib.arange_like(F.BlockGrad(displacement), axis=axis), shape=shape)
    last = F.maximum(F.max(start, keepdims=True), 1.0)
    return F.broadcast_div(F.broadcast_add(displacement, F.BlockGrad(start)), F.BlockGrad(last) / 2) - 1


def _stretch(F: Any, position: Any, x: Any, axis: int) -> Any:
    """Positions times n / (n - 1), n being the side of `x`."""
    last = F.max(F.contrib.arange_like(F.BlockGrad(x), axis=axis), axis=0, keepdims=True)
    ratio = F.reshape((last + 1) / F.maximum(last, 1.0), shape=(1, 1, 1, 1))
    return F.broadcast_mul(position, F.BlockGrad(ratio))
