"""ResNet backbones of GluonCV (He et al., CVPR 2016).

v1b (stride in the 3x3 convolution of a bottleneck) for 18 and 34, v1s (deep stem) for 50, 101, 152; 50 and 101 also as
v1b, which is the ResNet of torchvision.
"""

from __future__ import annotations

from typing import Any

from gluoncv.model_zoo import resnetv1b
from mxnet import gluon

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride

__all__ = [
    "ResNetBackbone",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet50_v1b",
    "resnet101",
    "resnet101_v1b",
    "resnet152",
]


class ResNetBackbone(Backbone):
    """Stem and four stages of a ResNet-like classifier; its pooling and classifier are dropped.

    Parameters
    ----------
    classifier : HybridBlock
        Network with children conv1, bn1, relu, maxpool, layer1 ... layer4.
    channels : tuple of int
        Channels of the four stages.
    imagenet : str
        Name of its ImageNet weights.
    """

    def __init__(self, classifier: gluon.HybridBlock, channels: tuple[int, int, int, int], imagenet: str):
        super().__init__()
        self.channels, self.imagenet = channels, imagenet
        for child in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            setattr(self, child, getattr(classifier, child))

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _resnet(name: str, norm: NormLayer, output_stride: int) -> ResNetBackbone:
    """GluonCV network of that name as a backbone."""
    require_stride(name.partition("_")[0], output_stride, (8, 32))
    classifier = getattr(resnetv1b, name)(pretrained=False, dilated=output_stride == 8, norm_layer=norm)
    widths = (64, 128, 256, 512) if name in ("resnet18_v1b", "resnet34_v1b") else (256, 512, 1024, 2048)
    return ResNetBackbone(classifier, widths, name)


@BACKBONES.register("resnet18", channels=(64, 128, 256, 512), strides=(8, 32))
def resnet18(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-18, v1b."""
    return _resnet("resnet18_v1b", norm, output_stride)


@BACKBONES.register("resnet34", channels=(64, 128, 256, 512), strides=(8, 32))
def resnet34(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-34, v1b."""
    return _resnet("resnet34_v1b", norm, output_stride)


@BACKBONES.register("resnet50", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnet50(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-50 with deep stem, v1s."""
    return _resnet("resnet50_v1s", norm, output_stride)


@BACKBONES.register("resnet50_v1b", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnet50_v1b(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-50 with a 7x7 stem, v1b."""
    return _resnet("resnet50_v1b", norm, output_stride)


@BACKBONES.register("resnet101_v1b", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnet101_v1b(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-101 with a 7x7 stem, v1b."""
    return _resnet("resnet101_v1b", norm, output_stride)


@BACKBONES.register("resnet101", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnet101(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-101 with deep stem, v1s."""
    return _resnet("resnet101_v1s", norm, output_stride)


@BACKBONES.register("resnet152", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnet152(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-152 with deep stem, v1s."""
    return _resnet("resnet152_v1s", norm, output_stride)
