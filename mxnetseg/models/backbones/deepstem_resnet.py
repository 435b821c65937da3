"""ResNet with three 3x3 convolutions as stem and dilated last stages, as PSPNet and MFARANet use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gluoncv.model_zoo.resnetv1b import BasicBlockV1b, BottleneckV1b
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride

__all__ = [
    "DeepStemResNet",
    "deepstem_resnet18",
    "deepstem_resnet50",
    "deepstem_resnet101",
    "deepstem_resnet152",
    "dilated_stage",
]

_WIDTHS = (64, 128, 256, 512)
_STEM = 128


class DeepStemResNet(Backbone):
    """Deep stem of 128 channels and four stages (blocks of He et al., CVPR 2016).

    Parameters
    ----------
    block : type
        Basic block or bottleneck.
    counts : (int, int, int, int)
        Blocks of each stage.
    norm : callable
        Constructor of the normalisation.
    dilation : bool
        Dilation 2 and 4 in the second convolution of all blocks of the last two stages.
    dropout : sequence of float
        Share of whole channels dropped after the stem and after each stage.
    output_stride : int
        32 (the dilated stages keep their strides), or 8.
    """

    def __init__(
        self,
        block: type,
        counts: tuple[int, int, int, int],
        norm: NormLayer,
        dilation: bool = True,
        dropout: Sequence[float] = (0, 0, 0, 0, 0),
        output_stride: int = 32,
    ):
        super().__init__()
        self.channels = tuple(width * block.expansion for width in _WIDTHS)
        with self.name_scope():
            self.conv1, self.bn1 = _stem(norm), norm(in_channels=_STEM)
            self.relu, self.maxpool = nn.Activation("relu"), nn.MaxPool2D(3, strides=2, padding=1)
            for number, (width, count) in enumerate(zip(_WIDTHS, counts, strict=True), start=1):
                rate = (1, 1, 2, 4)[number - 1] if dilation else 1
                stride = 1 if number == 1 or (number > 2 and output_stride == 8) else 2
                setattr(self, f"layer{number}", dilated_stage(block, width, count, stride, rate, norm))
            self.drops = nn.HybridSequential()
            self.drops.add(*(nn.Dropout(rate, axes=(2, 3)) for rate in dropout))

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        x = self.maxpool(self.drops[0](self.relu(self.bn1(self.conv1(x)))))
        stages = []
        for layer, drop in zip((self.layer1, self.layer2, self.layer3, self.layer4), list(self.drops)[1:], strict=True):
            x = drop(layer(x))
            stages.append(x)
        return tuple(stages)


def _stem(norm: NormLayer) -> nn.HybridSequential:
    """Three 3x3 convolutions; the normalisation of the last one is the backbone's bn1."""
    layers = nn.HybridSequential()
    layers.add(nn.Conv2D(64, 3, 2, 1, use_bias=False, in_channels=3), norm(in_channels=64), nn.Activation("relu"))
    layers.add(nn.Conv2D(64, 3, 1, 1, use_bias=False, in_channels=64), norm(in_channels=64), nn.Activation("relu"))
    layers.add(nn.Conv2D(_STEM, 3, 1, 1, use_bias=False, in_channels=64))
    return layers


def dilated_stage(block: type, width: int, count: int, stride: int, rate: int, norm: NormLayer) -> nn.HybridSequential:
    """Blocks of one stage, the first with a projected shortcut; `rate` dilates what is called conv2."""
    dilation = {"previous_dilation" if block is BasicBlockV1b else "dilation": rate}
    stage = nn.HybridSequential()
    for number in range(count):
        shortcut = None
        if number == 0:
            shortcut = nn.HybridSequential()
            out = width * block.expansion
            shortcut.add(nn.Conv2D(out, 1, strides=stride, use_bias=False), norm(in_channels=out))
        stage.add(block(width, 1 if number else stride, downsample=shortcut, norm_layer=norm, **dilation))
    return stage


def _deepstem(name: str, block: type, counts: Sequence[int], norm: NormLayer, stride: int, **options: Any) -> Any:
    """ResNet of that depth."""
    require_stride(name, stride, (8, 32))
    return DeepStemResNet(block, counts, norm, output_stride=stride, **options)


@BACKBONES.register("deepstem_resnet18", channels=(64, 128, 256, 512), strides=(8, 32))
def deepstem_resnet18(norm: NormLayer, output_stride: int = 32, **options: Any) -> DeepStemResNet:
    """ResNet-18 with deep stem; its last two stages are dilated at both output strides."""
    return _deepstem("deepstem_resnet18", BasicBlockV1b, (2, 2, 2, 2), norm, output_stride, **options)


@BACKBONES.register("deepstem_resnet50", channels=(256, 512, 1024, 2048), strides=(8, 32))
def deepstem_resnet50(norm: NormLayer, output_stride: int = 32, **options: Any) -> DeepStemResNet:
    """ResNet-50 with deep stem; its last two stages are dilated at both output strides."""
    return _deepstem("deepstem_resnet50", BottleneckV1b, (3, 4, 6, 3), norm, output_stride, **options)


@BACKBONES.register("deepstem_resnet101", channels=(256, 512, 1024, 2048), strides=(8, 32))
def deepstem_resnet101(norm: NormLayer, output_stride: int = 32, **options: Any) -> DeepStemResNet:
    """ResNet-101 with deep stem; its last two stages are dilated at both output strides."""
    return _deepstem("deepstem_resnet101", BottleneckV1b, (3, 4, 23, 3), norm, output_stride, **options)


@BACKBONES.register("deepstem_resnet152", channels=(256, 512, 1024, 2048), strides=(8, 32))
def deepstem_resnet152(norm: NormLayer, output_stride: int = 32, **options: Any) -> DeepStemResNet:
    """ResNet-152 with deep stem; its last two stages are dilated at both output strides."""
    return _deepstem("deepstem_resnet152", BottleneckV1b, (3, 8, 36, 3), norm, output_stride, **options)
