"""SGCPNet's encoder (Hao et al., IEEE TNNLS 2022): MobileNetV3-Small with squeeze-and-excite after the projection."""

from __future__ import annotations

from typing import Any, NamedTuple

from mxnet import gluon
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import ConvModule2d, NormLayer
from ..layers.pool import global_mean, weigh
from .base import Backbone, require_stride

__all__ = ["ExcitedResidual", "NormalizedExcite", "SGCPMobileNet", "sgcp_mobilenet"]


class _Row(NamedTuple):
    """One block: expanded and output channels, kernel, activation, squeeze-and-excite, stride."""

    width: int
    channels: int
    kernel: int
    activation: str = "hard_swish"
    excite: bool = True
    stride: int = 1


_STEM = 16
_STAGES = (
    (_Row(16, 16, 3, "relu", stride=2),),
    (_Row(72, 24, 3, "relu", False, 2), _Row(88, 24, 3, "relu", False)),
    (_Row(96, 40, 5, stride=2), _Row(240, 40, 5), _Row(240, 40, 5), _Row(120, 48, 5), _Row(144, 48, 5)),
    (_Row(288, 96, 5, stride=2), _Row(576, 96, 5), _Row(576, 96, 5)),
)


class SGCPMobileNet(Backbone):
    """Stem and four stages, output stride 32.

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.
    """

    channels = tuple(stage[-1].channels for stage in _STAGES)

    def __init__(self, norm: NormLayer):
        super().__init__()
        width = _STEM
        self.layer0 = ConvModule2d(width, 3, 2, 1, in_channels=3, norm_layer=norm, activation="hard_swish")
        for number, rows in enumerate(_STAGES, start=1):
            layer = nn.HybridSequential()
            for row in rows:
                layer.add(ExcitedResidual(width, row, norm))
                width = row.channels
            setattr(self, f"layer{number}", layer)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.layer1(self.layer0(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


class ExcitedResidual(gluon.HybridBlock):
    """Expansion, depthwise convolution, projection, squeeze-and-excite; a shortcut where the stride is 1.

    Parameters
    ----------
    in_channels : int
        Input channels.
    row : _Row
        What the block is like.
    norm : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, row: _Row, norm: NormLayer):
        super().__init__()
        width, channels, kernel, activation, excite, self._stride = row
        common = {"norm_layer": norm, "activation": activation}
        self.conv1 = ConvModule2d(width, 1, in_channels=in_channels, **common)
        window = (kernel, self._stride, kernel // 2)
        self.conv2 = ConvModule2d(width, *window, groups=width, in_channels=width, **common)
        linear = {"norm_layer": norm, "activation": None}
        self.conv3 = ConvModule2d(channels, 1, in_channels=width, **linear)
        self.se = NormalizedExcite(channels, norm) if excite else None
        changes = self._stride == 1 and in_channels != channels
        self.shortcut = ConvModule2d(channels, 1, in_channels=in_channels, **linear) if changes else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.conv3(self.conv2(self.conv1(x)))
        y = self.se(y) if self.se else y
        if self._stride > 1:
            return y
        return y + (self.shortcut(x) if self.shortcut else x)


class NormalizedExcite(gluon.HybridBlock):
    """Squeeze-and-excite (Hu et al., CVPR 2018) of convolution modules, with hard sigmoid.

    Parameters
    ----------
    channels : int
        Channels; a quarter of them inside.
    norm : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, norm: NormLayer):
        super().__init__()
        hidden = channels // 4
        self.squeeze = ConvModule2d(hidden, 1, in_channels=channels, norm_layer=norm)
        self.excite = ConvModule2d(channels, 1, in_channels=hidden, norm_layer=norm, activation="hard_sigmoid")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return weigh(F, x, self.excite(self.squeeze(global_mean(F, x))))


@BACKBONES.register("sgcp_mobilenet", channels=(16, 24, 48, 96), strides=(32,))
def sgcp_mobilenet(norm: NormLayer, output_stride: int = 32) -> SGCPMobileNet:
    """SGCPNet's variant of MobileNetV3-Small."""
    require_stride("sgcp_mobilenet", output_stride, (32,))
    return SGCPMobileNet(norm)
