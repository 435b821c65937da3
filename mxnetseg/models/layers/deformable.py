"""Modulated deformable convolution that has a gradient on CPU."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from .concat import concat
from .mode import building_for_inference

__all__ = ["ModulatedDeformableConv2d"]

_TAPS = 9


class ModulatedDeformableConv2d(gluon.HybridBlock):
    """3x3 deformable convolution with modulation (Zhu et al., CVPR 2019, eq. 1), stride 1, padding 1.

    A plain 3x3 convolution of the input, zero at the start, predicts for every output pixel, deformable group
    and kernel position a shift (dy, dx) in pixels and, as twice a sigmoid, a weight.

    MXNet's operator cannot be differentiated on CPU, so only inference graphs use it. Training graphs compute the
    same from bilinear sampling, a product with the weights and a 1x1 convolution. They hold 18 floats per input
    channel and pixel until the backward pass.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels; `in_channels` is a multiple of `groups`.
    groups : int
        Deformable groups: each has its own shifts and weights for its share of the input channels.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int, groups: int = 8):
        super().__init__()
        self._channels, self._groups = channels, groups
        size = (in_channels, 3, 3)
        self.deformable_conv_weight = self.params.get("deformable_conv_weight", shape=(channels, *size))
        self.deformable_conv_bias = self.params.get("deformable_conv_bias", shape=(channels,), init="zeros")
        predicted = 3 * groups * _TAPS
        self.offset_weight = self.params.get("offset_weight", shape=(predicted, *size), init="zeros")
        self.offset_bias = self.params.get("offset_bias", shape=(predicted,), init="zeros")

    def hybrid_forward(
        self,
        F: Any,
        x: Any,
        deformable_conv_weight: Any,
        deformable_conv_bias: Any,
        offset_weight: Any,
        offset_bias: Any,
    ) -> Any:
        shifts, last = 2 * self._groups * _TAPS, 3 * self._groups * _TAPS
        window = {"kernel": (3, 3), "pad": (1, 1)}
        predicted = F.Convolution(x, offset_weight, offset_bias, num_filter=last, **window)
        offset = F.slice_axis(predicted, axis=1, begin=0, end=shifts)
        mask = 2 * F.sigmoid(F.slice_axis(predicted, axis=1, begin=shifts, end=last))
        if building_for_inference():
            return F.contrib.ModulatedDeformableConvolution(
                x,
                offset,
                mask,
                deformable_conv_weight,
                deformable_conv_bias,
                num_filter=self._channels,
                num_deformable_group=self._groups,
                **window,
            )
        columns = self._columns(F, x, offset, mask)
        weight = F.reshape(deformable_conv_weight, shape=(0, -1, 1, 1))
        return F.Convolution(columns, weight, deformable_conv_bias, num_filter=self._channels, kernel=(1, 1))

    def _columns(self, F: Any, x: Any, offset: Any, mask: Any) -> Any:
        """Weighted samples (N, in_channels * 9, H, W), the kernel positions of a channel beside each other."""
        x, offset, mask = (self._by_group(F, y) for y in (x, offset, mask))
        samples = F.BilinearSampler(_bordered(F, x), _grid(F, offset))
        samples = F.reshape(samples, shape=(0, 0, -4, _TAPS, -1, 0))
        columns = F.reshape(F.broadcast_mul(samples, F.expand_dims(mask, axis=1)), shape=(0, -3, 0, 0))
        return F.reshape(F.reshape(columns, shape=(-4, -1, self._groups, 0, 0, 0)), shape=(0, -3, 0, 0))

    def _by_group(self, F: Any, x: Any) -> Any:
        """The channels of each deformable group as a sample of their own: (N * groups, C / groups, H, W)."""
        return F.reshape(F.reshape(x, shape=(0, -4, self._groups, -1, 0, 0)), shape=(-3, 0, 0, 0))


def _bordered(F: Any, x: Any) -> Any:
    """`x` with one pixel of zeros around it: sampling outside fades to zero, and no side is a single pixel."""
    return F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1), constant_value=0)


def _grid(F: Any, offset: Any) -> Any:
    """Where to sample in the bordered map, from -1 to 1, x before y: (N, 2, 9 * H, W) for shifts (N, 18, H, W)."""
    shifts = F.reshape(offset, shape=(0, -4, _TAPS, 2, 0, 0))
    tap = F.contrib.arange_like(shifts, axis=1)
    row = F.floor(tap / 3)
    column = tap - 3 * row
    return concat(F, _coordinate(F, shifts, column, 1), _coordinate(F, shifts, row, 0))


def _coordinate(F: Any, shifts: Any, tap: Any, axis: int) -> Any:
    """Vertical (axis 0) or horizontal (axis 1) part of the grid, (N, 1, 9 * H, W), for shifts (N, 9, 2, H, W)."""
    shift = F.reshape(F.slice_axis(shifts, axis=2, begin=axis, end=axis + 1), shape=(0, -3, 0, 0))
    pixel = F.contrib.arange_like(shifts, axis=3 + axis)
    last = F.reshape(F.max(pixel, axis=0, keepdims=True) + 2, shape=(1, 1, 1, 1))
    pixel = F.reshape(pixel, shape=(1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1))
    unmoved = F.broadcast_add(F.reshape(tap, shape=(1, -1, 1, 1)), pixel)
    position = F.broadcast_add(shift, F.BlockGrad(unmoved))
    scaled = F.broadcast_mul(position, F.BlockGrad(2 / last)) - 1
    return F.expand_dims(F.reshape(scaled, shape=(0, -3, 0)), axis=1)
