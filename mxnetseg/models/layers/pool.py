"""Average pooling to a size that is read from another map at run time."""

from __future__ import annotations

from typing import Any

from .concat import concat
from .mode import building_for_inference
from .resize import mix_pixels, size_of

__all__ = ["adaptive_avg_pool_like", "first_maxima", "global_mean", "halved", "shrunken_size", "unpool", "weigh"]


def shrunken_size(F: Any, x: Any, factor: int) -> Any:
    """Map (N, 1, max(1, H // factor), max(1, W // factor)) that only carries this size.

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, H, W).
    factor : int
        Even.
    """
    padded = {"kernel": (factor, factor), "stride": (factor, factor), "pad": (factor // 2, factor // 2)}
    one_more = F.Pooling(size_of(F, x), pool_type="max", **padded)
    # With a scale just below 1, this mode shrinks n > 1 pixels to n - 1, and leaves a single pixel as it is.
    return F.BlockGrad(F.contrib.BilinearResize2D(one_more, mode="odd_scale", scale_height=0.9999, scale_width=0.9999))


def adaptive_avg_pool_like(F: Any, x: Any, like: Any) -> Any:
    """Averages of `x` over as many bins as `like` has pixels.

    Bin i of n covers the pixels floor(i * h / n) to ceil((i + 1) * h / n) - 1, as in MXNet's
    ``AdaptiveAvgPooling2D``, whose number of bins is fixed when the graph is built.

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, h, w).
    like : NDArray or Symbol
        Map of shape (N', C', H, W); only its size is used, no gradient reaches it.

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, C, H, W).
    """
    source, target = size_of(F, x), size_of(F, like)
    return mix_pixels(F, x, *(_bins(F, source, target, axis) for axis in (2, 3)))


def _bins(F: Any, source: Any, target: Any, axis: int) -> Any:
    """Matrix (out, in) with the weight of every input pixel in every bin along one axis."""
    pixel = F.expand_dims(F.contrib.arange_like(source, axis=axis), axis=0)
    index = F.expand_dims(F.contrib.arange_like(target, axis=axis), axis=1)
    pixels, bins = (F.max(i, keepdims=True) + 1.0 for i in (pixel, index))
    first = F.floor(F.broadcast_div(F.broadcast_mul(index, pixels), bins))
    end = F.ceil(F.broadcast_div(F.broadcast_mul(index + 1.0, pixels), bins))
    inside = F.broadcast_greater_equal(pixel, first) * F.broadcast_lesser(pixel, end)
    return F.broadcast_div(inside, end - first)


def first_maxima(F: Any, x: Any) -> list[Any]:
    """Where the maximum of each 2x2 window is: one mask of (N, C, floor(H / 2), floor(W / 2)) per place in the window.

    The places are in row-major order; of equal values the first counts. No gradient passes.
    """
    x = F.BlockGrad(x)
    maxima = F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    left, masks = F.ones_like(maxima), []
    for row in (0, 1):
        for column in (0, 1):
            shifted = F.slice_axis(F.slice_axis(x, axis=2, begin=row, end=None), axis=3, begin=column, end=None)
            place = F.Pooling(shifted, kernel=(1, 1), stride=(2, 2), pool_type="max")
            masks.append(F.broadcast_equal(F.slice_like(place, maxima, axes=(2, 3)), maxima) * left)
            left = left - masks[-1]
    return masks


def unpool(F: Any, x: Any, masks: list[Any], like: Any) -> Any:
    """Put each value of (N, C, floor(H / 2), floor(W / 2)) where :func:`first_maxima` says, zeros elsewhere.

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Values.
    masks : list of NDArray or Symbol
        One mask per place in the window.
    like : NDArray or Symbol
        Map of shape (N', C', H, W); only its size is used.

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, C, H, W).
    """
    whole = F.depth_to_space(concat(F, *(x * mask for mask in masks)), block_size=2)
    one_more = F.pad(whole, mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 0, 1))
    return F.slice_like(one_more, F.BlockGrad(like), axes=(2, 3))


def halved(F: Any, x: Any) -> Any:
    """Averages (N, C, ceil(H / 2), ceil(W / 2)) over windows of 3x3 with stride 2; the zeros around the map count."""
    return F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=True)


def global_mean(F: Any, x: Any) -> Any:
    """Average (N, C, 1, 1) of each channel of (N, C, H, W).

    While training, a product with equal weights: the backward pass of MXNet's global pooling is 90 times
    slower on CPU, and the forward pass of its ``mean`` six times.
    """
    if building_for_inference():
        return F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1))
    channel = F.slice_axis(F.slice_axis(F.BlockGrad(x), axis=0, begin=0, end=1), axis=1, begin=0, end=1)
    weight = F.softmax(F.zeros_like(F.reshape(channel, shape=(1, -1))))
    mean = F.FullyConnected(F.reshape(x, shape=(0, 0, -1)), weight, num_hidden=1, no_bias=True, flatten=False)
    return F.expand_dims(mean, axis=3)


def weigh(F: Any, x: Any, weight: Any) -> Any:
    """Product of `x` (N, C, H, W) and `weight`, of the same shape or with axes of length 1.

    While training, the weight is repeated first: the backward pass of ``broadcast_mul`` is several times slower on CPU.
    """
    if building_for_inference():
        return F.broadcast_mul(x, weight)
    return x * F.broadcast_like(weight, F.BlockGrad(x))
