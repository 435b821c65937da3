"""DeepLabv3b+: DeepLabv3+ on a wide ResNet, with detail from stride 2 (Zhu et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ASPPModule, ConvModule2d, NormLayer, concat, resize_like

__all__ = ["DeepLabv3bPlus", "DeepLabv3bPlusHead"]


@MODELS.register(
    "DeepLabv3bPlus",
    aliases=("deeplabv3bplus", "DeepLabWV3Plus"),
    backbones=("wideresnet*",),
    default_backbone="wideresnet38",
    paper="Zhu et al., CVPR 2019",
)
class DeepLabv3bPlus(SegmentationModel):
    """DeepLabv3b+ on a wide ResNet, output stride 8, no auxiliary head.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any wide ResNet.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "wideresnet38",
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8)
        c1, _, _, c4 = self.backbone.channels
        with self.name_scope():
            self.head = DeepLabv3bPlusHead(num_classes, c1, c4, self.norm, capacity)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        c1, _, _, c4 = self.backbone(x)
        yield self.head(c1, c4)


class DeepLabv3bPlusHead(gluon.HybridBlock):
    """Pyramid pooling on c4 and a decoder on c1; both projections are linear (Chen et al., ECCV 2018, fig. 2).

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
        self.aspp = ASPPModule(capacity, c4, norm_layer, rates=(12, 24, 36), drop=0, linear=True)
        self.c1_block = nn.Conv2D(48, 1, use_bias=False, in_channels=c1)
        self.conv1 = ConvModule2d(capacity, 3, padding=1, in_channels=capacity + 48, norm_layer=norm_layer)
        self.conv2 = ConvModule2d(capacity, 3, padding=1, in_channels=capacity, norm_layer=norm_layer)
        self.conv3 = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=capacity)

    def hybrid_forward(self, F: Any, c1: Any, c4: Any) -> Any:
        low = self.c1_block(c1)
        x = concat(F, low, resize_like(F, self.aspp(c4), low))
        return self.conv3(self.conv2(self.conv1(x)))
