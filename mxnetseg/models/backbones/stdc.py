"""STDC backbones: short-term dense concatenation (Fan et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, NormLayer, concat
from .base import Backbone, require_stride

__all__ = ["STDC", "STDCBlock", "stdc1", "stdc2"]

_CHANNELS = (64, 256, 512, 1024)


class STDC(Backbone):
    """Two strided convolutions and three groups of dense concatenations, output stride 32 (table 2).

    Parameters
    ----------
    counts : (int, int, int)
        Blocks of each group.
    norm : callable
        Constructor of the normalisation.
    dropout : sequence of float
        Share of whole channels dropped after the first convolution and after each stage.
    """

    channels = _CHANNELS

    def __init__(self, counts: tuple[int, int, int], norm: NormLayer, dropout: Sequence[float] = (0, 0, 0, 0, 0)):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(ConvModule2d(32, 3, 2, 1, in_channels=3, norm_layer=norm))
            self.features.add(ConvModule2d(64, 3, 2, 1, in_channels=32, norm_layer=norm))
            for before, channels, count in zip(_CHANNELS, _CHANNELS[1:], counts, strict=False):
                self.features.add(STDCBlock(before, channels, norm, stride=2))
                self.features.add(*(STDCBlock(channels, channels, norm) for _ in range(count - 1)))
            self.drops = nn.HybridSequential()
            self.drops.add(*(nn.Dropout(rate, axes=(2, 3)) for rate in dropout))
        self._ends = [1, 2, *(2 + sum(counts[: n + 1]) for n in range(3))]

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        return self.stages(x)[1:]

    def stages(self, x: Any) -> tuple[Any, ...]:
        """Features at strides 2, 4, 8, 16 and 32."""
        stages, start = [], 0
        for end, drop in zip(self._ends, self.drops, strict=True):
            for layer in list(self.features)[start:end]:
                x = layer(x)
            x, start = drop(x), end
            stages.append(x)
        return tuple(stages)


class STDCBlock(gluon.HybridBlock):
    """Four convolutions in a chain, of 1/2, 1/4, 1/8 and 1/8 of the channels, concatenated (fig. 3).

    Parameters
    ----------
    in_channels, channels : int
        Input and output channels.
    norm : callable
        Constructor of the normalisation.
    stride : int
        1, or 2: a depthwise convolution shrinks what the second convolution sees, average pooling the first's output.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, channels: int, norm: NormLayer, stride: int = 1):
        super().__init__()
        half = channels // 2
        self.conv_list = nn.HybridSequential()
        self.conv_list.add(ConvModule2d(half, 1, in_channels=in_channels, norm_layer=norm))
        for before, width in ((half, half // 2), (half // 2, half // 4), (half // 4, half // 4)):
            self.conv_list.add(ConvModule2d(width, 3, 1, 1, in_channels=before, norm_layer=norm))
        self.avd_layer = self.skip = None
        if stride == 2:
            depthwise = nn.Conv2D(half, 3, 2, 1, groups=half, use_bias=False, in_channels=half)
            self.avd_layer = nn.HybridSequential()
            self.avd_layer.add(depthwise, norm(in_channels=half))
            self.skip = nn.AvgPool2D(3, strides=2, padding=1)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        first = x = self.conv_list[0](x)
        if self.skip:
            first, x = self.skip(first), self.avd_layer(x)
        outputs = [first]
        for conv in list(self.conv_list)[1:]:
            x = conv(x)
            outputs.append(x)
        return concat(F, *outputs)


@BACKBONES.register("stdc1", channels=(64, 256, 512, 1024), strides=(32,))
def stdc1(norm: NormLayer, output_stride: int = 32, **options: Any) -> STDC:
    """STDC1, output stride 32."""
    require_stride("stdc1", output_stride, (32,))
    return STDC((2, 2, 2), norm, **options)


@BACKBONES.register("stdc2", channels=(64, 256, 512, 1024), strides=(32,))
def stdc2(norm: NormLayer, output_stride: int = 32, **options: Any) -> STDC:
    """STDC2, output stride 32."""
    require_stride("stdc2", output_stride, (32,))
    return STDC((4, 5, 3), norm, **options)
