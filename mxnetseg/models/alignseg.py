"""AlignSeg: feature-aligned segmentation networks (Huang et al., TPAMI 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon, init
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, NormLayer, concat, relu, resize_like, warp

__all__ = ["AlignBlock", "AlignCM", "AlignFA", "AlignHead", "AlignSeg", "RCBlock"]


@MODELS.register(
    "AlignSeg",
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Huang et al., TPAMI 2021",
)
class AlignSeg(SegmentationModel):
    """AlignSeg: features of all stages aligned by learned displacements, output stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c4.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        with self.name_scope():
            self.head = AlignHead(num_classes, self.backbone.channels, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, self.backbone.channels[3], self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        features = self.backbone(x)
        yield self.head(*features)
        yield self.aux_head(features[3])


class AlignHead(gluon.HybridBlock):
    """Aligned fusion of c1 with c2, c3, c4 and the aligned context, in this order.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 256):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.align_cm = AlignCM(capacity, c4, norm_layer)
        self.align_1 = AlignBlock(capacity, c2, c1, norm_layer)
        self.align_2 = AlignBlock(capacity, c3, capacity, norm_layer)
        self.align_3 = AlignBlock(capacity, c4, capacity, norm_layer)
        self.align_4 = AlignBlock(capacity, 2 * capacity, capacity, norm_layer)
        self.rcb = RCBlock(capacity, capacity, norm_layer)
        self.head = FCNHead(num_classes, capacity, norm_layer)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        x = self.align_1(c2, c1)
        x = self.align_2(c3, x)
        x = self.align_3(c4, x)
        x = self.align_4(self.align_cm(c4), x)
        return self.head(self.rcb(x))


class AlignCM(gluon.HybridBlock):
    """Aligned context modelling: pooled context, displaced to fit the local features, beside them.

    Parameters
    ----------
    channels : int
        Channels of context and local features.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, C, H, W). Outputs: (N, 2 * channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.conv1x1 = ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=norm_layer)
        self.conv3x3 = ConvModule2d(channels, 3, padding=1, in_channels=in_channels, norm_layer=norm_layer)
        self.delta = _displacements(2, channels, norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        context = self.conv1x1(F.contrib.AdaptiveAvgPooling2D(x, output_size=3))
        context, local = resize_like(F, context, x), self.conv3x3(x)
        flow = self.delta(concat(F, context, local))
        return concat(F, warp(F, context, flow), local)


class AlignBlock(gluon.HybridBlock):
    """Both inputs refined, then aligned and added.

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
        self.rcb_1 = RCBlock(channels, high_channels, norm_layer)
        self.rcb_2 = RCBlock(channels, low_channels, norm_layer)
        self.align = AlignFA(channels, norm_layer)

    def hybrid_forward(self, F: Any, high: Any, low: Any) -> Any:
        return self.align(self.rcb_1(high), self.rcb_2(low))


class AlignFA(gluon.HybridBlock):
    """Aligned feature aggregation: sum of both maps, each moved by a displacement learned from the two.

    Parameters
    ----------
    channels : int
        Channels of both inputs.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, channels, h, w), shallow map (N, channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.delta = _displacements(4, channels, norm_layer)

    def hybrid_forward(self, F: Any, high: Any, low: Any) -> Any:
        high = resize_like(F, high, low)
        flows = self.delta(concat(F, high, low))
        low_flow, high_flow = (F.slice_axis(flows, axis=1, begin=i, end=i + 2) for i in (0, 2))
        return warp(F, low, low_flow) + warp(F, high, high_flow)


class RCBlock(gluon.HybridBlock):
    """Residual block with a bottleneck of two 3x3 convolutions; normalisation and ReLU follow the sum.

    Parameters
    ----------
    channels : int
        Output channels, a multiple of 4.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, C, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int = 256, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        inner = channels // 4
        self.conv1x1 = nn.Conv2D(channels, 1, use_bias=False, in_channels=in_channels)
        self.conv3x3_1 = ConvModule2d(inner, 3, padding=1, in_channels=channels, norm_layer=norm_layer)
        self.conv3x3_2 = nn.Conv2D(channels, 3, padding=1, use_bias=False, in_channels=inner)
        self.bn = norm_layer(in_channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv1x1(x)
        return relu(F, self.bn(self.conv3x3_2(self.conv3x3_1(x)) + x))


def _displacements(outputs: int, channels: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """From two concatenated maps of `channels` each to displacements in pixels, which start small."""
    small = init.Normal(0.001)
    block = nn.HybridSequential()
    block.add(ConvModule2d(channels, 1, in_channels=2 * channels, norm_layer=norm_layer))
    block.add(nn.Conv2D(outputs, 3, padding=1, use_bias=False, in_channels=channels, weight_initializer=small))
    return block
