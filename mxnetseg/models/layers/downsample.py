"""Halving the size of a map without losing what pooling keeps."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .activation import Activation
from .concat import concat
from .conv import ConvModule2d
from .norm import NormLayer

__all__ = ["PooledDownsample"]


class PooledDownsample(gluon.HybridBlock):
    """A 3x3 convolution of stride 2 beside the input's local maxima (Paszke et al., 2016, fig. 2a).

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels; the convolution makes their difference.
    norm_layer : callable
        Constructor of the normalisation.
    pool : int
        Window of the maxima, 2 or 3.
    use_bias : bool
        Whether the convolution has a bias.
    activation : str
        Name of the activation.
    joint : bool
        Whether normalisation and activation see all channels, or only those of the convolution.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        norm_layer: NormLayer = nn.BatchNorm,
        pool: int = 3,
        use_bias: bool = False,
        activation: str = "relu",
        joint: bool = True,
    ):
        super().__init__()
        window = (channels - in_channels, 3, 2, 1)
        if joint:
            self.conv = nn.Conv2D(*window, in_channels=in_channels, use_bias=use_bias)
        else:
            common = {"use_bias": use_bias, "norm_layer": norm_layer, "activation": activation}
            self.conv = ConvModule2d(*window, in_channels=in_channels, **common)
        self.pool = nn.MaxPool2D(pool, 2, (pool - 1) // 2, ceil_mode=pool == 2)
        self.bn = norm_layer(in_channels=channels) if joint else None
        self.act = Activation(activation) if joint else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = concat(F, self.conv(x), self.pool(x))
        return self.act(self.bn(x)) if self.bn else x
