"""ResNet as in Caffe, dilated, as DeepLab-V2 uses it (Chen et al., TPAMI 2017): stride in the first 1x1 convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gluoncv.model_zoo.resnetv1b import BottleneckV1b
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride
from .deepstem_resnet import dilated_stage

__all__ = ["CaffeBottleneck", "CaffeResNet", "caffe_resnet50", "caffe_resnet101"]


class CaffeBottleneck(BottleneckV1b):
    """Bottleneck whose first convolution has the stride (He et al., CVPR 2016, fig. 5).

    Parameters
    ----------
    planes : int
        Channels inside; four times as many come out.
    strides : int
        Of the first convolution.
    **options
        Further arguments of GluonCV's bottleneck.
    """

    def __init__(self, planes: int, strides: int = 1, **options: Any):
        super().__init__(planes, 1, **options)
        self.conv1 = nn.Conv2D(planes, 1, strides, use_bias=False)


class CaffeResNet(Backbone):
    """Stem with a 7x7 convolution and four stages of bottlenecks, output stride 8.

    Pooling counts windows that begin inside the map: of m pixels, ceil((m - 1) / 2) + 1 remain.

    Parameters
    ----------
    counts : (int, int, int, int)
        Blocks of each stage.
    norm : callable
        Constructor of the normalisation.

    Outputs: c1 at stride 4; c2, c3, c4 at stride 8.
    """

    channels = (256, 512, 1024, 2048)

    def __init__(self, counts: Sequence[int], norm: NormLayer):
        super().__init__()
        with self.name_scope():
            self.conv1, self.bn1 = nn.Conv2D(64, 7, 2, 3, use_bias=False, in_channels=3), norm(in_channels=64)
            self.relu, self.maxpool = nn.Activation("relu"), nn.MaxPool2D(3, 2, 1, ceil_mode=True)
            for number, (width, count) in enumerate(zip((64, 128, 256, 512), counts, strict=True), start=1):
                stride, rate = (1, 2, 1, 1)[number - 1], (1, 1, 2, 4)[number - 1]
                setattr(self, f"layer{number}", dilated_stage(CaffeBottleneck, width, count, stride, rate, norm))

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


@BACKBONES.register("caffe_resnet50", channels=(256, 512, 1024, 2048), strides=(8,))
def caffe_resnet50(norm: NormLayer, output_stride: int = 8) -> CaffeResNet:
    """ResNet-50 with strides as in Caffe, output stride 8."""
    require_stride("caffe_resnet50", output_stride, (8,))
    return CaffeResNet((3, 4, 6, 3), norm)


@BACKBONES.register("caffe_resnet101", channels=(256, 512, 1024, 2048), strides=(8,))
def caffe_resnet101(norm: NormLayer, output_stride: int = 8) -> CaffeResNet:
    """ResNet-101 with strides as in Caffe, output stride 8."""
    require_stride("caffe_resnet101", output_stride, (8,))
    return CaffeResNet((3, 4, 23, 3), norm)
