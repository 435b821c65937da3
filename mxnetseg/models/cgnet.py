"""CGNet: a light-weight context guided network for semantic segmentation (Wu et al., TIP 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .backbones.mobilenetv3 import SqueezeExcite
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, NormPReLU, PReLU, concat
from .layers.pool import halved

__all__ = ["CGNet", "ContextGuided", "ContextGuidedDown"]


@MODELS.register("CGNet", aliases=("cg",), paper="Wu et al., TIP 2020", realtime=True)
class CGNet(SegmentationModel):
    """CGNet: local and surrounding context joined and weighted by global context, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    m, n : int
        Context guided blocks at stride 4 and at stride 8, at least 2 of each.
    dropout : bool
        Dropout of channels in front of the classifier.
    norm : str or callable
        Normalisation.
    """

    align_corners = False

    def __init__(self, num_classes: int, m: int = 3, n: int = 21, dropout: bool = False, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, norm=norm, output_stride=8)
        norm = partial(self.norm, epsilon=1e-3)
        with self.name_scope():
            self.level1_0 = _module(32, 3, 3, norm, strides=2)
            self.level1_1, self.level1_2 = (_module(32, 32, 3, norm) for _ in range(2))
            self.b1 = NormPReLU(35, norm)
            self.level2_0 = ContextGuidedDown(64, 35, 2, 8, norm)
            self.level2 = _blocks(m - 1, 64, 2, 8, norm)
            self.bn_prelu_2 = NormPReLU(131, norm)
            self.level3_0 = ContextGuidedDown(128, 131, 4, 16, norm)
            self.level3 = _blocks(n - 1, 128, 4, 16, norm)
            self.bn_prelu_3 = NormPReLU(256, norm)
            self.drop = nn.Dropout(0.1, axes=(2, 3)) if dropout else None
            self.classifier = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=256)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        half = halved(F, x)
        y = self.b1(concat(F, self.level1_2(self.level1_1(self.level1_0(x))), half))
        down = self.level2_0(y)
        y = self.bn_prelu_2(concat(F, self.level2(down), down, halved(F, half)))
        down = self.level3_0(y)
        y = self.bn_prelu_3(concat(F, down, self.level3(down)))
        yield self.classifier(self.drop(y) if self.drop else y)


class ContextGuided(gluon.HybridBlock):
    """Context guided block with a global shortcut (fig. 3c).

    Parameters
    ----------
    channels : int
        Input and output channels.
    dilation : int
        Of the convolution that sees the surroundings.
    reduction : int
        Of the channels from which their weights are computed.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, dilation: int, reduction: int, norm_layer: NormLayer):
        super().__init__()
        self.conv1x1 = _module(channels // 2, channels, 1, norm_layer)
        self.F_loc, self.F_sur = (_depthwise(channels // 2, d) for d in (1, dilation))
        self.bn_prelu = NormPReLU(channels, norm_layer)
        self.F_glo = SqueezeExcite(channels, channels // reduction, "sigmoid")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.conv1x1(x)
        return x + self.F_glo(self.bn_prelu(concat(F, self.F_loc(y), self.F_sur(y))))


class ContextGuidedDown(gluon.HybridBlock):
    """Context guided block that halves the size, without shortcut.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    dilation, reduction : int
        As for :class:`ContextGuided`.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(self, channels: int, in_channels: int, dilation: int, reduction: int, norm_layer: NormLayer):
        super().__init__()
        self.conv1x1 = _module(channels, in_channels, 3, norm_layer, strides=2)
        self.F_loc, self.F_sur = (_depthwise(channels, d) for d in (1, dilation))
        self.bn = norm_layer(in_channels=2 * channels)
        self.act = PReLU(channels=2 * channels)
        self.reduce = nn.Conv2D(channels, 1, use_bias=False, in_channels=2 * channels)
        self.F_glo = SqueezeExcite(channels, channels // reduction, "sigmoid")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.conv1x1(x)
        return self.F_glo(self.reduce(self.act(self.bn(concat(F, self.F_loc(y), self.F_sur(y))))))


def _module(channels: int, in_channels: int, kernel: int, norm: NormLayer, strides: int = 1) -> ConvModule2d:
    """Convolution, normalisation and PReLU."""
    window = (channels, kernel, strides, kernel // 2)
    return ConvModule2d(*window, in_channels=in_channels, norm_layer=norm, activation=PReLU(channels=channels))


def _depthwise(channels: int, dilation: int) -> nn.Conv2D:
    """Bare depthwise 3x3 convolution."""
    return nn.Conv2D(channels, 3, 1, dilation, dilation, channels, use_bias=False, in_channels=channels)


def _blocks(count: int, channels: int, dilation: int, reduction: int, norm: NormLayer) -> nn.HybridSequential:
    """Context guided blocks one after the other."""
    layers = nn.HybridSequential()
    layers.add(*(ContextGuided(channels, dilation, reduction, norm) for _ in range(count)))
    return layers
