"""HRNet backbones (Wang et al., TPAMI 2020): branches of four resolutions that exchange what they see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gluoncv.model_zoo.hrnet import OrigHRBottleneck
from gluoncv.model_zoo.resnet import BasicBlockV1
from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer, relu, resize_like
from .base import Backbone, require_stride

__all__ = [
    "HRNetBackbone",
    "HighResolutionModule",
    "hrnet_w18",
    "hrnet_w18_small_v1",
    "hrnet_w18_small_v2",
    "hrnet_w30",
    "hrnet_w32",
    "hrnet_w40",
    "hrnet_w44",
    "hrnet_w48",
    "hrnet_w64",
]


class HRNetBackbone(Backbone):
    """Stem, one stage of bottlenecks, three stages of two, three and four branches (fig. 2, sec. 3).

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.
    width : int
        Channels of the branch of highest resolution; each further branch has twice as many.
    modules : (int, int, int)
        Modules of stages 2, 3 and 4.
    blocks : int
        Basic blocks of each branch of a module.
    first : (int, int)
        Bottlenecks of stage 1, and their output channels.
    imagenet : str
        Name of its ImageNet weights.
    full_resolution : bool
        Whether the stem keeps the resolution of the image; otherwise its stride is 4.
    align_corners : bool
        How branches are resized where they are summed.

    Outputs: the four branches, width * (1, 2, 4, 8) channels at strides 4, 8, 16 and 32 (1, 2, 4 and 8 in full
    resolution).
    """

    def __init__(
        self,
        norm: NormLayer,
        width: int,
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        first: tuple[int, int] = (4, 256),
        imagenet: str | None = None,
        full_resolution: bool = False,
        align_corners: bool = False,
    ):
        super().__init__()
        self.channels, self.imagenet = tuple(width * 2**i for i in range(4)), imagenet
        stride = 1 if full_resolution else 2
        with self.name_scope():
            self.conv1, self.bn1 = _conv(64, 3, stride, 3), norm(in_channels=64)
            self.conv2, self.bn2 = _conv(64, 3, stride, 64), norm(in_channels=64)
            self.layer1 = nn.HybridSequential()
            for number in range(first[0]):
                in_channels = first[1] if number else 64
                self.layer1.add(OrigHRBottleneck(first[1], 1, in_channels != first[1], in_channels, norm_layer=norm))
            before: Sequence[int] = (first[1],)
            for number, count in enumerate(modules, start=1):
                widths = self.channels[: number + 1]
                setattr(self, f"transition{number}", _transition(before, widths, norm))
                stage = nn.HybridSequential()
                stage.add(*(HighResolutionModule(widths, blocks, norm, align_corners) for _ in range(count)))
                setattr(self, f"stage{number + 1}", stage)
                before = widths

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        x = relu(F, self.bn1(self.conv1(x)))
        maps = [self.layer1(relu(F, self.bn2(self.conv2(x))))]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            maps = [layer(maps[min(i, len(maps) - 1)]) for i, layer in enumerate(transition)]
            for module in stage:
                maps = module(*maps)
        return tuple(maps)


class HighResolutionModule(gluon.HybridBlock):
    """Basic blocks on every branch, then the sum of all branches at each resolution (fig. 3).

    Parameters
    ----------
    widths : sequence of int
        Channels of the branches, which halve in resolution.
    blocks : int
        Basic blocks per branch.
    norm_layer : callable
        Constructor of the normalisation.
    align_corners : bool
        How lower branches are resized.

    Inputs: one map per branch. Outputs: maps of the same shapes.
    """

    def __init__(
        self, widths: Sequence[int], blocks: int, norm_layer: NormLayer = nn.BatchNorm, align_corners: bool = False
    ):
        super().__init__()
        self._align_corners = align_corners
        self.branches, self.fuse_layers = nn.HybridSequential(), nn.HybridSequential()
        for width in widths:
            branch = nn.HybridSequential()
            branch.add(*(BasicBlockV1(width, 1, False, width, norm_layer=norm_layer) for _ in range(blocks)))
            self.branches.add(branch)
        for i in range(len(widths)):
            fuse = nn.HybridSequential()
            fuse.add(*(_exchange(widths, j, i, norm_layer) for j in range(len(widths))))
            self.fuse_layers.add(fuse)

    def hybrid_forward(self, F: Any, *maps: Any) -> list[Any]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for i, layers in enumerate(self.fuse_layers):
            terms = [layer(x) for layer, x in zip(layers, maps, strict=True)]
            terms = [resize_like(F, y, maps[i], self._align_corners) if j > i else y for j, y in enumerate(terms)]
            fused.append(relu(F, sum(terms[1:], terms[0])))
        return fused


def _conv(channels: int, kernel: int, stride: int, in_channels: int) -> nn.Conv2D:
    """Convolution without bias that keeps the size but for its stride."""
    return nn.Conv2D(channels, kernel, stride, kernel // 2, use_bias=False, in_channels=in_channels)


def _reduce(steps: Sequence[tuple[int, int]], norm: NormLayer, last_relu: bool) -> nn.HybridSequential:
    """Convolutions of stride 2 with these (in, out) channels, with ReLU in between."""
    layers = nn.HybridSequential()
    for number, (in_channels, channels) in enumerate(steps, start=1):
        layers.add(_conv(channels, 3, 2, in_channels), norm(in_channels=channels))
        if last_relu or number < len(steps):
            layers.add(nn.Activation("relu"))
    return layers


def _exchange(widths: Sequence[int], source: int, target: int, norm: NormLayer) -> gluon.HybridBlock:
    """Layers that bring one branch to the channels, and downwards to the resolution, of another."""
    layers = nn.HybridSequential()
    if source > target:
        layers.add(_conv(widths[target], 1, 1, widths[source]), norm(in_channels=widths[target]))
    elif source < target:
        steps = [(widths[source], widths[source])] * (target - source - 1) + [(widths[source], widths[target])]
        return _reduce(steps, norm, last_relu=False)
    return layers


def _transition(before: Sequence[int], after: Sequence[int], norm: NormLayer) -> nn.HybridSequential:
    """Layers between two stages: old branches change their width where it differs, the new one is strided."""
    transition = nn.HybridSequential()
    for i, width in enumerate(after):
        layers = nn.HybridSequential()
        if i >= len(before):
            layers.add(_reduce([(before[-1], width)], norm, last_relu=True))
        elif width != before[i]:
            layers.add(_conv(width, 3, 1, before[i]), norm(in_channels=width), nn.Activation("relu"))
        transition.add(layers)
    return transition


def _hrnet(name: str, norm: NormLayer, output_stride: int, width: int, **sizes: Any) -> HRNetBackbone:
    """HRNet of that width."""
    require_stride(name, output_stride, (32,))
    return HRNetBackbone(norm, width, imagenet=f"{name}_c", **sizes)


@BACKBONES.register("hrnet_w18_small_v1", channels=(16, 32, 64, 128), strides=(32,))
def hrnet_w18_small_v1(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W18 small, version 1 (its width is 16)."""
    return _hrnet("hrnet_w18_small_v1", norm, output_stride, 16, modules=(1, 1, 1), blocks=2, first=(1, 128), **options)


@BACKBONES.register("hrnet_w18_small_v2", channels=(18, 36, 72, 144), strides=(32,))
def hrnet_w18_small_v2(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W18 small, version 2."""
    return _hrnet("hrnet_w18_small_v2", norm, output_stride, 18, modules=(1, 3, 2), blocks=2, first=(2, 256), **options)


@BACKBONES.register("hrnet_w18", channels=(18, 36, 72, 144), strides=(32,))
def hrnet_w18(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W18."""
    return _hrnet("hrnet_w18", norm, output_stride, 18, **options)


@BACKBONES.register("hrnet_w30", channels=(30, 60, 120, 240), strides=(32,))
def hrnet_w30(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W30."""
    return _hrnet("hrnet_w30", norm, output_stride, 30, **options)


@BACKBONES.register("hrnet_w32", channels=(32, 64, 128, 256), strides=(32,))
def hrnet_w32(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W32."""
    return _hrnet("hrnet_w32", norm, output_stride, 32, **options)


@BACKBONES.register("hrnet_w40", channels=(40, 80, 160, 320), strides=(32,))
def hrnet_w40(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W40."""
    return _hrnet("hrnet_w40", norm, output_stride, 40, **options)


@BACKBONES.register("hrnet_w44", channels=(44, 88, 176, 352), strides=(32,))
def hrnet_w44(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W44."""
    return _hrnet("hrnet_w44", norm, output_stride, 44, **options)


@BACKBONES.register("hrnet_w48", channels=(48, 96, 192, 384), strides=(32,))
def hrnet_w48(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W48."""
    return _hrnet("hrnet_w48", norm, output_stride, 48, **options)


@BACKBONES.register("hrnet_w64", channels=(64, 128, 256, 512), strides=(32,))
def hrnet_w64(norm: NormLayer, output_stride: int = 32, **options: Any) -> HRNetBackbone:
    """HRNet-W64."""
    return _hrnet("hrnet_w64", norm, output_stride, 64, **options)
