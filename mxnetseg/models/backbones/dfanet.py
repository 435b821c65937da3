"""Xception backbones of DFANet (Li et al., CVPR 2019, tab. 1), with its attention over a thousand classes."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, DepthwiseSeparableConv2d, NormLayer
from ..layers.pool import global_mean
from .base import Backbone, require_stride

__all__ = ["DFANetBackbone", "SeparableUnit", "XceptionEncoder", "dfanet_xception_a", "dfanet_xception_b"]

_STEM = 8
# Widths of the last unit of the three groups; the units before have a quarter of them.
_A, _B = (48, 96, 192), (32, 64, 128)


class DFANetBackbone(Backbone):
    """A strided convolution and the encoder that DFANet repeats.

    Parameters
    ----------
    widths : (int, int, int)
        Channels of the three groups of the encoder.
    norm : callable
        Constructor of the normalisation.

    Outputs: c1 (stride 4), c2 (stride 8), c3 (stride 16), c4 (c3 weighted by its attention).
    """

    def __init__(self, widths: tuple[int, int, int], norm: NormLayer):
        super().__init__()
        self.channels = (*widths, widths[2])
        with self.name_scope():
            self.stem = ConvModule2d(_STEM, 3, 2, 1, in_channels=3, norm_layer=norm, activation=None)
            self.encoder = XceptionEncoder(widths, norm)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        return self.encoder(self.stem(x))


class XceptionEncoder(gluon.HybridBlock):
    """Three groups of three units, the last of stride 2, and attention (fig. 2).

    Parameters
    ----------
    widths : (int, int, int)
        Channels of the groups.
    norm_layer : callable
        Constructor of the normalisation.
    merges : bool
        Whether features of an encoder before are concatenated to the input of each group, and projected.

    Inputs: a map of 8 channels; with `merges`, the weighted map of the encoder before, at the size of the first of its
    groups, and the maps of these groups. Outputs: maps of the three groups, each of half the resolution of its input,
    then the last one weighted by its attention.
    """

    def __init__(self, widths: tuple[int, int, int], norm_layer: NormLayer = nn.BatchNorm, merges: bool = False):
        super().__init__()
        self._merges, before = merges, (_STEM, *widths[:2])
        for number, (in_channels, width, count) in enumerate(zip(before, widths, (4, 6, 4), strict=True), start=2):
            group = nn.HybridSequential()
            for i, o, stride in ((in_channels, width // 4, 1), (width // 4, width // 4, 1), (width // 4, width, 2)):
                group.add(SeparableUnit(i, o, count, stride, norm_layer))
            setattr(self, f"enc{number}", group)
            if merges:
                joint = width + (widths[2] if number == 2 else in_channels)
                setattr(self, f"merge{number}", nn.Conv2D(in_channels, 1, use_bias=False, in_channels=joint))
        self.fc = nn.Dense(1000, in_units=widths[2])
        self.fca = nn.Conv2D(widths[2], 1, in_channels=1000)

    def hybrid_forward(self, F: Any, x: Any, *before: Any) -> tuple[Any, ...]:
        outputs = []
        for i, group in enumerate((self.enc2, self.enc3, self.enc4)):
            if self._merges:
                x = getattr(self, f"merge{i + 2}")(F.concat(x, before[i], dim=1))
            x = group(x)
            outputs.append(x)
        weight = self.fca(F.reshape(self.fc(global_mean(F, x)), shape=(0, 0, 1, 1)))
        return *outputs, F.broadcast_mul(x, weight)


class SeparableUnit(gluon.HybridBlock):
    """Separable convolutions, each behind a ReLU, and a shortcut (Chollet, CVPR 2017, fig. 5).

    Parameters
    ----------
    in_channels, channels : int
        Input and output channels.
    count : int
        Number of convolutions.
    stride : int
        1, or 2: pooling after the convolutions.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, in_channels: int, channels: int, count: int, stride: int = 1, norm_layer: NormLayer = nn.BatchNorm
    ):
        super().__init__()
        common = {"norm_layer": norm_layer, "activation": None}
        self.rep, self.skip = nn.HybridSequential(), None
        for i in (in_channels, *[channels] * (count - 1)):
            self.rep.add(DepthwiseSeparableConv2d(channels, i, 3, padding=1, pattern="xception", **common))
        self.pool = nn.MaxPool2D(3, 2, 1) if stride == 2 else None
        if in_channels != channels or stride != 1:
            self.skip = ConvModule2d(channels, 1, stride, in_channels=in_channels, **common)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = x
        for layer in self.rep:
            y = layer(F.relu(y))
        y = self.pool(y) if self.pool else y
        return y + (self.skip(x) if self.skip else x)


@BACKBONES.register("dfanet_xception_a", channels=(48, 96, 192, 192), strides=(16,))
def dfanet_xception_a(norm: NormLayer, output_stride: int = 16) -> DFANetBackbone:
    """Xception A of DFANet, output stride 16."""
    require_stride("dfanet_xception_a", output_stride, (16,))
    return DFANetBackbone(_A, norm)


@BACKBONES.register("dfanet_xception_b", channels=(32, 64, 128, 128), strides=(16,))
def dfanet_xception_b(norm: NormLayer, output_stride: int = 16) -> DFANetBackbone:
    """Xception B of DFANet, output stride 16."""
    require_stride("dfanet_xception_b", output_stride, (16,))
    return DFANetBackbone(_B, norm)
