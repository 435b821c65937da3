"""ResNet-18 of half and of a quarter of the width, for small data and quick runs (blocks of He et al., CVPR 2016)."""

from __future__ import annotations

from typing import Any

from gluoncv.model_zoo.resnetv1b import BasicBlockV1b
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride

__all__ = ["NarrowResNet", "resnet18_half", "resnet18_quarter"]


class NarrowResNet(Backbone):
    """Stem and four stages of two basic blocks.

    Parameters
    ----------
    widths : tuple of int
        Channels of the four stages.
    norm : callable
        Constructor of the normalisation.
    output_stride : int
        32; or 8, where the last two stages dilate instead of striding.
    """

    def __init__(self, widths: tuple[int, int, int, int], norm: NormLayer, output_stride: int = 32):
        super().__init__()
        self.channels = widths
        stages = ((1, 1), (2, 1), (1, 2), (1, 4)) if output_stride == 8 else ((1, 1), (2, 1), (2, 1), (2, 1))
        with self.name_scope():
            self.conv1 = nn.Conv2D(widths[0], 7, strides=2, padding=3, use_bias=False, in_channels=3)
            self.bn1 = norm(in_channels=widths[0])
            self.relu = nn.Activation("relu")
            self.maxpool = nn.MaxPool2D(3, strides=2, padding=1)
            for number, (width, stage) in enumerate(zip(widths, stages, strict=True), start=1):
                setattr(self, f"layer{number}", _stage(width, *stage, number > 1, norm))

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _stage(width: int, stride: int, dilation: int, widens: bool, norm: NormLayer) -> nn.HybridSequential:
    """Two blocks; the first one dilates half as much as the second, as in GluonCV's dilated networks."""
    stage, shortcut = nn.HybridSequential(prefix=""), None
    if widens:
        shortcut = nn.HybridSequential(prefix="")
        shortcut.add(nn.Conv2D(width, 1, strides=stride, use_bias=False), norm(in_channels=width))
    first = max(dilation // 2, 1)
    stage.add(BasicBlockV1b(width, stride, first, shortcut, dilation, norm_layer=norm))
    stage.add(BasicBlockV1b(width, 1, dilation, None, dilation, norm_layer=norm))
    return stage


@BACKBONES.register("resnet18_half", channels=(32, 64, 128, 256), strides=(8, 32))
def resnet18_half(norm: NormLayer, output_stride: int = 32) -> NarrowResNet:
    """ResNet-18 of half width, without ImageNet weights."""
    require_stride("resnet18_half", output_stride, (8, 32))
    return NarrowResNet((32, 64, 128, 256), norm, output_stride)


@BACKBONES.register("resnet18_quarter", channels=(16, 32, 64, 128), strides=(8, 32))
def resnet18_quarter(norm: NormLayer, output_stride: int = 32) -> NarrowResNet:
    """ResNet-18 of a quarter of the width, without ImageNet weights."""
    require_stride("resnet18_quarter", output_stride, (8, 32))
    return NarrowResNet((16, 32, 64, 128), norm, output_stride)
