"""SwiftNet as its authors have it: normalisation and ReLU before each convolution (Orsic et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import NormLayer, concat, relu, resize_like, set_momentum
from .layers.grid_pool import square_grid_pool

__all__ = ["PreActConv", "SquarePyramid", "SwiftNetPreAct"]

_WIDTH = 128


@MODELS.register(
    "SwiftNetPreAct",
    backbones=("resnet18", "resnet34"),
    default_backbone="resnet18",
    paper="Orsic et al., CVPR 2019",
    realtime=True,
)
class SwiftNetPreAct(SegmentationModel):
    """SwiftNet, single scale, in its authors' form: pyramid of square cells, ladder of sums, output stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet-18 or -34.
    norm : str or callable
        Normalisation.
    mean, std : sequence of float
        Of the three channels of the image; the network normalises its input by them once more.
    """

    align_corners = False
    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18",
        norm: str | NormLayer = "bn",
        mean: Sequence[float] = (0, 0, 0),
        std: Sequence[float] = (1, 1, 1),
    ):
        super().__init__(num_classes, backbone, norm)
        self._statistics = list(zip(mean, std, strict=True))
        with self.name_scope():
            self.head = _Head(num_classes, self.backbone.channels, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        if any(pair != (0, 1) for pair in self._statistics):
            channels = F.split(x, num_outputs=3, axis=1)
            x = concat(F, *((c - m) / s for c, (m, s) in zip(channels, self._statistics, strict=True)))
        yield from super().maps(F, x)


class _Head(gluon.HybridBlock):
    """Pyramid on c4, then sums with c3, c2 and c1, and scores."""

    def __init__(self, num_classes: int, channels: Sequence[int], norm_layer: NormLayer):
        super().__init__()
        *shallow, c4 = channels
        self.spp = SquarePyramid(c4, norm_layer)
        self.upsample = nn.HybridSequential()
        self.upsample.add(*(_Upsample(c, norm_layer) for c in reversed(shallow)))
        self.logits = PreActConv(num_classes, _WIDTH, norm_layer, use_bias=True)

    def hybrid_forward(self, F: Any, *features: Any) -> Any:
        *shallow, c4 = features
        x = self.spp(c4)
        for step, skip in zip(self.upsample, reversed(shallow), strict=True):
            x = step(x, skip)
        return self.logits(x)


class _Upsample(gluon.HybridBlock):
    """Sum of the enlarged deep map and of the projected shallow one, blended (fig. 3)."""

    def __init__(self, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.bottleneck = PreActConv(_WIDTH, in_channels, norm_layer)
        self.blend_conv = PreActConv(_WIDTH, _WIDTH, norm_layer, kernel=3)

    def hybrid_forward(self, F: Any, deep: Any, shallow: Any) -> Any:
        shallow = self.bottleneck(shallow)
        return self.blend_conv(resize_like(F, deep, shallow, False) + shallow)


class SquarePyramid(gluon.HybridBlock):
    """The input beside its averages over grids of 8, 4 and 2 rows of nearly square cells (fig. 4).

    Its running statistics keep 0.995 of their value at every update.

    Parameters
    ----------
    in_channels : int
        Input channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, 128, H, W).
    """

    rows = (8, 4, 2)

    def __init__(self, in_channels: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        width = _WIDTH // len(self.rows)
        self.spp_bn = PreActConv(_WIDTH, in_channels, norm_layer)
        self.spp0, self.spp1, self.spp2 = (PreActConv(width, _WIDTH, norm_layer) for _ in self.rows)
        self.spp_fuse = PreActConv(_WIDTH, _WIDTH + len(self.rows) * width, norm_layer)
        set_momentum(self, 0.995)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.spp_bn(x)
        levels = zip(self.rows, (self.spp0, self.spp1, self.spp2), strict=True)
        return self.spp_fuse(concat(F, x, *(square_grid_pool(F, x, rows, level) for rows, level in levels)))


class PreActConv(gluon.HybridBlock):
    """Normalisation, ReLU, convolution that keeps the size (He et al., ECCV 2016, fig. 4e).

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    norm_layer : callable
        Constructor of the normalisation.
    kernel : int
        Size of the window, odd.
    use_bias : bool
        Whether the convolution has a bias.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        norm_layer: NormLayer = nn.BatchNorm,
        kernel: int = 1,
        use_bias: bool = False,
    ):
        super().__init__()
        self.norm = norm_layer(in_channels=in_channels)
        self.conv = nn.Conv2D(channels, kernel, 1, kernel // 2, use_bias=use_bias, in_channels=in_channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv(relu(F, self.norm(x)))
