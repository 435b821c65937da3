"""RefineNet: multi-path refinement networks for high-resolution segmentation (Lin et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel, small_initializer
from .layers import NormLayer, relu, resize_like

__all__ = ["ChainedPooling", "RefineBlock", "RefineNet", "RefineNetHead", "ResidualUnits"]


@MODELS.register(
    "RefineNet",
    backbones=("resnet*",),
    default_backbone="resnet101_v1b",
    paper="Lin et al., CVPR 2017",
)
class RefineNet(SegmentationModel):
    """RefineNet: from the coarsest feature to the finest, refined without any normalisation, output stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet.
    norm : str or callable
        Normalisation of the backbone.
    width : int
        Channels of the decoder; twice as many at c4.
    """

    levels = (0, 1, 2, 3)
    head_initializer = staticmethod(small_initializer)

    def __init__(
        self, num_classes: int, backbone: str = "resnet101_v1b", norm: str | NormLayer = "bn", width: int = 256
    ):
        super().__init__(num_classes, backbone, norm)
        with self.name_scope():
            self.head = RefineNetHead(num_classes, self.backbone.channels, width)


class RefineNetHead(gluon.HybridBlock):
    """Four refinement blocks in a cascade (fig. 2c) and a classifier.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    width : int
        Channels of the blocks; twice as many in the first.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], width: int = 256):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.drop = nn.Dropout(0.5)
        self.stage1 = RefineBlock(c4, 2 * width, width, first=True)
        self.stage2 = RefineBlock(c3, width, width)
        self.stage3 = RefineBlock(c2, width, width)
        self.stage4 = RefineBlock(c1, width)
        self.classifier = nn.Conv2D(num_classes, 3, padding=1, in_channels=width)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        x = self.stage1(self.drop(c4))
        x = self.stage2(self.drop(c3), x)
        x = self.stage3(c2, x)
        x = self.stage4(c1, x)
        return self.classifier(self.drop(x))


class RefineBlock(gluon.HybridBlock):
    """Adaptive convolutions, fusion with the coarser result, chained pooling, output convolutions (fig. 3a).

    Parameters
    ----------
    in_channels, channels : int
        Channels of the feature and inside.
    out_channels : int, optional
        Channels of the result; those inside, without a further convolution, when not given.
    first : bool
        Whether there is no coarser result.

    Inputs: feature (N, in_channels, H, W), coarser result (N, channels, h, w) unless `first`.
    Outputs: (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int | None = None, first: bool = False):
        super().__init__()
        self.reduce = _conv3x3(channels, in_channels)
        self.adapt = ResidualUnits(channels, 2)
        self.join = None if first else _conv3x3(channels, channels)
        self.pool = ChainedPooling(channels)
        self.out = ResidualUnits(channels, 3)
        self.next = _conv3x3(out_channels, channels) if out_channels else None

    def hybrid_forward(self, F: Any, x: Any, coarse: Any = None) -> Any:
        x = self.adapt(self.reduce(x))
        if self.join:
            x = self.join(x) + resize_like(F, coarse, x)
        x = self.out(self.pool(relu(F, x)))
        return self.next(x) if self.next else x


class ResidualUnits(gluon.HybridBlock):
    """Residual convolution units (fig. 3b): two 3x3 convolutions, each behind a ReLU, and a shortcut.

    Parameters
    ----------
    channels : int
        Channels.
    count : int
        Number of units.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, count: int):
        super().__init__()
        self._units = []
        for number in range(1, count + 1):
            unit = (_conv3x3(channels, channels, use_bias=True), _conv3x3(channels, channels))
            for name, conv in zip(("conv", "proj"), unit, strict=True):
                setattr(self, f"{name}{number}", conv)
            self._units.append(unit)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        for conv, proj in self._units:
            x = x + proj(relu(F, conv(relu(F, x))))
        return x


class ChainedPooling(gluon.HybridBlock):
    """Sum of a map and four context maps, each the last one pooled over 5x5 pixels and convolved (fig. 3d).

    Parameters
    ----------
    channels : int
        Channels.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.pool = nn.MaxPool2D(5, 1, 2)
        self._convs = [_conv3x3(channels, channels) for _ in range(4)]
        for number, conv in enumerate(self._convs, start=1):
            setattr(self, f"conv{number}", conv)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        top = x
        for conv in self._convs:
            top = conv(self.pool(top))
            x = x + top
        return x


def _conv3x3(channels: int, in_channels: int, use_bias: bool = False) -> nn.Conv2D:
    """3x3 convolution that keeps the size."""
    return nn.Conv2D(channels, 3, padding=1, use_bias=use_bias, in_channels=in_channels)
