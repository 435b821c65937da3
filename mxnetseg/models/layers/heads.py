"""Segmentation heads: from features to class scores."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .conv import ConvModule2d
from .norm import NormLayer

__all__ = ["AuxHead", "FCNHead"]


class FCNHead(gluon.HybridBlock):
    """3x3 convolution module, dropout, 1x1 convolution to the classes.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.
    drop_out : float
        Dropout probability; no layer where 0.
    channels : int, optional
        Width of the 3x3 convolution; the smaller of `in_channels` and 256 when not given.
    use_bias : bool
        Whether the 3x3 convolution has a bias.
    score_bias : bool
        Whether the scores have a bias.
    drop_channels : bool
        Dropout of whole channels.

    Inputs: (N, in_channels, H, W). Outputs: (N, num_classes, H, W).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 0,
        norm_layer: NormLayer = nn.BatchNorm,
        activation: str = "relu",
        drop_out: float = 0.1,
        channels: int | None = None,
        use_bias: bool = False,
        score_bias: bool = True,
        drop_channels: bool = False,
    ):
        super().__init__()
        width = channels or _head_width(in_channels)
        common = {"use_bias": use_bias, "norm_layer": norm_layer, "activation": activation}
        self.conv1 = ConvModule2d(width, 3, padding=1, in_channels=max(in_channels, 0), **common)
        self.drop = nn.Dropout(drop_out, axes=(2, 3) if drop_channels else ()) if drop_out else None
        self.conv2 = nn.Conv2D(num_classes, 1, use_bias=score_bias, in_channels=width)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv1(x)
        return self.conv2(self.drop(x) if self.drop else x)


class AuxHead(gluon.HybridBlock):
    """1x1 convolution module, 1x1 convolution to the classes.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.
    channels : int, optional
        Width of the first convolution; the smaller of `in_channels` and 256 when not given.

    Inputs: (N, in_channels, H, W). Outputs: (N, num_classes, H, W).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 0,
        norm_layer: NormLayer = nn.BatchNorm,
        activation: str = "relu",
        channels: int | None = None,
    ):
        super().__init__()
        width = channels or _head_width(in_channels)
        self.conv1 = ConvModule2d(width, 1, in_channels=in_channels, norm_layer=norm_layer, activation=activation)
        self.conv2 = nn.Conv2D(num_classes, 1, in_channels=width)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv2(self.conv1(x))


def _head_width(in_channels: int) -> int:
    """256, or the input's width where that is smaller."""
    return min(in_channels, 256) if in_channels > 0 else 256
