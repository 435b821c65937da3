"""MiniNet-v2: an efficient semantic segmentation ConvNet for real-time robotic applications (Alonso et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, ConvTransposeModule2d, NormLayer, PooledDownsample

__all__ = ["MiniNetV2", "MultiDilation"]

_DILATIONS = (1, 2, 1, 4, 1, 8, 1, 16, 1, 1, 1, 2, 1, 4, 1, 8)


@MODELS.register("MiniNetV2", aliases=("mininet",), paper="Alonso et al., IEEE T-RO 2020", realtime=True)
class MiniNetV2(SegmentationModel):
    """MiniNet-v2: depthwise convolutions of two dilations at stride 8, refined with a shallow branch at stride 4.

    Its class scores are normalised and rectified, as in the implementation whose figures are known.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    norm : str or callable
        Normalisation.
    linear_scores : bool
        Class scores straight from the last transposed convolution instead.
    """

    def __init__(self, num_classes: int, norm: str | NormLayer = "bn", linear_scores: bool = False):
        super().__init__(num_classes, norm=norm, output_stride=8)
        norm = self.norm
        with self.name_scope():
            self.d1_2, self.ref = _to_quarter(norm), _to_quarter(norm)
            self.m1_10 = _modules(64, (1,) * 10, norm)
            self.d3 = PooledDownsample(128, 64, norm, joint=False)
            self.feature_extractor = _modules(128, _DILATIONS, norm)
            self.up1 = Upsample(64, 128, norm)
            self.m26_29 = _modules(64, (1,) * 4, norm)
            self.output = Upsample(num_classes, 64, norm, linear=linear_scores)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        shallow = self.ref(x)
        deep = self.up1(self.feature_extractor(self.d3(self.m1_10(self.d1_2(x)))))
        yield self.output(self.m26_29(F.slice_like(deep, F.BlockGrad(shallow), axes=(2, 3)) + shallow))


class MultiDilation(gluon.HybridBlock):
    """Sum of two depthwise 3x3 convolutions of different dilation, projected; no shortcut.

    Parameters
    ----------
    channels : int
        Input and output channels.
    dilation : int
        Of the second convolution, which exists only where it is above 1.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, dilation: int, norm_layer: NormLayer):
        super().__init__()
        common = {"in_channels": channels, "norm_layer": norm_layer}
        self.dw_conv = ConvModule2d(channels, 3, padding=1, groups=channels, **common)
        self.ddw_conv = None
        if dilation > 1:
            self.ddw_conv = ConvModule2d(channels, 3, 1, dilation, dilation, groups=channels, **common)
        self.pw_conv = ConvModule2d(channels, 1, use_bias=True, **common)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.dw_conv(x)
        return self.pw_conv(y + self.ddw_conv(x) if self.ddw_conv else y)


class Upsample(gluon.HybridBlock):
    """Transposed 3x3 convolution that doubles the size, normalisation, ReLU.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    norm_layer : callable
        Constructor of the normalisation.
    linear : bool
        Neither normalisation nor activation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, 2 * H, 2 * W).
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer, linear: bool = False):
        super().__init__()
        after = {"norm_layer": None, "activation": None} if linear else {"norm_layer": norm_layer}
        self.up_conv = ConvTransposeModule2d(channels, in_channels, use_bias=True, **after)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.up_conv(x)


def _to_quarter(norm: NormLayer) -> nn.HybridSequential:
    """From the image to 64 channels at stride 4."""
    layers = nn.HybridSequential()
    layers.add(PooledDownsample(16, 3, norm, joint=False), PooledDownsample(64, 16, norm, joint=False))
    return layers


def _modules(channels: int, dilations: tuple[int, ...], norm: NormLayer) -> nn.HybridSequential:
    """One module per dilation."""
    layers = nn.HybridSequential()
    layers.add(*(MultiDilation(channels, dilation, norm) for dilation in dilations))
    return layers
