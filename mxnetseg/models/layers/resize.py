"""Bilinear resizing of feature maps to the size of another map: the only resize of the package.

The size is read at run time, so one hybridized graph serves every input size. Two forms compute the
same numbers:

* for inference, MXNet's ``BilinearResize2D`` in mode ``like``;
* for training, two products with small interpolation matrices, because the backward pass of that
  operator is several times slower than its forward pass on CPU, and because in MXNet 1.9.1 it damages
  the gradient of the map that lends its size.
"""

from __future__ import annotations

from typing import Any

from .mode import building_for_inference

__all__ = ["double_like", "doubled_size", "resize_like"]


def resize_like(F: Any, x: Any, like: Any, align_corners: bool = True) -> Any:
    """Resize `x` bilinearly to the height and width of `like`.

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, h, w).
    like : NDArray or Symbol
        Map of shape (N', C', H, W); only its size is used, no gradient reaches it.
    align_corners : bool
        True: output pixel i samples i * (h - 1) / (H - 1).
        False: it samples (i + 0.5) * h / H - 0.5, clipped to the map.
        Where H is 1, it samples the first pixel in both cases.

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, C, H, W).
    """
    if building_for_inference():
        return F.contrib.BilinearResize2D(x, F.BlockGrad(like), mode="like", align_corners=align_corners)
    source, target = size_of(F, x), size_of(F, like)
    vertical, horizontal = (_interpolation(F, source, target, axis, align_corners) for axis in (2, 3))
    return mix_pixels(F, x, vertical, horizontal)


def double_like(F: Any, x: Any, like: Any) -> Any:
    """Repeat every pixel of (N, C, h, w) to the size of `like`, which is (2h or 2h - 1, 2w or 2w - 1).

    This is interpolation by the nearest pixel, floor(i * h / H). No gradient reaches `like`.
    """
    return F.slice_like(F.UpSampling(x, scale=2, sample_type="nearest"), F.BlockGrad(like), axes=(2, 3))


def doubled_size(F: Any, x: Any) -> Any:
    """Map (N, 1, 2h, 2w) that only carries this size."""
    return F.UpSampling(size_of(F, x), scale=2, sample_type="nearest")


def mix_pixels(F: Any, x: Any, vertical: Any, horizontal: Any) -> Any:
    """Multiply the columns of (N, C, h, w) by the constant matrix (H, h), its rows by (W, w)."""
    wide = F.reshape(F.dot(x, F.transpose(F.BlockGrad(horizontal))), shape=(-3, 0, 0))
    vertical = F.broadcast_like(F.expand_dims(vertical, axis=0), wide, lhs_axes=(0,), rhs_axes=(0,))
    mixed = F.batch_dot(F.BlockGrad(vertical), wide)
    return F.reshape_like(mixed, F.BlockGrad(x), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)


def size_of(F: Any, x: Any) -> Any:
    """One float32 channel of `x`, to carry its size (``slice`` divides by zero on oneDNN's blocked layouts)."""
    return F.BlockGrad(F.cast(F.slice_axis(x, axis=1, begin=0, end=1), dtype="float32"))


def _interpolation(F: Any, source: Any, target: Any, axis: int, align_corners: bool) -> Any:
    """Matrix (out, in) with the weight of every input pixel in every output pixel along one axis."""
    inputs = F.contrib.arange_like(source, axis=axis)
    outputs = F.contrib.arange_like(target, axis=axis)
    last_in, last_out = F.max(inputs, axis=0, keepdims=True), F.max(outputs, axis=0, keepdims=True)
    if align_corners:
        ratio = last_in / F.maximum(last_out, 1.0)
        position = F.broadcast_mul(outputs, ratio)
    else:
        ratio = (last_in + 1.0) / (last_out + 1.0) * (last_out > 0)
        position = F.broadcast_mul(outputs + 0.5, ratio) - 0.5
        position = F.broadcast_minimum(F.relu(position), last_in)
    distance = F.broadcast_sub(F.expand_dims(position, axis=1), F.expand_dims(inputs, axis=0))
    return F.relu(1.0 - F.abs(distance))
