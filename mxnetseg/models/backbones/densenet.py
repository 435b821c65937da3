"""DenseNet-BC backbones (Huang et al., CVPR 2017), output stride 32, with the tensors of GluonCV's classifiers."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import HybridConcurrent, Identity

from ...registry import BACKBONES
from ..layers import NormLayer, concat
from .base import Backbone, require_stride

__all__ = ["DenseNetBackbone", "densenet121", "densenet161", "densenet169", "densenet201"]

# Children of GluonCV's `features` that make up each stage.
_STAGES = {
    "stem": range(4),
    "layer1": range(4, 5),
    "layer2": range(5, 7),
    "layer3": range(7, 9),
    "layer4": range(9, 12),
}


class DenseNetBackbone(Backbone):
    """Stem and four dense blocks with transitions between them (table 1).

    Parameters
    ----------
    layers : tuple of int
        Layers of the four dense blocks.
    growth : int
        Channels that each layer adds.
    norm : callable
        Constructor of the normalisation.
    imagenet : str
        Name of its ImageNet weights.

    Outputs: c1, c2, c3 are concatenations without normalisation, c4 is normalised and rectified. From c2 on each
    side is half of the one before, rounded down.
    """

    def __init__(self, layers: tuple[int, int, int, int], growth: int, norm: NormLayer, imagenet: str):
        super().__init__()
        self.imagenet = imagenet
        self.renamed = {f"features.{i}.": f"{stage}.{i - span[0]}." for stage, span in _STAGES.items() for i in span}
        width, channels = 2 * growth, []
        self.stem = _stem(width, norm)
        for number, depth in enumerate(layers, start=1):
            stage = nn.HybridSequential()
            if number > 1:
                stage.add(_transition(width, norm))
                width //= 2
            stage.add(_dense_block(width, depth, growth, norm))
            width += depth * growth
            setattr(self, f"layer{number}", stage)
            channels.append(width)
        self.layer4.add(norm(in_channels=width), nn.Activation("relu"))
        self.channels = tuple(channels)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _sequence(*layers: Any) -> nn.HybridSequential:
    """The layers one after the other."""
    sequence = nn.HybridSequential()
    sequence.add(*layers)
    return sequence


def _convolution(in_channels: int, channels: int, norm: NormLayer, kernel_size: int) -> tuple[Any, ...]:
    """Normalisation, ReLU, convolution that keeps the size."""
    convolution = nn.Conv2D(channels, kernel_size, 1, kernel_size // 2, use_bias=False, in_channels=in_channels)
    return norm(in_channels=in_channels), nn.Activation("relu"), convolution


def _stem(channels: int, norm: NormLayer) -> nn.HybridSequential:
    """Strided 7x7 convolution and pooling, to a quarter of the size."""
    convolution = nn.Conv2D(channels, 7, 2, 3, use_bias=False, in_channels=3)
    return _sequence(convolution, norm(in_channels=channels), nn.Activation("relu"), nn.MaxPool2D(3, 2, 1))


def _transition(in_channels: int, norm: NormLayer) -> nn.HybridSequential:
    """Half of the channels and of the size."""
    return _sequence(*_convolution(in_channels, in_channels // 2, norm, 1), nn.AvgPool2D(2, 2))


def _dense_block(in_channels: int, depth: int, growth: int, norm: NormLayer) -> nn.HybridSequential:
    """Layers that each append `growth` channels, made from all before through a bottleneck of 4 * `growth`."""
    block = nn.HybridSequential()
    for width in range(in_channels, in_channels + depth * growth, growth):
        layer = _Joined()
        squeeze, expand = _convolution(width, 4 * growth, norm, 1), _convolution(4 * growth, growth, norm, 3)
        layer.add(Identity(), _sequence(*squeeze, *expand))
        block.add(layer)
    return block


class _Joined(HybridConcurrent):
    """Outputs of the children, one after the other."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return concat(F, *(child(x) for child in self._children.values()))


def _densenet(
    name: str, layers: tuple[int, int, int, int], growth: int, norm: NormLayer, stride: int
) -> DenseNetBackbone:
    """DenseNet-BC of that depth."""
    require_stride(name, stride, (32,))
    return DenseNetBackbone(layers, growth, norm, name)


@BACKBONES.register("densenet121", channels=(256, 512, 1024, 1024), strides=(32,))
def densenet121(norm: NormLayer, output_stride: int = 32) -> DenseNetBackbone:
    """DenseNet-121."""
    return _densenet("densenet121", (6, 12, 24, 16), 32, norm, output_stride)


@BACKBONES.register("densenet161", channels=(384, 768, 2112, 2208), strides=(32,))
def densenet161(norm: NormLayer, output_stride: int = 32) -> DenseNetBackbone:
    """DenseNet-161, the widest."""
    return _densenet("densenet161", (6, 12, 36, 24), 48, norm, output_stride)


@BACKBONES.register("densenet169", channels=(256, 512, 1280, 1664), strides=(32,))
def densenet169(norm: NormLayer, output_stride: int = 32) -> DenseNetBackbone:
    """DenseNet-169."""
    return _densenet("densenet169", (6, 12, 32, 32), 32, norm, output_stride)


@BACKBONES.register("densenet201", channels=(256, 512, 1792, 1920), strides=(32,))
def densenet201(norm: NormLayer, output_stride: int = 32) -> DenseNetBackbone:
    """DenseNet-201."""
    return _densenet("densenet201", (6, 12, 48, 32), 32, norm, output_stride)
