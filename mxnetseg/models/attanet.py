"""AttaNet: attention-augmented network for fast and accurate scene parsing (Song et al., AAAI 2021)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, NormLayer, concat, resize_like
from .layers.pool import global_mean, weigh

__all__ = ["AttaHead", "AttaNet", "AttentionFusionModule", "StripAttentionModule"]


@MODELS.register(
    "AttaNet",
    aliases=("atta",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet18",
    paper="Song et al., AAAI 2021",
    realtime=True,
)
class AttaNet(SegmentationModel):
    """AttaNet: attentive fusion of c4 and c3, then attention over vertical strips, output stride 16.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    """

    levels = (3, 2)

    def __init__(self, num_classes: int, backbone: str = "resnet18", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = AttaHead(num_classes, c4, c3, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)


class AttaHead(gluon.HybridBlock):
    """Attention fusion, 3x3 convolution module, strip attention, FCN head.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    c4, c3 : int
        Channels of c4 and c3.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c4, c3. Outputs: (N, num_classes, h3, w3), at the resolution of c3.
    """

    def __init__(self, num_classes: int, c4: int, c3: int, norm_layer: NormLayer):
        super().__init__()
        self.afm = AttentionFusionModule(128, c4, c3, norm_layer)
        self.conv3x3 = ConvModule2d(128, 3, padding=1, in_channels=128, norm_layer=norm_layer)
        self.sam = StripAttentionModule(128, norm_layer)
        self.seg = FCNHead(num_classes, 128, norm_layer)

    def hybrid_forward(self, F: Any, c4: Any, c3: Any) -> Any:
        return self.seg(self.sam(self.conv3x3(self.afm(c4, c3))))


class AttentionFusionModule(gluon.HybridBlock):
    """Deep and shallow map, weighted per channel by an attention and its complement.

    Parameters
    ----------
    channels : int
        Output channels.
    high_channels, low_channels : int
        Channels of the deep and of the shallow map; 0 takes them from the first inputs.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, C, h, w), shallow map (N, C', H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self, channels: int, high_channels: int = 0, low_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm
    ):
        super().__init__()
        both = high_channels + channels if high_channels else 0
        self.conv3x3_high = ConvModule2d(channels, 3, padding=1, in_channels=high_channels, norm_layer=norm_layer)
        self.conv3x3_low = ConvModule2d(channels, 3, padding=1, in_channels=low_channels, norm_layer=norm_layer)
        self.conv1x1_1 = ConvModule2d(channels, 1, in_channels=both, norm_layer=norm_layer)
        self.conv1x1_2 = ConvModule2d(channels, 1, in_channels=channels, norm_layer=norm_layer, activation="sigmoid")

    def hybrid_forward(self, F: Any, high: Any, low: Any) -> Any:
        low = self.conv3x3_low(low)
        both = self.conv1x1_1(concat(F, resize_like(F, high, low), low))
        weight = self.conv1x1_2(global_mean(F, both))
        high = weigh(F, self.conv3x3_high(high), weight)
        return resize_like(F, high, low) + weigh(F, low, 1 - weight)


class StripAttentionModule(gluon.HybridBlock):
    """Attention of every pixel to the columns of the map, each averaged over its height.

    Parameters
    ----------
    in_channels : int
        Channels of the input and of the output.
    norm_layer : callable
        Constructor of the normalisation.
    reduction : int
        Queries and keys have in_channels // reduction channels.

    Inputs: (N, in_channels, H, W). Outputs: the same shape.
    """

    def __init__(self, in_channels: int, norm_layer: NormLayer = nn.BatchNorm, reduction: int = 2):
        super().__init__()
        common = {"kernel_size": 1, "in_channels": in_channels, "norm_layer": norm_layer}
        self.query_conv = ConvModule2d(in_channels // reduction, **common)
        self.key_conv = ConvModule2d(in_channels // reduction, **common)
        self.value_conv = ConvModule2d(in_channels, **common)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        query = F.reshape(self.query_conv(x), shape=(0, 0, -1))
        key, value = F.mean(self.key_conv(x), axis=2), F.mean(self.value_conv(x), axis=2)
        attention = F.softmax(F.batch_dot(query, key, transpose_a=True), axis=-1)
        mixed = F.batch_dot(value, attention, transpose_b=True)
        return F.reshape_like(mixed, F.BlockGrad(x)) + x
