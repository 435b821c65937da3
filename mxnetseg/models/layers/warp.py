"""Sampling of a map at displaced positions."""

from __future__ import annotations

from typing import Any

__all__ = ["warp"]


def warp(F: Any, x: Any, flow: Any) -> Any:
    """Sample `x` bilinearly at every pixel's position plus its displacement; outside the map it is 0.

    Along a side of one pixel there is nowhere to go: the displacement has no effect there (MXNet's own
    ``GridGenerator`` divides by zero).

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, H, W).
    flow : NDArray or Symbol
        Displacements in pixels, (N, 2, H, W): channel 0 to the right, channel 1 downwards.

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, C, H, W).
    """
    right = _grid(F, F.slice_axis(flow, axis=1, begin=0, end=1), axis=3, shape=(1, 1, 1, -1))
    down = _grid(F, F.slice_axis(flow, axis=1, begin=1, end=2), axis=2, shape=(1, 1, -1, 1))
    return F.BilinearSampler(x, F.concat(right, down, dim=1))


def _grid(F: Any, displacement: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Positions along one axis, from -1 at the first pixel to 1 at the last."""
    start = F.reshape(F.contrib.arange_like(F.BlockGrad(displacement), axis=axis), shape=shape)
    last = F.maximum(F.max(start, keepdims=True), 1.0)
    return F.broadcast_div(F.broadcast_add(displacement, F.BlockGrad(start)), F.BlockGrad(last) / 2) - 1
