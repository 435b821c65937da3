"""Segmentation networks of MagNet: progressive semantic segmentation (Huynh et al., CVPR 2021).

Its third network is :class:`~mxnetseg.models.hrnet_ocr.HRNetOCR`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel, small_initializer
from .layers import Activation, NormLayer, concat, relu, resize_like, set_momentum

__all__ = ["MagNetFPN", "MagNetPSP", "PyramidHead", "UpsamplingPSPHead"]


@MODELS.register(
    "MagNetFPN",
    backbones=("resnet*",),
    default_backbone="resnet50_v1b",
    paper="Huynh et al., CVPR 2021",
)
class MagNetFPN(SegmentationModel):
    """Feature pyramid whose levels are classified together, without normalisation: MagNet's network for DeepGlobe.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet; MagNet's is ``resnet50_v1b``.
    norm : str or callable
        Normalisation of the backbone.
    capacity : int
        Width of the pyramid; what is classified has half of it per level.
    """

    align_corners = False
    # As the original; with twice the variance, eight layers without normalisation start with scores of a large scale.
    head_initializer = staticmethod(small_initializer)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50_v1b",
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm)
        _slow_statistics(self.backbone)
        with self.name_scope():
            self.head = PyramidHead(num_classes, self.backbone.channels, capacity)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        yield self.head(*self.backbone(x))


class PyramidHead(gluon.HybridBlock):
    """Top-down pathway, two convolutions per level, 3x3 convolution over all levels to the classes.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    capacity : int
        Width of the pyramid; what is classified has half of it per level.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], capacity: int = 256):
        super().__init__()
        self.laterals, self.smooths = nn.HybridSequential(), nn.HybridSequential()
        for width in reversed(channels):
            self.laterals.add(nn.Conv2D(capacity, 1, in_channels=width))
            smooth = nn.HybridSequential()
            smooth.add(_conv3x3(capacity, capacity), _conv3x3(capacity // 2, capacity))
            self.smooths.add(smooth)
        self.classifier = _conv3x3(num_classes, capacity // 2 * len(channels))

    def hybrid_forward(self, F: Any, *maps: Any) -> Any:
        levels: list[Any] = []
        for lateral, x in zip(self.laterals, reversed(maps), strict=True):
            level = lateral(x)
            levels.append(level + resize_like(F, levels[-1], level, False) if levels else level)
        smooth = [layers(level) for layers, level in zip(self.smooths, levels, strict=True)]
        resized = [resize_like(F, level, smooth[-1], False) for level in smooth[:-1]]
        return self.classifier(concat(F, *resized, smooth[-1]))


@MODELS.register(
    "MagNetPSP",
    backbones=("resnet*",),
    default_backbone="resnet101_v1b",
    paper="Huynh et al., CVPR 2021",
)
class MagNetPSP(SegmentationModel):
    """PSPNet on a ResNet of output stride 32, with three steps of upsampling.

    At inference the auxiliary scores are averaged in with weight 0.4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet; MagNet's is ``resnet101_v1b``.
    aux : bool
        Auxiliary classifier on c4.
    norm : str or callable
        Normalisation.
    """

    auxiliary = ()
    align_corners = False
    mix = 0.4

    def __init__(
        self, num_classes: int, backbone: str = "resnet101_v1b", aux: bool = True, norm: str | NormLayer = "bn"
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        _slow_statistics(self.backbone)
        width = self.backbone.channels[-1]
        with self.name_scope():
            self.head = UpsamplingPSPHead(num_classes, width, self.norm)
            if aux:
                self.aux_head = nn.Conv2D(num_classes, 1, in_channels=width)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        c4 = self.backbone(x)[-1]
        yield self.head(c4)
        yield self.aux_head(c4)


class UpsamplingPSPHead(gluon.HybridBlock):
    """Pyramid pooling over 1, 2, 3 and 6 bins, then three times twice the size.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Channels of c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c4 (N, in_channels, h, w). Outputs: (N, num_classes, 8 h, 8 w).
    """

    bins = (1, 2, 3, 6)

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.pools = nn.HybridSequential()
        self.pools.add(*(nn.Conv2D(in_channels, 1, use_bias=False, in_channels=in_channels) for _ in self.bins))
        self.bottleneck = nn.Conv2D(1024, 1, in_channels=in_channels * (len(self.bins) + 1))
        self.ups = nn.HybridSequential()
        for before, width in ((1024, 256), (256, 64), (64, 64)):
            up = nn.HybridSequential()
            up.add(_conv3x3(width, before), norm_layer(in_channels=width), Activation("prelu"), _drop(0.15))
            self.ups.add(up)
        self.drop = _drop(0.3)
        self.classifier = nn.Conv2D(num_classes, 1, in_channels=64)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        pooled = [
            resize_like(F, conv(F.contrib.AdaptiveAvgPooling2D(x, output_size=bins)), x, False)
            for conv, bins in zip(self.pools, self.bins, strict=True)
        ]
        x = self.drop(relu(F, self.bottleneck(concat(F, *pooled, x))))
        for up in self.ups:
            x = up(resize_like(F, x, _twice(F, x), False))
        return self.classifier(x)


def _slow_statistics(backbone: gluon.Block) -> None:
    """The normalisations of the blocks remember longer than those of stem and shortcuts."""

    def change(block: gluon.Block) -> None:
        for name in ("bn1", "bn2", "bn3"):
            if block is not backbone and name in block._children:
                set_momentum(getattr(block, name), 0.99)

    backbone.apply(change)


def _conv3x3(channels: int, in_channels: int) -> nn.Conv2D:
    """3x3 convolution with bias that keeps the size."""
    return nn.Conv2D(channels, 3, padding=1, in_channels=in_channels)


def _drop(rate: float) -> nn.Dropout:
    """Dropout of whole channels."""
    return nn.Dropout(rate, axes=(2, 3))


def _twice(F: Any, x: Any) -> Any:
    """One channel of twice the height and width, to carry that size."""
    return F.UpSampling(F.slice_axis(F.BlockGrad(x), axis=1, begin=0, end=1), scale=2, sample_type="nearest")
