"""DFANet's backbone (Li et al., CVPR 2019): a very narrow Xception with attention by a fully connected layer."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from mxnet import gluon, init
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, DepthwiseSeparableConv2d, NormLayer, concat, relu, resize_like
from ..layers.pool import global_mean, weigh
from .base import Backbone, require_stride

__all__ = ["DFANetXception", "DFAStage", "Widths", "XceptionUnit", "dfanet_xception_a", "dfanet_xception_b"]

STEM = 8
# Separable convolutions in every unit of enc2, enc3 and enc4.
_DEPTHS = (4, 6, 4)
# First value of the scale with which the convolutions of a unit end. At 1, every unit multiplies the gradient, and the
# 27 units in a row give the stem one that is ten thousand times larger.
_GAIN = 0.2
# Classes of ImageNet, where the fully connected layer comes from.
_VECTOR = 1000


class Widths(NamedTuple):
    """Channels inside and at the end of enc2, enc3 and enc4."""

    inner: tuple[int, int, int]
    outer: tuple[int, int, int]


class DFANetXception(Backbone):
    """Stem and first stage.

    Parameters
    ----------
    widths : Widths
        Channels.
    norm : callable
        Constructor of the normalisation.

    Outputs: c1, c2, c3 of enc2, enc3, enc4 at strides 4, 8, 16; c4: c3 with attention, at stride 16.
    """

    def __init__(self, widths: Widths, norm: NormLayer):
        super().__init__()
        self.widths, self.channels = widths, (*widths.outer, widths.outer[-1])
        self.stem = ConvModule2d(STEM, 3, 2, 1, in_channels=3, norm_layer=norm, activation=None)
        self.stage = DFAStage(widths, norm)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        return self.stage(self.stem(x))


class DFAStage(gluon.HybridBlock):
    """enc2, enc3, enc4 and their attention; a later stage takes in what the same part of the previous one gave.

    Parameters
    ----------
    widths : Widths
        Channels.
    norm : callable
        Constructor of the normalisation.
    later : bool
        Whether there is a previous stage (fig. 2: sub-network and sub-stage aggregation).

    Inputs: the stem's map; in a later stage, the four outputs of the previous one.
    Outputs: enc2, enc3, enc4, each half the size of the one before, and enc4 with attention.
    """

    def __init__(self, widths: Widths, norm: NormLayer, later: bool = False):
        super().__init__()
        o2, o3, o4 = widths.outer
        inputs = (STEM, o2, o3)
        sums = (o4 + o2, o2 + o3, o3 + o4)
        self._parts = []
        for number, depth in enumerate(_DEPTHS):
            shape = inputs[number], widths.inner[number], widths.outer[number]
            units = self._units(*shape, depth, norm)
            merge = nn.Conv2D(shape[0], 1, use_bias=False, in_channels=sums[number]) if later else None
            setattr(self, f"enc{number + 2}", units)
            setattr(self, f"enc{number + 2}_conv", merge)
            self._parts.append((merge, units))
        self.fc = nn.Dense(_VECTOR, in_units=o4)
        self.fca = nn.Conv2D(o4, 1, in_channels=_VECTOR)

    def hybrid_forward(self, F: Any, x: Any, *previous: Any) -> tuple[Any, ...]:
        if previous:
            # The first argument is enc2 then, and the last one enc4 with attention.
            *others, attended = previous
            previous, x = (x, *others), resize_like(F, attended, x)
        results = []
        for number, (merge, units) in enumerate(self._parts):
            x = units(merge(concat(F, x, previous[number])) if merge else x)
            results.append(x)
        vector = F.reshape(self.fc(global_mean(F, x)), shape=(0, 0, 1, 1))
        return (*results, weigh(F, x, self.fca(vector)))

    @staticmethod
    def _units(in_channels: int, inner: int, outer: int, depth: int, norm: NormLayer) -> nn.HybridSequential:
        """Three units, the last of which halves the size."""
        layers = nn.HybridSequential()
        layers.add(XceptionUnit(inner, in_channels, depth, norm))
        layers.add(XceptionUnit(inner, inner, depth, norm))
        layers.add(XceptionUnit(outer, inner, depth, norm, stride=2))
        return layers


class XceptionUnit(gluon.HybridBlock):
    """Separable convolutions behind ReLUs, maximum pooling where it strides, and a shortcut (Chollet, CVPR 2017).

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    depth : int
        Number of separable convolutions.
    norm : callable
        Constructor of the normalisation.
    stride : int
        1 or 2.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, channels: int, in_channels: int, depth: int, norm: NormLayer, stride: int = 1):
        super().__init__()
        linear = {"norm_layer": norm, "activation": None}
        last = linear | {"norm_layer": partial(norm, gamma_initializer=init.Constant(_GAIN))}
        self.rep = nn.HybridSequential()
        for number in range(depth):
            width, kind = channels if number else in_channels, last if number == depth - 1 else linear
            self.rep.add(DepthwiseSeparableConv2d(channels, width, 3, padding=1, pattern="xception", **kind))
        self.pool = nn.MaxPool2D(3, 2, 1) if stride == 2 else None
        changes = stride == 2 or in_channels != channels
        self.skip = ConvModule2d(channels, 1, stride, in_channels=in_channels, **linear) if changes else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = x
        for conv in self.rep:
            y = conv(relu(F, y))
        y = self.pool(y) if self.pool else y
        return y + (self.skip(x) if self.skip else x)


@BACKBONES.register("dfanet_xception_a", channels=(48, 96, 192, 192), strides=(16,), reductions=(4, 8, 16, 16))
def dfanet_xception_a(norm: NormLayer, output_stride: int = 16) -> DFANetXception:
    """Xception A of DFANet."""
    require_stride("dfanet_xception_a", output_stride, (16,))
    return DFANetXception(Widths((12, 24, 48), (48, 96, 192)), norm)


@BACKBONES.register("dfanet_xception_b", channels=(32, 64, 128, 128), strides=(16,), reductions=(4, 8, 16, 16))
def dfanet_xception_b(norm: NormLayer, output_stride: int = 16) -> DFANetXception:
    """Xception B of DFANet."""
    require_stride("dfanet_xception_b", output_stride, (16,))
    return DFANetXception(Widths((8, 16, 32), (32, 64, 128)), norm)
