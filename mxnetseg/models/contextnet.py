"""ContextNet: exploring context and detail for semantic segmentation in real time (Poudel et al., BMVC 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .backbones.fastscnn import InvertedResidual
from .base import SegmentationModel
from .layers import Activation, ConvModule2d, NormLayer, resize_like, shrunken_size

__all__ = ["ContextBranch", "ContextFusion", "ContextNet"]

# Channels, expansion, number of blocks and stride of the first.
_STAGES = ((32, 1, 1, 1), (32, 6, 1, 1), (48, 6, 3, 2), (64, 6, 3, 2), (96, 6, 2, 1), (128, 6, 2, 1))


@MODELS.register("ContextNet", aliases=("context",), paper="Poudel et al., BMVC 2018", realtime=True)
class ContextNet(SegmentationModel):
    """ContextNet: a shallow branch on the image and a deep one on its reduction to a quarter.

    The shallow branch keeps stride 2, and the class scores are normalised and activated, as in the implementation
    whose figures are known.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    activation : str
        Name of the activation.
    norm : str or callable
        Normalisation.
    linear_scores : bool
        Class scores straight from the last convolution instead.
    """

    min_size = 4

    def __init__(
        self, num_classes: int, activation: str = "relu", norm: str | NormLayer = "bn", linear_scores: bool = False
    ):
        super().__init__(num_classes, norm=norm)
        after = {"norm_layer": self.norm, "activation": activation}
        with self.name_scope():
            self.full_res_branch = _detail(**after)
            self.lower_res_branch = ContextBranch(**after)
            self.feature_fusion = ContextFusion(128, **after)
            if linear_scores:
                after = {"norm_layer": None, "activation": None}
            self.classifier = ConvModule2d(num_classes, 1, in_channels=128, **after)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        small = resize_like(F, x, shrunken_size(F, x, 4))
        yield self.classifier(self.feature_fusion(self.full_res_branch(x), self.lower_res_branch(small)))


class ContextBranch(gluon.HybridBlock):
    """Convolution, inverted residual blocks, convolution (tab. 1).

    Parameters
    ----------
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.

    Inputs: (N, 3, H, W). Outputs: (N, 128, ceil(H / 8), ceil(W / 8)).
    """

    def __init__(self, norm_layer: NormLayer, activation: str):
        super().__init__()
        after = {"norm_layer": norm_layer, "activation": activation}
        self.conv_init = ConvModule2d(32, 3, 2, 1, in_channels=3, **after)
        self.bottlenecks, width = nn.HybridSequential(), 32
        for channels, expansion, count, stride in _STAGES:
            for strides in (stride, *(1,) * (count - 1)):
                block = InvertedResidual(channels, width, strides, expansion=expansion, expand_bias=True, **after)
                self.bottlenecks.add(block)
                width = channels
        self.conv_last = ConvModule2d(128, 3, padding=1, in_channels=width, **after)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv_last(self.bottlenecks(self.conv_init(x)))


class ContextFusion(gluon.HybridBlock):
    """Sum of the projected detail and of the enlarged, dilated and projected context (tab. 3).

    Parameters
    ----------
    channels : int
        Channels of both maps and of the output.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.

    Inputs: detail (N, channels, H, W), context (N, channels, h, w). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, norm_layer: NormLayer, activation: str):
        super().__init__()
        linear = {"in_channels": channels, "norm_layer": norm_layer, "activation": None}
        self.detail, self.context = (nn.Conv2D(channels, 1, use_bias=False, in_channels=channels) for _ in range(2))
        self.depthwise = ConvModule2d(channels, 3, 1, 4, 4, channels, **linear)
        self.pointwise = ConvModule2d(channels, 1, use_bias=True, **linear)
        self.act = Activation(activation)

    def hybrid_forward(self, F: Any, detail: Any, context: Any) -> Any:
        context = self.pointwise(self.depthwise(resize_like(F, context, detail)))
        return self.act(self.detail(detail) + self.context(context))


def _detail(norm_layer: NormLayer, activation: str) -> nn.HybridSequential:
    """Branch at stride 2: a convolution and three depthwise separable ones."""
    after = {"norm_layer": norm_layer, "activation": activation}
    layers = nn.HybridSequential()
    layers.add(ConvModule2d(32, 3, 2, 1, in_channels=3, **after))
    for width, channels in ((32, 64), (64, 128), (128, 128)):
        depthwise = {"groups": width, "in_channels": width, "norm_layer": norm_layer, "activation": None}
        layers.add(ConvModule2d(width, 3, padding=1, **depthwise))
        layers.add(ConvModule2d(channels, 1, in_channels=width, use_bias=True, **after))
    return layers
