"""BiSeNet V1 as its most used PyTorch version has it (Yu et al., ECCV 2018): a ladder as context path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .bisenet import ARModule, SpatialPath
from .layers import ConvModule2d, FCNHead, NormLayer, concat, double_like
from .layers.pool import global_mean, weigh

__all__ = ["AttentionFusion", "BiSeNetV1", "ContextPath"]


@MODELS.register(
    "BiSeNetV1",
    backbones=("resnet18*", "resnet34"),
    default_backbone="resnet18",
    paper="Yu et al., ECCV 2018",
    realtime=True,
)
class BiSeNetV1(SegmentationModel):
    """BiSeNet V1, the context path at strides 32 to 8, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet-18 or -34.
    aux : bool
        Auxiliary heads on the context at strides 8 and 16.
    norm : str or callable
        Normalisation.
    """

    align_corners = False

    def __init__(self, num_classes: int, backbone: str = "resnet18", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.context = ContextPath(c3, c4, self.norm)
            self.head = _Head(num_classes, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                for _ in range(2):
                    self.aux_head.add(FCNHead(num_classes, 128, self.norm, drop_out=0, channels=64))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        context8, context16 = self.context(*self.backbone(x)[1:])
        yield self.head(x, context8)
        yield self.aux_head[0](context8)
        yield self.aux_head[1](context16)


class _Head(gluon.HybridBlock):
    """Spatial path, fusion and scores."""

    def __init__(self, num_classes: int, norm_layer: NormLayer):
        super().__init__()
        weight = ConvModule2d(256, 1, in_channels=256, norm_layer=norm_layer, activation="sigmoid")
        self.spatial_path = SpatialPath(128, norm_layer)
        self.fusion = AttentionFusion(256, 256, weight, norm_layer)
        self.seg = FCNHead(num_classes, 256, norm_layer, drop_out=0)

    def hybrid_forward(self, F: Any, x: Any, context: Any) -> Any:
        return self.seg(self.fusion(self.spatial_path(x), context))


class ContextPath(gluon.HybridBlock):
    """From c4 upwards: attention refinement, sum, enlargement by repetition, convolution (fig. 2a, sec. 3.2).

    Parameters
    ----------
    c3, c4 : int
        Channels of c3 and c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c2, c3, c4. Outputs: (N, 128, H, W) at the sizes of c2 and c3.
    """

    def __init__(self, c3: int, c4: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.arm16, self.arm32 = ARModule(128, c3, norm_layer), ARModule(128, c4, norm_layer)
        self.conv_head16 = ConvModule2d(128, 3, padding=1, in_channels=128, norm_layer=norm_layer)
        self.conv_head32 = ConvModule2d(128, 3, padding=1, in_channels=128, norm_layer=norm_layer)
        self.conv_avg = ConvModule2d(128, 1, in_channels=c4, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, c2: Any, c3: Any, c4: Any) -> tuple[Any, Any]:
        deep = F.broadcast_add(self.arm32(c4), self.conv_avg(global_mean(F, c4)))
        deep = self.conv_head32(double_like(F, deep, c3))
        return self.conv_head16(double_like(F, self.arm16(c3) + deep, c2)), deep


class AttentionFusion(gluon.HybridBlock):
    """Concatenation, projection, and what a channel attention selects of it added (fig. 2c).

    Parameters
    ----------
    channels, in_channels : int
        Output channels; channels of both inputs together.
    attention : HybridBlock
        Weights (N, channels, 1, 1) of the average of each channel.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: two maps (N, C, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self, channels: int, in_channels: int, attention: gluon.HybridBlock, norm_layer: NormLayer = nn.BatchNorm
    ):
        super().__init__()
        self.proj = ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=norm_layer)
        self.attention = attention

    def hybrid_forward(self, F: Any, spatial: Any, context: Any) -> Any:
        x = self.proj(concat(F, spatial, context))
        return weigh(F, x, self.attention(global_mean(F, x))) + x
