"""MobileNetV3 backbones (Howard et al., ICCV 2019) at output stride 8, as MLMSNet uses them."""

from __future__ import annotations

from typing import Any, NamedTuple

from mxnet import gluon, init
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import Activation, NormLayer
from ..layers.pool import global_mean, weigh
from .base import Backbone, require_stride

__all__ = [
    "InvertedResidual",
    "MobileNetV3Backbone",
    "SqueezeExcite",
    "make_divisible",
    "mobilenet_v3_large_0_75",
    "mobilenet_v3_large_1_0",
    "mobilenet_v3_small_0_75",
    "mobilenet_v3_small_1_0",
]


class _Row(NamedTuple):
    """One line of the paper's tables: expansion as a factor of the input, and whether there is squeeze-and-excite."""

    kernel: int
    expand: float
    channels: int
    excite: bool
    activation: str
    stride: int = 1


# Tables 1 and 2 of the paper, cut into four stages. The strides of the last two stages are taken away, not replaced by
# dilation. Expansions in the middle of `large` are rounded so that the paper's widths 200 and 184 come out.
_LARGE = (
    (_Row(3, 1, 16, False, "relu"), _Row(3, 4, 24, False, "relu", 2), _Row(3, 3, 24, False, "relu")),
    (_Row(5, 3, 40, True, "relu", 2), *[_Row(5, 3, 40, True, "relu")] * 2),
    (
        _Row(3, 6, 80, False, "hard_swish"),
        _Row(3, 2.5, 80, False, "hard_swish"),
        *[_Row(3, 2.3, 80, False, "hard_swish")] * 2,
        *[_Row(3, 6, 112, True, "hard_swish")] * 2,
    ),
    tuple([_Row(5, 6, 160, True, "hard_swish")] * 3),
)
_SMALL = (
    (_Row(3, 1, 16, True, "relu", 2),),
    (_Row(3, 4.5, 24, False, "relu", 2), _Row(3, 3.67, 24, False, "relu")),
    (
        _Row(5, 4, 40, True, "hard_swish"),
        *[_Row(5, 6, 40, True, "hard_swish")] * 2,
        *[_Row(5, 3, 48, True, "hard_swish")] * 2,
    ),
    tuple([_Row(5, 6, 96, True, "hard_swish")] * 3),
)


def make_divisible(value: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, but not less than 0.9 of the value (and at least `divisor`)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class MobileNetV3Backbone(Backbone):
    """Stem and four stages of MobileNetV3 whose outputs are linear; c2, c3 and c4 all have stride 8.

    Parameters
    ----------
    stages : tuple of tuple
        Blocks of the four stages.
    width : float
        Width multiplier.
    norm : callable
        Constructor of the normalisation.
    dilations : (int, int)
        Dilation of the depthwise convolutions of the last two stages.

    Outputs: c1 at stride 4; c2, c3, c4 at stride 8.
    """

    def __init__(self, stages: Any, width: float, norm: NormLayer, dilations: tuple[int, int] = (1, 1)):
        super().__init__()
        channels, widths = make_divisible(16 * width), []
        with self.name_scope():
            self.layer0 = nn.HybridSequential()
            stem = nn.HybridSequential()
            stem.add(_conv(channels, 3, 3, 2), norm(in_channels=channels), Activation("hard_swish"))
            self.layer0.add(stem)
            for number, (rows, dilation) in enumerate(zip(stages, (1, 1, *dilations), strict=True), start=1):
                layer = nn.HybridSequential()
                for row in rows:
                    out = make_divisible(row.channels * width)
                    layer.add(
                        InvertedResidual(channels, make_divisible(channels * row.expand), out, row, norm, dilation)
                    )
                    channels = out
                setattr(self, f"layer{number}", layer)
                widths.append(channels)
        self.channels = tuple(widths)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.layer0(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


class InvertedResidual(gluon.HybridBlock):
    """Expansion, depthwise convolution, projection (fig. 4); squeeze-and-excite comes before the activation.

    Parameters
    ----------
    in_channels, width, channels : int
        Input, inner and output channels; no expansion where the first two agree.
    row : _Row
        Kernel, stride, activation, squeeze-and-excite.
    norm : callable
        Constructor of the normalisation.
    dilation : int
        Of the depthwise convolution.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, width: int, channels: int, row: _Row, norm: NormLayer, dilation: int = 1):
        super().__init__()
        self._shortcut = row.stride == 1 and in_channels == channels
        excite = SqueezeExcite(width) if row.excite else nn.HybridSequential()
        act = Activation(row.activation)
        self.conv = nn.HybridSequential()
        if width != in_channels:
            self.conv.add(_conv(width, in_channels), norm(in_channels=width), Activation(row.activation))
        self.conv.add(_conv(width, width, row.kernel, row.stride, dilation, width), norm(in_channels=width))
        self.conv.add(*((act, excite) if width == in_channels else (excite, act)))
        self.conv.add(_conv(channels, width), norm(in_channels=channels))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.conv(x)
        return x + y if self._shortcut else y


class SqueezeExcite(gluon.HybridBlock):
    """Channel weights from the global average through two dense layers (Hu et al., CVPR 2018, sec. 3).

    Parameters
    ----------
    channels : int
        Channels.
    hidden : int, optional
        Width inside; a quarter of the channels when not given.
    gate : str
        Activation that makes the weights.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, hidden: int | None = None, gate: str = "hard_sigmoid"):
        super().__init__()
        hidden, small = hidden or make_divisible(channels // 4), init.Normal(0.01)
        self.fc = nn.HybridSequential()
        self.fc.add(nn.Dense(hidden, in_units=channels, weight_initializer=small), nn.Activation("relu"))
        self.fc.add(nn.Dense(channels, in_units=hidden, weight_initializer=small), Activation(gate))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return weigh(F, x, F.reshape(self.fc(global_mean(F, x)), shape=(0, 0, 1, 1)))


def _conv(
    channels: int, in_channels: int, kernel: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2D:
    """Convolution without bias that keeps the size but for its stride; variance 2 / (kernel^2 * channels)."""
    variance = init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
    return nn.Conv2D(
        channels,
        kernel,
        stride,
        dilation * (kernel // 2),
        dilation,
        groups,
        use_bias=False,
        in_channels=in_channels,
        weight_initializer=variance,
    )


def _mobilenet(
    stages: Any, width: float, norm: NormLayer, output_stride: int, dilations: tuple[int, int]
) -> MobileNetV3Backbone:
    """MobileNetV3 of that width."""
    require_stride("mobilenet_v3", output_stride, (8,))
    return MobileNetV3Backbone(stages, width, norm, dilations)


@BACKBONES.register("mobilenet_v3_large_1_0", channels=(24, 40, 112, 160), strides=(8,))
def mobilenet_v3_large_1_0(norm: NormLayer, output_stride: int = 8, dilations: Any = (1, 1)) -> MobileNetV3Backbone:
    """MobileNetV3-Large, output stride 8."""
    return _mobilenet(_LARGE, 1.0, norm, output_stride, dilations)


@BACKBONES.register("mobilenet_v3_large_0_75", channels=(24, 32, 88, 120), strides=(8,))
def mobilenet_v3_large_0_75(norm: NormLayer, output_stride: int = 8, dilations: Any = (1, 1)) -> MobileNetV3Backbone:
    """MobileNetV3-Large, width 0.75, output stride 8."""
    return _mobilenet(_LARGE, 0.75, norm, output_stride, dilations)


@BACKBONES.register("mobilenet_v3_small_1_0", channels=(16, 24, 48, 96), strides=(8,))
def mobilenet_v3_small_1_0(norm: NormLayer, output_stride: int = 8, dilations: Any = (1, 1)) -> MobileNetV3Backbone:
    """MobileNetV3-Small, output stride 8."""
    return _mobilenet(_SMALL, 1.0, norm, output_stride, dilations)


@BACKBONES.register("mobilenet_v3_small_0_75", channels=(16, 24, 40, 72), strides=(8,))
def mobilenet_v3_small_0_75(norm: NormLayer, output_stride: int = 8, dilations: Any = (1, 1)) -> MobileNetV3Backbone:
    """MobileNetV3-Small, width 0.75, output stride 8."""
    return _mobilenet(_SMALL, 0.75, norm, output_stride, dilations)
