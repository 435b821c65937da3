"""First stages of Fast-SCNN (Poudel et al., BMVC 2019, tab. 1), a backbone of its own."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, DepthwiseSeparableConv2d, NormLayer
from .base import Backbone, require_stride

__all__ = ["FastSCNNBackbone", "InvertedResidual", "fastscnn"]


class FastSCNNBackbone(Backbone):
    """Learning to downsample, and the bottlenecks of the global feature extractor.

    The first convolution has no padding, as in GluonCV: an odd side gives one pixel less than ceil(side / 2).

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.

    Outputs: c1 (48, stride 4), c2 (64, stride 8), c3 (64, stride 16), c4 (128, stride 32).
    """

    channels = (48, 64, 64, 128)

    def __init__(self, norm: NormLayer):
        super().__init__()
        strided = {"kernel_size": 3, "strides": 2, "padding": 1, "norm_layer": norm}
        with self.name_scope():
            self.conv = ConvModule2d(32, 3, 2, in_channels=3, norm_layer=norm)
            self.dsconv1 = DepthwiseSeparableConv2d(48, 32, **strided)
            self.dsconv2 = DepthwiseSeparableConv2d(64, 48, **strided)
            self.bottleneck1 = _stage(64, 64, 2, norm)
            self.bottleneck2 = _stage(64, 96, 2, norm)
            self.bottleneck3 = _stage(96, 128, 1, norm)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.dsconv1(self.conv(x))
        c2 = self.dsconv2(c1)
        c3 = self.bottleneck1(c2)
        return c1, c2, c3, self.bottleneck3(self.bottleneck2(c3))


class InvertedResidual(gluon.HybridBlock):
    """Expansion, depthwise convolution, linear projection (Sandler et al., CVPR 2018, tab. 1).

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels; the input is added where they are equal and the stride is 1.
    strides : int
        Of the depthwise convolution.
    norm_layer : callable
        Constructor of the normalisation.
    expansion : int
        Width inside, relative to the input.
    activation : str
        Name of the activation; the paper has ReLU6.
    expand_bias : bool
        Whether the expansion has a bias.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / strides), ceil(W / strides)).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        strides: int,
        norm_layer: NormLayer = nn.BatchNorm,
        expansion: int = 6,
        activation: str = "relu",
        expand_bias: bool = False,
    ):
        super().__init__()
        width = expansion * in_channels
        self._shortcut = strides == 1 and channels == in_channels
        after = {"norm_layer": norm_layer, "activation": activation}
        self.expand = ConvModule2d(width, 1, in_channels=in_channels, use_bias=expand_bias, **after)
        self.depthwise = ConvModule2d(width, 3, strides, 1, groups=width, in_channels=width, **after)
        self.project = ConvModule2d(channels, 1, in_channels=width, norm_layer=norm_layer, activation=None)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self._shortcut else y


def _stage(in_channels: int, channels: int, strides: int, norm: NormLayer) -> nn.HybridSequential:
    """Three blocks, the first of which is strided."""
    stage = nn.HybridSequential()
    stage.add(InvertedResidual(channels, in_channels, strides, norm))
    stage.add(*(InvertedResidual(channels, channels, 1, norm) for _ in range(2)))
    return stage


@BACKBONES.register("fastscnn", channels=(48, 64, 64, 128), strides=(32,))
def fastscnn(norm: NormLayer, output_stride: int = 32) -> FastSCNNBackbone:
    """First stages of Fast-SCNN."""
    require_stride("fastscnn", output_stride, (32,))
    return FastSCNNBackbone(norm)
