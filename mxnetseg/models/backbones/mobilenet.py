"""MobileNetV2 backbones of GluonCV (Sandler et al., CVPR 2018), output stride 32."""

from __future__ import annotations

from typing import Any

from gluoncv.model_zoo.mobilenet import MobileNetV2
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride

__all__ = ["MobileNetBackbone", "mobilenet_v2_0_5", "mobilenet_v2_0_25", "mobilenet_v2_0_75", "mobilenet_v2_1_0"]

# Children of GluonCV's `features` that make up each stage; the last convolution (to 1280 channels) is dropped.
_STAGES = (range(6), range(6, 9), range(9, 16), range(16, 20))


class MobileNetBackbone(Backbone):
    """Four stages of MobileNetV2, whose outputs are linear.

    Parameters
    ----------
    multiplier : float
        Width multiplier.
    norm : callable
        Constructor of the normalisation.
    channels : tuple of int
        Channels of the four stages.
    imagenet : str
        Name of its ImageNet weights.
    """

    def __init__(self, multiplier: float, norm: NormLayer, channels: tuple[int, int, int, int], imagenet: str):
        super().__init__()
        self.channels, self.imagenet = channels, imagenet
        features = MobileNetV2(multiplier, norm_layer=norm).features
        self.renamed = {}
        for number, span in enumerate(_STAGES, start=1):
            stage = nn.HybridSequential()
            stage.add(*(features[i] for i in span))
            setattr(self, f"layer{number}", stage)
            self.renamed |= {f"features.{i}.": f"layer{number}.{i - span[0]}." for i in span}

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _mobilenet(name: str, multiplier: float, norm: NormLayer, output_stride: int) -> MobileNetBackbone:
    """MobileNetV2 of that width."""
    require_stride(name, output_stride, (32,))
    channels = tuple(int(c * multiplier) for c in (24, 32, 96, 320))
    return MobileNetBackbone(multiplier, norm, channels, name)


@BACKBONES.register("mobilenet_v2_0_25", channels=(6, 8, 24, 80), strides=(32,))
def mobilenet_v2_0_25(norm: NormLayer, output_stride: int = 32) -> MobileNetBackbone:
    """MobileNetV2, width 0.25."""
    return _mobilenet("mobilenetv2_0.25", 0.25, norm, output_stride)


@BACKBONES.register("mobilenet_v2_0_5", channels=(12, 16, 48, 160), strides=(32,))
def mobilenet_v2_0_5(norm: NormLayer, output_stride: int = 32) -> MobileNetBackbone:
    """MobileNetV2, width 0.5."""
    return _mobilenet("mobilenetv2_0.5", 0.5, norm, output_stride)


@BACKBONES.register("mobilenet_v2_0_75", channels=(18, 24, 72, 240), strides=(32,))
def mobilenet_v2_0_75(norm: NormLayer, output_stride: int = 32) -> MobileNetBackbone:
    """MobileNetV2, width 0.75."""
    return _mobilenet("mobilenetv2_0.75", 0.75, norm, output_stride)


@BACKBONES.register("mobilenet_v2_1_0", channels=(24, 32, 96, 320), strides=(32,))
def mobilenet_v2_1_0(norm: NormLayer, output_stride: int = 32) -> MobileNetBackbone:
    """MobileNetV2, width 1."""
    return _mobilenet("mobilenetv2_1.0", 1.0, norm, output_stride)
