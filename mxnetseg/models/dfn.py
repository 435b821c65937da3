"""DFN: learning a discriminative feature network for segmentation (Yu et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, GlobalFlow, NormLayer, concat, relu, resize_like
from .layers.pool import global_mean, weigh

__all__ = [
    "BORDER_WIDTH",
    "DFN",
    "BorderNetwork",
    "ChannelAttentionBlock",
    "RefinementResidualBlock",
    "ScoreHead",
    "SmoothNetwork",
]

BORDER_WIDTH = 21


@MODELS.register(
    "DFN",
    backbones=("resnet*",),
    default_backbone="resnet101_v1b",
    paper="Yu et al., CVPR 2018",
)
class DFN(SegmentationModel):
    """DFN: smooth network with channel attention from the top down, border network from the bottom up, stride 4.

    Its auxiliary maps are the scores of the smooth network's first three stages, then the four border maps.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet.
    aux : bool
        Deep supervision of the smooth network.
    norm : str or callable
        Normalisation.
    border : bool
        Border network, part of `aux`: logits (N, 1, H, W) of the borders, for the loss ``SmoothBorder``.
    width : int
        Channels of the smooth network.
    """

    auxiliary = ("aux_head", "border")

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet101_v1b",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        border: bool = False,
        width: int = 512,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        self._border = aux and border
        with self.name_scope():
            self.smooth = SmoothNetwork(self.backbone.channels, width, self.norm)
            self.head = ScoreHead(num_classes, width, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(*(ScoreHead(num_classes, width, self.norm) for _ in range(3)))
            if self._border:
                self.border = BorderNetwork(self.backbone.channels, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        features = self.backbone(x)
        *stages, last = self.smooth(*features)
        yield self.head(last)
        yield from (head(y) for head, y in zip(self.aux_head, stages, strict=True))
        if self._border:
            yield from self.border(*features)


class SmoothNetwork(gluon.HybridBlock):
    """Global context, then every stage of the backbone refined and weighted by what is above it (fig. 2a).

    Parameters
    ----------
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    width : int
        Channels of the results.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c1, c2, c3, c4. Outputs: four maps of `width` channels, at the resolutions of c4, c3, c2, c1.
    """

    def __init__(self, channels: tuple[int, ...], width: int, norm_layer: NormLayer):
        super().__init__()
        self.context = GlobalFlow(width, channels[-1], norm_layer)
        self.pre, self.cabs, self.after = (nn.HybridSequential() for _ in range(3))
        self.pre.add(*(RefinementResidualBlock(width, c, norm_layer) for c in reversed(channels)))
        self.cabs.add(*(ChannelAttentionBlock(width) for _ in channels))
        self.after.add(*(RefinementResidualBlock(width, width, norm_layer) for _ in channels))

    def hybrid_forward(self, F: Any, *features: Any) -> tuple[Any, ...]:
        high, stages = self.context(features[-1]), []
        for x, pre, attend, after in zip(reversed(features), self.pre, self.cabs, self.after, strict=True):
            x = pre(x)
            high = after(attend(x, resize_like(F, high, x) if stages else high))
            stages.append(high)
        return tuple(stages)


class BorderNetwork(gluon.HybridBlock):
    """Stages of the backbone from the bottom up, each adding to the border features of those below (fig. 2b).

    Parameters
    ----------
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c1, c2, c3, c4. Outputs: four maps of border logits (N, 1, h1, w1), at the resolution of c1.
    """

    def __init__(self, channels: tuple[int, ...], norm_layer: NormLayer):
        super().__init__()
        self.pre, self.after, self.heads = (nn.HybridSequential() for _ in range(3))
        self.pre.add(*(RefinementResidualBlock(BORDER_WIDTH, c, norm_layer) for c in channels))
        self.after.add(*(RefinementResidualBlock(BORDER_WIDTH, BORDER_WIDTH, norm_layer) for _ in channels[1:]))
        self.heads.add(*(ScoreHead(1, BORDER_WIDTH, norm_layer) for _ in channels))

    def hybrid_forward(self, F: Any, *features: Any) -> tuple[Any, ...]:
        first, *others = (pre(x) for pre, x in zip(self.pre, features, strict=True))
        stages = [first]
        for x, after in zip(others, self.after, strict=True):
            stages.append(after(stages[-1] + resize_like(F, x, first)))
        return tuple(head(x) for head, x in zip(self.heads, stages, strict=True))


class RefinementResidualBlock(gluon.HybridBlock):
    """1x1 convolution, and two 3x3 convolutions beside it as a residual (fig. 3b).

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    norm_layer : callable
        Constructor of the normalisation.
    activate : bool
        Whether a ReLU follows.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer, activate: bool = True):
        super().__init__()
        self._activate = activate
        self.conv_1x1 = nn.Conv2D(channels, 1, use_bias=False, in_channels=in_channels)
        self.cbr = ConvModule2d(channels, 3, padding=1, in_channels=channels, norm_layer=norm_layer)
        self.conv_refine = nn.Conv2D(channels, 3, padding=1, use_bias=False, in_channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv_1x1(x)
        x = x + self.conv_refine(self.cbr(x))
        return relu(F, x) if self._activate else x


class ChannelAttentionBlock(gluon.HybridBlock):
    """Low stage, its channels weighted by the global averages of both stages, plus the high stage (fig. 3c).

    Parameters
    ----------
    channels : int
        Channels of each stage.

    Inputs: low and high stage (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.HybridSequential()
        self.fc.add(nn.Dense(channels, in_units=2 * channels), nn.Activation("relu"))
        self.fc.add(nn.Dense(channels, in_units=channels), nn.Activation("sigmoid"))

    def hybrid_forward(self, F: Any, low: Any, high: Any) -> Any:
        weight = self.fc(concat(F, global_mean(F, low), global_mean(F, high)))
        return weigh(F, low, F.reshape(weight, shape=(0, 0, 1, 1))) + high


class ScoreHead(gluon.HybridBlock):
    """Refinement to nine maps per class, then 1x1 convolution to the classes.

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

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.rrb = RefinementResidualBlock(9 * num_classes, in_channels, norm_layer, activate=False)
        self.conv = nn.Conv2D(num_classes, 1, in_channels=9 * num_classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv(self.rrb(x))
