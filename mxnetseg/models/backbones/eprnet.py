"""EPRNet's backbone (Tang et al., IEEE T-ITS 2022): efficient pyramid representation, output stride 8."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import Activation, ConvModule2d, NormLayer, concat
from .base import Backbone, require_stride

__all__ = ["EPRNetBackbone", "eprnet_cls", "eprnet_cls_light"]

# Rates of the modules of each layer, and whether its last module halves the size.
_LAYERS = (
    ([(1, 2, 4)] * 2, True),
    ([(3, 6, 9)] * 4, True),
    ([(7, 13, 19), (13, 25, 37)], False),
)


class EPRNetBackbone(Backbone):
    """Strided convolution and three layers of pyramid modules with growing dilation.

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.
    light : bool
        Pyramids that sum three dilated convolutions, instead of concatenating them with a 1x1 convolution.
    activation : str
        Name of the activation.
    channels : tuple of int
        Channels of the stem and of the three layers.

    Outputs: c1 (stem, stride 2), c2 (stride 4), c3 (stride 8), c4 (stride 8).
    """

    def __init__(
        self,
        norm: NormLayer,
        light: bool = False,
        activation: str = "prelu",
        channels: tuple[int, int, int, int] = (16, 32, 64, 128),
    ):
        super().__init__()
        self.channels = tuple(channels)
        self.conv = nn.Conv2D(channels[0], 3, 2, 1, use_bias=False, in_channels=3)
        self.bn = norm(in_channels=channels[0])
        self.act = Activation(activation)
        for number, (rates, down) in enumerate(_LAYERS, start=1):
            layer, width = nn.HybridSequential(), channels[number - 1]
            for i, rate in enumerate(rates, start=1):
                last = down and i == len(rates)
                layer.add(_Module(width, channels[number], rate, last, light, norm, activation))
                width = channels[number]
            setattr(self, f"layer{number}", layer)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.act(self.bn(self.conv(x)))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        return c1, c2, c3, self.layer3(c3)


class _Module(gluon.HybridBlock):
    """Pyramid and 3x3 convolution, with a projected shortcut where the shape changes."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        rates: tuple[int, ...],
        down: bool,
        light: bool,
        norm: NormLayer,
        activation: str,
    ):
        super().__init__()
        stride = 2 if down else 1
        self.pyramid = _Pyramid(in_channels, channels, rates, light, norm, activation)
        self.compact = ConvModule2d(channels, 3, stride, 1, in_channels=channels, norm_layer=norm, activation=None)
        self.skip = None
        if down or in_channels != channels:
            self.skip = nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)
            self.skip_bn = norm(in_channels=channels)
        self.act = Activation(activation)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        shortcut = self.skip_bn(self.skip(x)) if self.skip else x
        return self.act(self.compact(self.pyramid(x)) + shortcut)


class _Pyramid(gluon.HybridBlock):
    """Grouped convolutions of several rates: concatenated with a 1x1 convolution and projected, or summed (light)."""

    def __init__(
        self, in_channels: int, channels: int, rates: tuple[int, ...], light: bool, norm: NormLayer, activation: str
    ):
        super().__init__()
        common = {"norm_layer": norm, "activation": activation}
        self.concurrent = nn.HybridSequential()
        for rate in rates:
            branch = ConvModule2d(channels, 3, 1, rate, rate, groups=in_channels, in_channels=in_channels, **common)
            self.concurrent.add(branch)
        self.conv1x1 = None
        if not light:
            self.concurrent.add(ConvModule2d(channels, 1, in_channels=in_channels, **common))
            self.conv1x1 = ConvModule2d(channels, 1, in_channels=len(self.concurrent) * channels, **common)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        branches = [branch(x) for branch in self.concurrent]
        return self.conv1x1(concat(F, *branches)) if self.conv1x1 else F.add_n(*branches)


@BACKBONES.register("eprnet_cls", channels=(16, 32, 64, 128), strides=(8,), reductions=(2, 4, 8, 8))
def eprnet_cls(norm: NormLayer, output_stride: int = 8, activation: str = "prelu") -> EPRNetBackbone:
    """EPRNet's backbone."""
    require_stride("eprnet_cls", output_stride, (8,))
    return EPRNetBackbone(norm, activation=activation)


@BACKBONES.register("eprnet_cls_light", channels=(16, 32, 64, 128), strides=(8,), reductions=(2, 4, 8, 8))
def eprnet_cls_light(norm: NormLayer, output_stride: int = 8, activation: str = "prelu") -> EPRNetBackbone:
    """EPRNet's light backbone."""
    require_stride("eprnet_cls_light", output_stride, (8,))
    return EPRNetBackbone(norm, light=True, activation=activation)
