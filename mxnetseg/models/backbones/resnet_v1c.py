"""ResNet-v1c of GluonCV: narrow deep stem, stride in the 3x3 convolution (He et al., CVPR 2019, fig. 2b)."""

from __future__ import annotations

from gluoncv.model_zoo import resnetv1b
from gluoncv.model_zoo.resnetv1b import BottleneckV1b

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import require_stride
from .resnet import ResNetBackbone

__all__ = ["resnet50_v1c", "resnet101_v1c"]

_WIDTHS = (256, 512, 1024, 2048)


def _resnet(name: str, norm: NormLayer, output_stride: int) -> ResNetBackbone:
    """GluonCV's network; at output stride 16 the last stage is dilated by 2 but for its first block."""
    require_stride(name, output_stride, (8, 16, 32))
    classifier = getattr(resnetv1b, name)(pretrained=False, dilated=output_stride == 8, norm_layer=norm)
    if output_stride == 16:
        classifier.inplanes = _WIDTHS[2]
        with classifier.name_scope():
            classifier.layer4 = classifier._make_layer(4, BottleneckV1b, 512, 3, dilation=2, norm_layer=norm)
    return ResNetBackbone(classifier, _WIDTHS, name)


@BACKBONES.register("resnet50_v1c", channels=(256, 512, 1024, 2048), strides=(8, 16, 32))
def resnet50_v1c(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-50 with a narrow deep stem, v1c."""
    return _resnet("resnet50_v1c", norm, output_stride)


@BACKBONES.register("resnet101_v1c", channels=(256, 512, 1024, 2048), strides=(8, 16, 32))
def resnet101_v1c(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNet-101 with a narrow deep stem, v1c."""
    return _resnet("resnet101_v1c", norm, output_stride)
