"""ResNet-18 whose activations leak, as ShelfNet uses it (blocks of He et al., CVPR 2016)."""

from __future__ import annotations

from typing import Any

from gluoncv.model_zoo.resnetv1b import BasicBlockV1b, ResNetV1b

from ...registry import BACKBONES
from ..layers import NormLayer, relu
from ..layers.activation import ACTIVATIONS
from .base import require_stride
from .resnet import ResNetBackbone

__all__ = ["LeakyBasicBlock", "LeakyResNet", "leaky_resnet18"]

_LEAKY = ACTIVATIONS["leaky_relu"]


class LeakyBasicBlock(BasicBlockV1b):
    """Basic block with a leaky ReLU inside and a ReLU after the sum; the arguments are GluonCV's."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.bn2(self.conv2(_LEAKY(F, self.bn1(self.conv1(x)))))
        return relu(F, y + (self.downsample(x) if self.downsample else x))


class LeakyResNet(ResNetBackbone):
    """ResNet with a leaky ReLU in the stem; the arguments are those of :class:`.resnet.ResNetBackbone`."""

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.maxpool(_LEAKY(F, self.bn1(self.conv1(x)))))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


@BACKBONES.register("leaky_resnet18", channels=(64, 128, 256, 512), strides=(32,))
def leaky_resnet18(norm: NormLayer, output_stride: int = 32) -> LeakyResNet:
    """ResNet-18 with leaky ReLUs (slope 0.01)."""
    require_stride("leaky_resnet18", output_stride, (32,))
    classifier = ResNetV1b(LeakyBasicBlock, [2, 2, 2, 2], norm_layer=norm)
    return LeakyResNet(classifier, (64, 128, 256, 512), "resnet18_v1b")
