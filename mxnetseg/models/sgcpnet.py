"""SGCPNet: real-time segmentation by spatial-detail guided context propagation (Hao et al., IEEE TNNLS 2022)."""

from __future__ import annotations

from functools import partial
from typing import Any

from mxnet import gluon, init
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, set_momentum
from .layers.activation import ACTIVATIONS
from .layers.pool import weigh
from .layers.resize import double_like

__all__ = ["SGCPHead", "SGCPNet", "TopDown", "TwoWay", "WeightedFusion"]

_WIDTH = 64


@MODELS.register(
    "SGCPNet",
    aliases=("sgcpnet2", "sgcp"),
    backbones=("sgcp_mobilenet",),
    default_backbone="sgcp_mobilenet",
    paper="Hao et al., IEEE TNNLS 2022",
    realtime=True,
)
class SGCPNet(SegmentationModel):
    """SGCPNet: context propagated down, up and down again through a pyramid of five levels, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``sgcp_mobilenet``.
    norm : str or callable
        Normalisation.
    """

    align_corners = False
    levels = (1, 2, 3)

    def __init__(self, num_classes: int, backbone: str = "sgcp_mobilenet", norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm)
        with self.name_scope():
            self.head = SGCPHead(num_classes, self.backbone.channels[1:], partial(self.norm, epsilon=1e-3))
        set_momentum(self.head, 0.99)


class SGCPHead(gluon.HybridBlock):
    """Pyramid of strides 8 to 128 with two-way fusion, one more pass from the top, classifier.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : sequence of int
        Channels of the features.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c2, c3, c4. Outputs: (N, num_classes, h2, w2), at the resolution of c2.
    """

    def __init__(self, num_classes: int, channels: tuple[int, int, int], norm_layer: NormLayer):
        super().__init__()
        # Widths of EfficientNet-B0, for which such pyramids were made.
        widths = (40, 112, 320)
        for number, (width, in_channels) in enumerate(zip(widths, channels, strict=True), start=3):
            setattr(self, f"conv{number}", nn.Conv2D(width, 1, in_channels=in_channels))
        self.td_bu = TwoWay(widths, norm_layer)
        self.td = TopDown(norm_layer)
        self.classifier = nn.Conv2D(num_classes, 1, in_channels=_WIDTH)

    def hybrid_forward(self, F: Any, c2: Any, c3: Any, c4: Any) -> Any:
        pyramid = self.td_bu(self.conv3(c2), self.conv4(c3), self.conv5(c4))
        return self.classifier(self.td(*pyramid)[0])


class TopDown(gluon.HybridBlock):
    """Every level fused with the result of the level above.

    Parameters
    ----------
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: levels 3 to 7. Outputs: levels 3 to 6.
    """

    def __init__(self, norm_layer: NormLayer):
        super().__init__()
        for level in (6, 5, 4, 3):
            setattr(self, f"p{level}_w1", WeightedFusion(2))
            setattr(self, f"conv{level}_up", _separable(norm_layer))

    def hybrid_forward(self, F: Any, *levels: Any) -> tuple[Any, ...]:
        *levels, above = levels
        results = []
        for number, x in zip((6, 5, 4, 3), reversed(levels), strict=True):
            fused = getattr(self, f"p{number}_w1")(x, double_like(F, above, x))
            above = getattr(self, f"conv{number}_up")(fused)
            results.insert(0, above)
        return tuple(results)


class TwoWay(TopDown):
    """A unit of BiFPN (Tan et al., CVPR 2020, fig. 3): levels 6 and 7 are made here, fusion goes down, then up.

    Parameters
    ----------
    in_channels : sequence of int
        Channels of the features.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: features of levels 3 to 5. Outputs: levels 3 to 7.
    """

    def __init__(self, in_channels: tuple[int, int, int], norm_layer: NormLayer):
        super().__init__(norm_layer)
        laterals = zip((3, 4, 5, 4, 5), ("", "", "", "_2", "_2"), (*in_channels, *in_channels[1:]), strict=True)
        for level, suffix, channels in laterals:
            setattr(self, f"p{level}_down_channel{suffix}", _lateral(channels, norm_layer))
        self.p5_to_p6 = _lateral(in_channels[-1], norm_layer)
        self.pool = nn.MaxPool2D(3, 2, 1)
        for level in (4, 5, 6, 7):
            setattr(self, f"p{level}_w2", WeightedFusion(2 if level == 7 else 3))
            setattr(self, f"conv{level}_down", _separable(norm_layer))

    def hybrid_forward(self, F: Any, x3: Any, x4: Any, x5: Any) -> tuple[Any, ...]:
        p3, p4, p5 = self.p3_down_channel(x3), self.p4_down_channel(x4), self.p5_down_channel(x5)
        p6 = self.pool(self.p5_to_p6(x5))
        p7 = self.pool(p6)
        below, *downs = super().hybrid_forward(F, p3, p4, p5, p6, p7)
        results = [below]
        sides = (self.p4_down_channel_2(x4), self.p5_down_channel_2(x5), p6)
        levels = (*zip(sides, downs, strict=True), (p7,))
        for number, maps in enumerate(levels, start=4):
            fused = getattr(self, f"p{number}_w2")(*maps, self.pool(results[-1]))
            results.append(getattr(self, f"conv{number}_down")(fused))
        return tuple(results)


class WeightedFusion(gluon.HybridBlock):
    """Average of maps with learned weights of at least 0 (Tan et al., CVPR 2020, sec. 3.3), then swish.

    Parameters
    ----------
    count : int
        Number of maps.

    Inputs: maps of one shape. Outputs: a map of that shape.
    """

    def __init__(self, count: int):
        super().__init__()
        self.weight = self.params.get("weight", shape=(count,), init=init.One())

    def hybrid_forward(self, F: Any, *maps: Any, weight: Any) -> Any:
        weight = F.reshape(F.relu(weight), shape=(-1, 1, 1, 1, 1))
        weight = F.broadcast_div(weight, F.sum(weight, axis=0, keepdims=True) + 1e-4)
        parts = (
            weigh(F, x, F.squeeze(F.slice_axis(weight, axis=0, begin=i, end=i + 1), axis=0)) for i, x in enumerate(maps)
        )
        return ACTIVATIONS["swish"](F, F.add_n(*parts))


def _separable(norm_layer: NormLayer) -> nn.HybridSequential:
    """Depthwise 3x3 convolution, 1x1 convolution with bias, normalisation."""
    layers = nn.HybridSequential()
    layers.add(nn.Conv2D(_WIDTH, 3, 1, 1, groups=_WIDTH, use_bias=False, in_channels=_WIDTH))
    layers.add(_lateral(_WIDTH, norm_layer))
    return layers


def _lateral(in_channels: int, norm_layer: NormLayer) -> ConvModule2d:
    """1x1 convolution with bias and normalisation."""
    return ConvModule2d(_WIDTH, 1, in_channels=in_channels, use_bias=True, norm_layer=norm_layer, activation=None)
