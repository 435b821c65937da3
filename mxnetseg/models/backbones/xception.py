"""Xception backbones: GluonCV's modified aligned Xception-65, and the Xception-39 of BiSeNet."""

from __future__ import annotations

from typing import Any

from gluoncv.model_zoo.xception import Xception65
from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, DepthwiseSeparableConv2d, NormLayer, relu
from .base import Backbone, require_stride

__all__ = ["Xception39Backbone", "Xception65Backbone", "xception39", "xception65"]


class Xception65Backbone(Backbone):
    """Modified aligned Xception-65 (Chen et al., ECCV 2018, fig. 4).

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.
    output_stride : int
        8, 16 or 32.

    Outputs: c1 (128, stride 4), c2 (256, stride 8), c3 (728, end of the middle flow), c4 (2048).
    """

    channels = (128, 256, 728, 2048)
    imagenet = "xception"

    def __init__(self, norm: NormLayer, output_stride: int = 32):
        super().__init__()
        net = Xception65(output_stride=output_stride, norm_layer=norm)
        for child in ("conv1", "bn1", "conv2", "bn2", "relu", "block1", "block2", "block3", "midflow", "block20"):
            setattr(self, child, getattr(net, child))
        for child in ("conv3", "bn3", "conv4", "bn4", "conv5", "bn5"):
            setattr(self, child, getattr(net, child))

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        c1 = self.relu(self.block1(x))
        c2 = self.block2(c1)
        c3 = self.midflow(self.block3(c2))
        x = self.relu(self.block20(c3))
        x = self.relu(self.bn3(self.conv3(x)))
        x = self.relu(self.bn4(self.conv4(x)))
        return c1, c2, c3, self.relu(self.bn5(self.conv5(x)))


class Xception39Backbone(Backbone):
    """Xception-39 (Yu et al., ECCV 2018): 4, 8 and 4 blocks at strides 8, 16 and 32.

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.

    Outputs: c1 (8, stride 4), c2 (64, stride 8), c3 (128, stride 16), c4 (256, stride 32).
    """

    channels = (8, 64, 128, 256)
    renamed = {"conv1.": "conv."}

    def __init__(self, norm: NormLayer):
        super().__init__()
        self.conv = ConvModule2d(8, 3, 2, 1, in_channels=3, norm_layer=norm)
        self.max_pool = nn.MaxPool2D(3, 2, 1)
        self.layer1 = _stage(4, 8, 16, norm)
        self.layer2 = _stage(8, 64, 32, norm)
        self.layer3 = _stage(4, 128, 64, norm)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.max_pool(self.conv(x))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        return c1, c2, c3, self.layer3(c3)


class _Block(gluon.HybridBlock):
    """Residual block of three separable convolutions; the output has four times the middle width."""

    def __init__(self, in_channels: int, middle: int, stride: int, norm: NormLayer):
        super().__init__()
        common = {"kernel_size": 3, "padding": 1, "norm_layer": norm, "pattern": "xception"}
        self.residual = nn.HybridSequential()
        self.residual.add(
            DepthwiseSeparableConv2d(middle, in_channels, strides=stride, **common),
            DepthwiseSeparableConv2d(middle, middle, **common),
            DepthwiseSeparableConv2d(4 * middle, middle, activation=None, **common),
        )
        self.down = None
        if stride > 1:
            self.down = ConvModule2d(4 * middle, 1, stride, in_channels=in_channels, norm_layer=norm, activation=None)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return relu(F, (self.down(x) if self.down else x) + self.residual(x))


def _stage(blocks: int, in_channels: int, middle: int, norm: NormLayer) -> nn.HybridSequential:
    """Blocks of one resolution; the first has stride 2."""
    stage = nn.HybridSequential()
    stage.add(_Block(in_channels, middle, 2, norm))
    for _ in range(blocks - 1):
        stage.add(_Block(4 * middle, middle, 1, norm))
    return stage


@BACKBONES.register("xception65", channels=(128, 256, 728, 2048), strides=(8, 16, 32))
def xception65(norm: NormLayer, output_stride: int = 32) -> Xception65Backbone:
    """Modified aligned Xception-65."""
    require_stride("xception65", output_stride, (8, 16, 32))
    return Xception65Backbone(norm, output_stride)


@BACKBONES.register("xception39", channels=(8, 64, 128, 256), strides=(32,))
def xception39(norm: NormLayer, output_stride: int = 32) -> Xception39Backbone:
    """Xception-39, the lightweight backbone of BiSeNet."""
    require_stride("xception39", output_stride, (32,))
    return Xception39Backbone(norm)
