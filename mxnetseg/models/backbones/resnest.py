"""ResNeSt backbones of GluonCV (Zhang et al., 2020): deep stem, split attention with radix 2."""

from __future__ import annotations

from gluoncv.model_zoo.resnest import Bottleneck, ResNeSt

from ...registry import BACKBONES
from ..layers import NormLayer
from ..layers.dropblock import DropBlock
from .base import require_stride
from .resnet import ResNetBackbone

__all__ = ["resnest14", "resnest26", "resnest50", "resnest101", "resnest200", "resnest269"]


def _resnest(
    name: str,
    layers: tuple[int, int, int, int],
    norm: NormLayer,
    output_stride: int,
    stem_width: int = 64,
    drop_prob: float = 0.1,
) -> ResNetBackbone:
    """ResNeSt of that depth, with a DropBlock that works at any size in its two last stages."""
    require_stride(name, output_stride, (8, 32))
    classifier = ResNeSt(
        Bottleneck,
        layers,
        dilated=output_stride == 8,
        norm_layer=norm,
        deep_stem=True,
        stem_width=stem_width,
        avg_down=True,
        avd=True,
        use_splat=True,
        name_prefix="resnest_",
    )
    for stage in (classifier.layer3, classifier.layer4) if drop_prob else ():
        for block in stage:
            block.dropblock_prob = drop_prob
            block.dropblock1, block.dropblock2, block.dropblock3 = (DropBlock(drop_prob) for _ in range(3))
    return ResNetBackbone(classifier, (256, 512, 1024, 2048), name)


@BACKBONES.register("resnest14", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnest14(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNeSt-14, without DropBlock."""
    return _resnest("resnest14", (1, 1, 1, 1), norm, output_stride, stem_width=32, drop_prob=0.0)


@BACKBONES.register("resnest26", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnest26(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNeSt-26."""
    return _resnest("resnest26", (2, 2, 2, 2), norm, output_stride, stem_width=32)


@BACKBONES.register("resnest50", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnest50(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNeSt-50."""
    return _resnest("resnest50", (3, 4, 6, 3), norm, output_stride, stem_width=32)


@BACKBONES.register("resnest101", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnest101(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNeSt-101."""
    return _resnest("resnest101", (3, 4, 23, 3), norm, output_stride)


@BACKBONES.register("resnest200", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnest200(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNeSt-200."""
    return _resnest("resnest200", (3, 24, 36, 3), norm, output_stride)


@BACKBONES.register("resnest269", channels=(256, 512, 1024, 2048), strides=(8, 32))
def resnest269(norm: NormLayer, output_stride: int = 32) -> ResNetBackbone:
    """ResNeSt-269."""
    return _resnest("resnest269", (3, 30, 48, 8), norm, output_stride)
