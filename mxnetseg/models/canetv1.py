"""CANet: attention guided chained context aggregation (Tang et al., arXiv 2002.12041v1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .bisenet import ARModule
from .layers import (
    ConvModule2d,
    DepthwiseSeparableConv2d,
    FCNHead,
    GlobalFlow,
    NormLayer,
    adaptive_avg_pool_like,
    concat,
    resize_like,
    shrunken_size,
)
from .layers.pool import global_mean, weigh
from .layers.shuffle import shuffle_channels

__all__ = ["CANetv1", "CANetv1Head", "ContextFlow", "ContextFlowShuffle", "FeatureSelection"]


@MODELS.register(
    "CANetv1",
    aliases=("canet",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Tang et al., arXiv 2002.12041v1",
)
class CANetv1(SegmentationModel):
    """CANet, chained context aggregation on a dilated ResNet or ResNeSt, output stride 4.

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
    attention : bool
        Whether the aggregated context is weighted by feature selection, as in the paper.
    capacity : int
        Channels of every flow; the decoder has half of them.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        attention: bool = False,
        capacity: int = 512,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        c1, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = CANetv1Head(num_classes, c1, c4, self.norm, attention, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        c1, _, c3, c4 = self.backbone(x)
        yield self.head(c1, c4)
        yield self.aux_head(c3)


class CANetv1Head(gluon.HybridBlock):
    """Global flow and four chained context flows of c4, decoded with c1.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    c1, c4 : int
        Channels of c1 and c4.
    norm_layer : callable
        Constructor of the normalisation.
    attention : bool
        Whether the aggregated context is weighted by feature selection.
    capacity : int
        Channels of every flow; the decoder has half of them.

    Inputs: c1, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(
        self,
        num_classes: int,
        c1: int,
        c4: int,
        norm_layer: NormLayer = nn.BatchNorm,
        attention: bool = False,
        capacity: int = 512,
    ):
        super().__init__()
        width = capacity // 2
        self.gp = GlobalFlow(capacity, c4, norm_layer)
        self.cp1, self.cp2, self.cp3, self.cp4 = (
            ContextFlow(capacity, c4 + capacity, stride, norm_layer) for stride in (2, 4, 8, 16)
        )
        if attention:
            self.selection = FeatureSelection(width, capacity, norm_layer)
        else:
            self.proj = ConvModule2d(width, 3, padding=1, in_channels=capacity, norm_layer=norm_layer)
        self.drop = nn.Dropout(0.1)
        self.decoder = ConvModule2d(48, 3, padding=1, in_channels=c1, norm_layer=norm_layer)
        self.conv3x3 = ConvModule2d(width, 3, padding=1, in_channels=width + 48, norm_layer=norm_layer)
        self.seg_head = FCNHead(num_classes, width, norm_layer)
        self._attention = attention

    def hybrid_forward(self, F: Any, c1: Any, c4: Any) -> Any:
        flows = [self.gp(c4)]
        for flow in (self.cp1, self.cp2, self.cp3, self.cp4):
            flows.append(flow(c4, flows[-1]))
        project = self.selection if self._attention else self.proj
        context = resize_like(F, self.drop(project(F.add_n(*flows))), c1)
        return self.seg_head(self.conv3x3(concat(F, context, self.decoder(c1))))


class _Flow(gluon.HybridBlock):
    """Context at a reduced resolution: features and the previous flow are pooled, convolved, and resized back.

    Inputs: features (N, C, H, W), previous flow (N, C', H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, stride: int):
        super().__init__()
        self._stride = stride

    def context(self, F: Any, x: Any) -> Any:
        """Convolutions on the pooled map."""
        raise NotImplementedError

    def hybrid_forward(self, F: Any, x: Any, previous: Any) -> Any:
        pooled = adaptive_avg_pool_like(F, concat(F, x, previous), shrunken_size(F, x, self._stride))
        return resize_like(F, self.context(F, pooled), x)


class ContextFlow(_Flow):
    """Context flow of two depthwise separable convolutions.

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Channels of both inputs together.
    stride : int
        Reduction of the resolution, even.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: features (N, C, H, W), previous flow (N, C', H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int, stride: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__(stride)
        self.conv1 = DepthwiseSeparableConv2d(channels, in_channels, 3, padding=1, norm_layer=norm_layer)
        self.conv2 = DepthwiseSeparableConv2d(channels, channels, 3, padding=1, norm_layer=norm_layer)

    def context(self, F: Any, x: Any) -> Any:
        """Both separable convolutions."""
        return self.conv2(self.conv1(x))


class ContextFlowShuffle(_Flow):
    """Context flow of two grouped convolutions with a channel shuffle between them, lighter than the separable ones.

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Channels of both inputs together; 0 takes them from the first inputs.
    stride : int
        Reduction of the resolution, even.
    norm_layer : callable
        Constructor of the normalisation.
    groups : int
        Groups of both convolutions.

    Inputs: features (N, C, H, W), previous flow (N, C', H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self, channels: int, in_channels: int, stride: int, norm_layer: NormLayer = nn.BatchNorm, groups: int = 4
    ):
        super().__init__(stride)
        window = {"kernel_size": 3, "padding": 1, "groups": groups, "norm_layer": norm_layer}
        self.conv1 = ConvModule2d(channels, in_channels=in_channels, **window)
        self.conv2 = ConvModule2d(channels, in_channels=channels, **window)
        self._groups = groups

    def context(self, F: Any, x: Any) -> Any:
        """Both grouped convolutions, every group of the second fed by all groups of the first."""
        return self.conv2(shuffle_channels(F, self.conv1(x), self._groups))


class FeatureSelection(ARModule):
    """3x3 convolution module, plus itself weighted by its own global average.

    Parameters, inputs and outputs as of :class:`~mxnetseg.models.bisenet.ARModule`, which leaves out the sum.
    """

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv3x3(x)
        return weigh(F, x, self.conv1x1(global_mean(F, x))) + x
