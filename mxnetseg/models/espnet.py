"""ESPNet: efficient spatial pyramid of dilated convolutions for semantic segmentation (Mehta et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..errors import ConfigError, suggest
from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, NormPReLU, PReLU, concat
from .layers.pool import halved

__all__ = ["ESP", "ESPDown", "ESPEncoder", "ESPNet", "ESPNetC"]

_SKIPS = {"level1": 16, "b1": 19}


@MODELS.register("ESPNetC", aliases=("espc",), paper="Mehta et al., ECCV 2018", realtime=True)
class ESPNetC(SegmentationModel):
    """ESPNet-C: ESPNet's encoder alone, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    p, q : int
        Spatial pyramids at stride 4 and at stride 8.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, p: int = 2, q: int = 8, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, norm=norm, output_stride=8)
        with self.name_scope():
            self.encoder = ESPEncoder(num_classes, p, q, _norm(self.norm))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        yield self.encoder(x)[-1]


@MODELS.register("ESPNet", aliases=("esp",), paper="Mehta et al., ECCV 2018", realtime=True)
class ESPNet(SegmentationModel):
    """ESPNet: spatial pyramids of dilated convolutions, class scores refined up to full size.

    Parameters
    ----------
    num_classes : int
        Number of classes, at least 5.
    p, q : int
        Spatial pyramids at stride 4 and at stride 8.
    skip : str
        Map of stride 2 that the last refinement sees: ``level1`` as in the published weights, or ``b1``, the same
        beside the image, as in the published training code.
    norm : str or callable
        Normalisation.
    """

    full_size = True

    def __init__(self, num_classes: int, p: int = 2, q: int = 8, skip: str = "level1", norm: str | NormLayer = "bn"):
        super().__init__(num_classes, norm=norm, output_stride=8)
        if skip not in _SKIPS:
            raise ConfigError(f"skip={skip!r}", f"one of {', '.join(_SKIPS)}", suggest(str(skip), _SKIPS))
        self._skip, norm = list(_SKIPS).index(skip), _norm(self.norm)
        with self.name_scope():
            self.encoder = ESPEncoder(num_classes, p, q, norm)
            self.br = norm(in_channels=num_classes)
            self.up_l3, self.up_l2 = nn.HybridSequential(), nn.HybridSequential()
            self.up_l3.add(_double(num_classes))
            self.level3_C = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=131)
            self.combine_l2_l3 = nn.HybridSequential()
            self.combine_l2_l3.add(
                NormPReLU(2 * num_classes, norm), ESP(num_classes, 2 * num_classes, norm, shortcut=False)
            )
            self.up_l2.add(_double(num_classes), NormPReLU(num_classes, norm))
            self.conv = _module(num_classes, num_classes + _SKIPS[skip], norm)
            self.classifier = _double(num_classes)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        *skips, quarter, scores = self.encoder(x)
        y = F.slice_like(self.up_l3(self.br(scores)), F.BlockGrad(quarter), axes=(2, 3))
        y = self.combine_l2_l3(concat(F, self.level3_C(quarter), y))
        half = skips[self._skip]
        y = F.slice_like(self.up_l2(y), F.BlockGrad(half), axes=(2, 3))
        yield self.classifier(self.conv(concat(F, y, half)))


class ESPEncoder(gluon.HybridBlock):
    """Three levels, each of which sees the reduced image and the start of the level again (fig. 3c).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    p, q : int
        Spatial pyramids at stride 4 and at stride 8.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, 3, H, W). Outputs: ``level1`` (16 channels) and ``b1`` (19) at stride 2, ``b2`` (131) at stride 4,
    class scores at stride 8.
    """

    def __init__(self, num_classes: int, p: int, q: int, norm_layer: NormLayer):
        super().__init__()
        self.level1 = _module(16, 3, norm_layer, strides=2)
        self.b1 = NormPReLU(19, norm_layer)
        self.level2_0 = ESPDown(64, 19, norm_layer)
        self.level2 = _pyramids(p, 64, norm_layer)
        self.b2 = NormPReLU(131, norm_layer)
        self.level3_0 = ESPDown(128, 131, norm_layer)
        self.level3 = _pyramids(q, 128, norm_layer)
        self.b3 = NormPReLU(256, norm_layer)
        self.classifier = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=256)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        half, level1 = halved(F, x), self.level1(x)
        b1 = self.b1(concat(F, level1, half))
        down = self.level2_0(b1)
        b2 = self.b2(concat(F, self.level2(down), down, halved(F, half)))
        down = self.level3_0(b2)
        b3 = self.b3(concat(F, down, self.level3(down)))
        return level1, b1, b2, self.classifier(b3)


class _Pyramid(gluon.HybridBlock):
    """Reduction to a fifth of the channels, five dilated convolutions of the result, hierarchical sums."""

    def __init__(self, channels: int, in_channels: int, kernel: int, strides: int = 1):
        super().__init__()
        width = channels // 5
        if not width:
            raise ConfigError(f"a spatial pyramid of {channels} channels", "at least 5 classes")
        self.c1 = _bare(width, in_channels, kernel, strides)
        self.d1 = _bare(channels - 4 * width, width, 3)
        self.d2, self.d4, self.d8, self.d16 = (_bare(width, width, 3, dilation=d) for d in (2, 4, 8, 16))

    def pyramid(self, F: Any, x: Any) -> Any:
        """Maps of growing receptive field, each but the first added to the one before it (fig. 1b)."""
        x = self.c1(x)
        levels = [self.d1(x), self.d2(x)]
        for conv in (self.d4, self.d8, self.d16):
            levels.append(levels[-1] + conv(x))
        return concat(F, *levels)


class ESPDown(_Pyramid):
    """Spatial pyramid on half the size.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer):
        super().__init__(channels, in_channels, 3, 2)
        self.bn = norm_layer(in_channels=channels)
        self.act = PReLU(channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.act(self.bn(self.pyramid(F, x)))


class ESP(_Pyramid):
    """Spatial pyramid with a shortcut, then normalisation and PReLU.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    norm_layer : callable
        Constructor of the normalisation.
    shortcut : bool
        Whether the input is added.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer, shortcut: bool = True):
        super().__init__(channels, in_channels, 1)
        self._shortcut = shortcut
        self.bn = NormPReLU(channels, norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.pyramid(F, x)
        return self.bn(x + y if self._shortcut else y)


def _norm(norm: NormLayer) -> NormLayer:
    """Normalisation with ESPNet's epsilon."""
    return partial(norm, epsilon=1e-3)


def _module(channels: int, in_channels: int, norm: NormLayer, strides: int = 1) -> ConvModule2d:
    """3x3 convolution, normalisation and PReLU."""
    return ConvModule2d(
        channels, 3, strides, 1, in_channels=in_channels, norm_layer=norm, activation=PReLU(channels=channels)
    )


def _bare(channels: int, in_channels: int, kernel: int, strides: int = 1, dilation: int = 1) -> nn.Conv2D:
    """Convolution without bias."""
    padding = dilation * (kernel // 2)
    return nn.Conv2D(channels, kernel, strides, padding, dilation, use_bias=False, in_channels=in_channels)


def _double(channels: int) -> nn.Conv2DTranspose:
    """Transposed convolution that doubles the size."""
    return nn.Conv2DTranspose(channels, 2, 2, use_bias=False, in_channels=channels)


def _pyramids(count: int, channels: int, norm: NormLayer) -> nn.HybridSequential:
    """Spatial pyramids one after the other."""
    layers = nn.HybridSequential()
    layers.add(*(ESP(channels, channels, norm) for _ in range(count)))
    return layers
