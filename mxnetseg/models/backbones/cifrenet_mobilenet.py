"""CIFReNet's encoder (Jiang et al., IEEE TIP 2020): MobileNetV2, dilated from stride 8 on, without its last block."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, NormLayer
from .base import Backbone, require_stride

__all__ = ["CIFReMobileNet", "InvertedBottleneck", "cifrenet_mobilenet"]

# Channels, blocks, stride, expansion, dilation (Sandler et al., CVPR 2018, table 2, up to the row of 160 channels).
_STAGES = (
    (16, 1, 1, 1, 1),
    (24, 2, 2, 6, 1),
    (32, 3, 2, 6, 1),
    (64, 4, 1, 6, 2),
    (96, 3, 1, 6, 3),
    (160, 3, 1, 6, 5),
)


class CIFReMobileNet(Backbone):
    """Stem and six groups of inverted bottlenecks.

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.

    Outputs: c1 at stride 4; c2 (before dilation), c3 and c4 at stride 8.
    """

    channels = (24, 32, 96, 160)

    def __init__(self, norm: NormLayer):
        super().__init__()
        width = 32
        self.mod1 = ConvModule2d(width, 3, 2, 1, in_channels=3, norm_layer=norm, activation="relu6")
        for number, (channels, count, stride, factor, dilation) in enumerate(_STAGES, start=2):
            layer = nn.HybridSequential()
            for i in range(count):
                layer.add(InvertedBottleneck(width, channels, 1 if i else stride, factor, dilation, norm))
                width = channels
            setattr(self, f"mod{number}", layer)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.mod3(self.mod2(self.mod1(x)))
        c2 = self.mod4(c1)
        c3 = self.mod6(self.mod5(c2))
        return c1, c2, c3, self.mod7(c3)


class InvertedBottleneck(gluon.HybridBlock):
    """Expansion (always), depthwise convolution, linear projection (Sandler et al., CVPR 2018, fig. 4d).

    Parameters
    ----------
    in_channels, channels : int
        Input and output channels.
    stride : int
        Of the depthwise convolution; with 1 and equal channels there is a shortcut.
    factor : int
        Expansion.
    dilation : int
        Of the depthwise convolution.
    norm : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, factor: int, dilation: int, norm: NormLayer):
        super().__init__()
        self._shortcut = stride == 1 and in_channels == channels
        width, common = factor * in_channels, {"norm_layer": norm, "activation": "relu6"}
        self.conv = nn.HybridSequential()
        self.conv.add(ConvModule2d(width, 1, in_channels=in_channels, **common))
        self.conv.add(ConvModule2d(width, 3, stride, dilation, dilation, width, in_channels=width, **common))
        self.conv.add(ConvModule2d(channels, 1, in_channels=width, norm_layer=norm, activation=None))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.conv(x)
        return x + y if self._shortcut else y


@BACKBONES.register("cifrenet_mobilenet", channels=(24, 32, 96, 160), strides=(8,), reductions=(4, 8, 8, 8))
def cifrenet_mobilenet(norm: NormLayer, output_stride: int = 8) -> CIFReMobileNet:
    """CIFReNet's dilated MobileNetV2."""
    require_stride("cifrenet_mobilenet", output_stride, (8,))
    return CIFReMobileNet(norm)
