"""AGLNet: attention-guided lightweight network for real-time segmentation (Zhou et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, ConvTransposeModule2d, NormLayer, PooledDownsample, concat, relu, resize_like
from .layers.pool import global_mean, weigh
from .layers.shuffle import shuffle_channels

__all__ = ["AGLNet", "FactorizedPyramidAttention", "GlobalAttentionUpsample", "SplitShuffleBlock"]


@MODELS.register("AGLNet", aliases=("agl",), paper="Zhou et al., Applied Soft Computing 2020", realtime=True)
class AGLNet(SegmentationModel):
    """AGLNet: split-shuffle units, pyramid attention at stride 8, attentive upsampling to stride 2.

    Its pyramid attention normalises maps of stride 64, a single pixel for images of up to 64 pixels.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, norm=norm, output_stride=64)
        norm = self.norm
        with self.name_scope():
            self.layer1 = PooledDownsample(32, 3, norm, joint=False)
            self.layer2_4 = _units(32, (1, 1, 1), norm)
            self.layer5 = PooledDownsample(64, 32, norm, joint=False)
            self.layer6_7 = _units(64, (1, 1), norm)
            self.layer8 = PooledDownsample(128, 64, norm, joint=False)
            self.layer9_16 = _units(128, (1, 2, 5, 9, 2, 5, 9, 17), norm)
            self.layer17 = FactorizedPyramidAttention(128, norm)
            self.layer18 = GlobalAttentionUpsample(64, 128, norm)
            self.layer19 = GlobalAttentionUpsample(32, 64, norm)
            self.layer20 = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=32)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        half = self.layer2_4(self.layer1(x))
        quarter = self.layer6_7(self.layer5(half))
        deep = self.layer17(self.layer9_16(self.layer8(quarter)))
        yield self.layer20(self.layer19(half, self.layer18(quarter, deep)))


class SplitShuffleBlock(gluon.HybridBlock):
    """Factorised convolutions on each half of the channels, in opposite order, with a shortcut; channels are shuffled.

    Parameters
    ----------
    channels : int
        Input and output channels.
    dilation : int
        Of the second pair in each half.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, dilation: int, norm_layer: NormLayer):
        super().__init__()
        self._half = channels // 2
        self.left_branch = _branch(channels // 2, dilation, norm_layer, vertical_first=True)
        self.right_branch = _branch(channels // 2, dilation, norm_layer, vertical_first=False)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        left = F.slice_axis(x, axis=1, begin=0, end=self._half)
        right = F.slice_axis(x, axis=1, begin=self._half, end=2 * self._half)
        y = relu(F, x + concat(F, self.left_branch(left), self.right_branch(right)))
        return shuffle_channels(F, y, 2)


class FactorizedPyramidAttention(gluon.HybridBlock):
    """Map weighted by a one-channel pyramid of factorised convolutions, plus its projected global average.

    Parameters
    ----------
    channels : int
        Input and output channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, norm_layer: NormLayer):
        super().__init__()
        self.pfa = _Pyramid(channels, norm_layer)
        self.conv = nn.Conv2D(channels, 1, use_bias=False, in_channels=1)
        self.gp = nn.Conv2D(channels, 1, use_bias=False, in_channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.broadcast_add(x * self.conv(self.pfa(x)), self.gp(global_mean(F, x)))


class _Pyramid(gluon.HybridBlock):
    """One channel of attention from three levels, each half the size of the one before."""

    def __init__(self, channels: int, norm: NormLayer):
        super().__init__()
        for level, (kernel, width) in enumerate(zip((7, 5, 3), (channels, 1, 1), strict=True), start=1):
            pad, common = kernel // 2, {"norm_layer": norm}
            setattr(self, f"conv{level}1", ConvModule2d(1, (1, kernel), 2, (0, pad), in_channels=width, **common))
            setattr(self, f"conv{level}2", ConvModule2d(1, (kernel, 1), 1, (pad, 0), in_channels=1, **common))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        first = self.conv11(x)
        second = self.conv21(first)
        y = self.conv32(self.conv31(second))
        y = resize_like(F, y, second) + self.conv22(second)
        y = resize_like(F, y, first) + self.conv12(first)
        return resize_like(F, y, x)


class GlobalAttentionUpsample(gluon.HybridBlock):
    """Shallow map with spatial attention times the enlarged deep one, with channel attention, plus the deep one.

    The product enters the channel attention and is weighted by it, as in the implementation whose figures are known.

    Parameters
    ----------
    channels : int
        Channels of the shallow map and of the output.
    in_channels : int
        Channels of the deep map.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: shallow map (N, channels, H, W), deep map (N, in_channels, ceil(H / 2), ceil(W / 2)).
    Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        gate = {"in_channels": channels, "norm_layer": None, "activation": "sigmoid"}
        self.up_conv = ConvTransposeModule2d(channels, in_channels, use_bias=True, norm_layer=norm_layer)
        self.sab = ConvModule2d(1, 1, **gate)
        self.cab = ConvModule2d(channels, 1, **gate)

    def hybrid_forward(self, F: Any, shallow: Any, deep: Any) -> Any:
        deep = F.slice_like(self.up_conv(deep), F.BlockGrad(shallow), axes=(2, 3))
        product = deep * weigh(F, shallow, self.sab(shallow))
        weighted = weigh(F, product, self.cab(global_mean(F, product)))
        return product * weighted + deep


def _units(channels: int, dilations: tuple[int, ...], norm: NormLayer) -> nn.HybridSequential:
    """One unit per dilation."""
    layers = nn.HybridSequential()
    layers.add(*(SplitShuffleBlock(channels, dilation, norm) for dilation in dilations))
    return layers


def _branch(channels: int, dilation: int, norm: NormLayer, vertical_first: bool) -> nn.HybridSequential:
    """Two pairs of factorised convolutions, the second dilated."""
    layers = nn.HybridSequential()
    for d in (1, dilation):
        windows = [((3, 1), (d, 0), (d, 1)), ((1, 3), (0, d), (1, d))]
        (first, *place), second = windows if vertical_first else windows[::-1]
        layers.add(nn.Conv2D(channels, first, 1, *place, in_channels=channels), nn.Activation("relu"))
        kernel, padding, dilated = second
        layers.add(ConvModule2d(channels, kernel, 1, padding, dilated, in_channels=channels, norm_layer=norm))
    return layers
