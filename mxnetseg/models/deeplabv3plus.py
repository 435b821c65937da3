"""DeepLabv3+: encoder-decoder with atrous separable convolution (Chen et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ASPPModule, ConvModule2d, FCNHead, NormLayer, concat, resize_like

__all__ = ["DeepLabv3PlusHead", "DeepLabv3PlusR", "DeepLabv3PlusX"]


class _DeepLabv3Plus(SegmentationModel):
    """Both variants: pyramid on c4, decoder on c1, no auxiliary head."""

    def __init__(self, num_classes: int, backbone: str, norm: str | NormLayer, output_stride: int, capacity: int):
        super().__init__(num_classes, backbone, norm, output_stride)
        c1, _, _, c4 = self.backbone.channels
        with self.name_scope():
            self.head = DeepLabv3PlusHead(num_classes, c1, c4, self.norm, capacity)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        c1, _, _, c4 = self.backbone(x)
        yield self.head(c1, c4)


@MODELS.register(
    "DeepLabv3PlusR",
    aliases=("deeplabv3plus", "deeplabv3+"),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Chen et al., ECCV 2018",
)
class DeepLabv3PlusR(_DeepLabv3Plus):
    """DeepLabv3+ on a ResNet or ResNeSt.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    dilate : bool
        Output stride 8 instead of 32.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        dilate: bool = True,
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, 8 if dilate else 32, capacity)


@MODELS.register(
    "DeepLabv3PlusX",
    backbones=("xception65",),
    default_backbone="xception65",
    paper="Chen et al., ECCV 2018",
)
class DeepLabv3PlusX(_DeepLabv3Plus):
    """DeepLabv3+ on Xception-65.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``xception65``.
    norm : str or callable
        Normalisation.
    output_stride : int
        8, 16 or 32.
    capacity : int
        Width of the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "xception65",
        norm: str | NormLayer = "bn",
        output_stride: int = 8,
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, output_stride, capacity)


class DeepLabv3PlusHead(gluon.HybridBlock):
    """Pyramid pooling on c4 and a decoder that adds the detail of c1 (fig. 2).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    c1, c4 : int
        Channels of c1 and c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width.

    Inputs: c1, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, c1: int, c4: int, norm_layer: NormLayer, capacity: int = 256):
        super().__init__()
        self.aspp = ASPPModule(capacity, c4, norm_layer, rates=(12, 24, 36))
        self.conv_c1 = ConvModule2d(48, 3, padding=1, in_channels=c1, norm_layer=norm_layer)
        self.conv3x3 = ConvModule2d(capacity, 3, padding=1, in_channels=capacity + 48, norm_layer=norm_layer)
        self.drop = nn.Dropout(0.5)
        self.head = FCNHead(num_classes, capacity, norm_layer)

    def hybrid_forward(self, F: Any, c1: Any, c4: Any) -> Any:
        low = self.conv_c1(c1)
        x = self.conv3x3(concat(F, low, resize_like(F, self.aspp(c4), low)))
        return self.head(self.drop(x))
