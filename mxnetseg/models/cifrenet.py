"""CIFReNet: context-integrated and feature-refined network for real-time segmentation (Jiang et al., IEEE TIP 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .backbones.cifrenet_mobilenet import InvertedBottleneck
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, PReLU, concat, resize_like
from .layers.pool import global_mean, weigh
from .layers.shuffle import shuffle_channels

__all__ = ["CIFReNet", "ContextIntegration", "DenseSemanticPyramid", "LongSkipRefinement", "ShuffledScore"]

# Dilations of the three pyramids in a row.
_DILATIONS = {"conv_small": (1, 2, 3, 5), "conv_middle": (7, 9, 11, 13), "conv_larger": (17, 19, 21, 23)}
_SLOPE = 0.1


@MODELS.register(
    "CIFReNet",
    aliases=("cifre",),
    backbones=("cifrenet_mobilenet",),
    default_backbone="cifrenet_mobilenet",
    paper="Jiang et al., IEEE TIP 2020",
    realtime=True,
)
class CIFReNet(SegmentationModel):
    """CIFReNet: details from early features, context from three pyramids of large dilation, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``cifrenet_mobilenet``.
    norm : str or callable
        Normalisation.
    align_corners : bool
        How the scores are resized; the original was written for True, later libraries run it with False.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "cifrenet_mobilenet",
        norm: str | NormLayer = "bn",
        align_corners: bool = False,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8)
        self.align_corners = align_corners
        _, low, _, deep = self.backbone.channels
        with self.name_scope():
            self.refine = LongSkipRefinement(low, deep, self.norm)
            self.mod8 = InvertedBottleneck(deep, 320, 1, 6, 7, self.norm)
            self.multi_scale = ContextIntegration(320, self.norm)
            self.head = ShuffledScore(num_classes, 400, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, low, _, deep = self.backbone(x)
        yield self.head(self.multi_scale(self.mod8(self.refine(low, deep))))


class LongSkipRefinement(gluon.HybridBlock):
    """Deep features plus early ones, which the deep ones weight by channel.

    Parameters
    ----------
    low, deep : int
        Channels of the two features.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: early features (N, low, H, W), deep features (N, deep, H, W). Outputs: (N, deep, H, W).
    """

    def __init__(self, low: int, deep: int, norm_layer: NormLayer):
        super().__init__()
        common = {"in_channels": low, "use_bias": True, "norm_layer": norm_layer}
        self.low = nn.HybridSequential()
        self.low.add(ConvModule2d(low, 3, 1, 1, groups=low, activation=PReLU(channels=low), **common))
        self.low.add(ConvModule2d(deep, 1, activation=PReLU(channels=deep), **common))
        self.attention = nn.HybridSequential()
        self.attention.add(nn.Dense(deep // 16, in_units=deep), nn.Activation("relu"))
        self.attention.add(nn.Dense(deep, in_units=deep // 16), nn.Activation("sigmoid"))

    def hybrid_forward(self, F: Any, low: Any, deep: Any) -> Any:
        weight = F.reshape(self.attention(global_mean(F, deep)), shape=(0, 0, 1, 1))
        return weigh(F, self.low(low), weight) + deep


class ContextIntegration(gluon.HybridBlock):
    """Sum of three pyramids in a row, beside the projected global average.

    Parameters
    ----------
    channels : int
        Input channels; a quarter of them for the average.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: (N, channels * 5 / 4, H, W).
    """

    def __init__(self, channels: int, norm_layer: NormLayer):
        super().__init__()
        for name, dilations in _DILATIONS.items():
            setattr(self, name, DenseSemanticPyramid(channels, dilations, norm_layer))
        self.pool = ConvModule2d(
            channels // 4,
            1,
            in_channels=channels,
            use_bias=True,
            norm_layer=norm_layer,
            activation=nn.LeakyReLU(_SLOPE),
        )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        small = self.conv_small(x)
        middle = self.conv_middle(small)
        larger = self.conv_larger(middle)
        return concat(F, small + middle + larger, resize_like(F, self.pool(global_mean(F, x)), x))


class DenseSemanticPyramid(gluon.HybridBlock):
    """Reduction to a fifth, four dilated depthwise branches and the global average, shuffled, with a shortcut.

    Parameters
    ----------
    channels : int
        Input and output channels.
    dilations : (int, int, int, int)
        Of the branches.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    groups = 4

    def __init__(self, channels: int, dilations: tuple[int, ...], norm_layer: NormLayer):
        super().__init__()
        width = channels // 5
        self.down = ConvModule2d(
            width,
            1,
            groups=self.groups,
            in_channels=channels,
            norm_layer=norm_layer,
            activation=PReLU(channels=width),
        )
        self.branches = nn.HybridSequential()
        self.branches.add(*(_branch(width, dilation, norm_layer) for dilation in dilations))
        self.pool = ConvModule2d(width, 1, in_channels=width, use_bias=True, norm_layer=norm_layer, activation=None)
        self.act = PReLU(channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.down(x)
        pooled = resize_like(F, self.pool(global_mean(F, y)), y)
        y = concat(F, *(branch(y) for branch in self.branches), pooled)
        return self.act(shuffle_channels(F, y, self.groups) + x)


class ShuffledScore(gluon.HybridBlock):
    """Grouped 1x1 convolution whose result is shuffled and normalised, then 1x1 convolution to the classes.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Input channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, num_classes, H, W).
    """

    groups = 16

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.mix = nn.Conv2D(256, 1, groups=self.groups, in_channels=in_channels)
        self.bn, self.act = norm_layer(in_channels=256), nn.LeakyReLU(_SLOPE)
        self.drop = nn.Dropout(0.2)
        self.score = nn.Conv2D(num_classes, 1, in_channels=256)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.act(self.bn(shuffle_channels(F, self.mix(x), self.groups)))
        return self.score(self.drop(x))


def _branch(channels: int, dilation: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """Dilated depthwise 3x3 convolution module with PReLU, linear 1x1 convolution module."""
    common = {"in_channels": channels, "norm_layer": norm_layer}
    window = (3, 1, dilation, dilation, channels)
    layers = nn.HybridSequential()
    layers.add(ConvModule2d(channels, *window, activation=PReLU(channels=channels), **common))
    layers.add(ConvModule2d(channels, 1, activation=None, **common))
    return layers
