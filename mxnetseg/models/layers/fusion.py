"""Fusion of feature maps of different resolution or origin."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .conv import ConvModule2d
from .norm import NormLayer
from .resize import resize_like

__all__ = ["LateralFusion"]


class LateralFusion(gluon.HybridBlock):
    """Sum of an upsampled deep map and a projected shallow one, blended by a 3x3 convolution module.

    Parameters
    ----------
    capacity : int
        Channels of the deep map and of the output.
    in_channels : int
        Channels of the shallow map; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, capacity, h, w), shallow map (N, C, H, W). Outputs: (N, capacity, H, W).
    """

    def __init__(self, capacity: int, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.conv1x1 = ConvModule2d(capacity, 1, in_channels=in_channels, norm_layer=norm_layer)
        self.conv3x3 = ConvModule2d(capacity, 3, padding=1, in_channels=capacity, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, high: Any, low: Any) -> Any:
        return self.conv3x3(resize_like(F, high, low) + self.conv1x1(low))
