"""FaPN: feature-aligned pyramid network for dense image prediction (Huang et al., ICCV 2021)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, ModulatedDeformableConv2d, NormLayer, concat, relu, resize_like
from .layers.pool import global_mean, weigh

__all__ = ["FaPN", "FaPNHead", "FeatureAlign", "FeatureSelection"]


@MODELS.register(
    "FaPN",
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Huang et al., ICCV 2021",
)
class FaPN(SegmentationModel):
    """Feature pyramid whose upsampled maps are aligned by deformable convolutions, output stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the pyramid.
    """

    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = False,
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        with self.name_scope():
            self.head = FaPNHead(num_classes, self.backbone.channels, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, self.backbone.channels[2], self.norm, channels=256)


class FaPNHead(gluon.HybridBlock):
    """Top-down pathway from c4 to c1 (fig. 2).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the pyramid.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 256):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.conv = ConvModule2d(capacity, 1, in_channels=c4, norm_layer=norm_layer)
        self.align_c3 = FeatureAlign(capacity, c3, norm_layer)
        self.align_c2 = FeatureAlign(capacity, c2, norm_layer)
        self.align_c1 = FeatureAlign(capacity, c1, norm_layer)
        self.seg = FCNHead(num_classes, capacity, norm_layer, channels=capacity)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        x = self.conv(c4)
        x = self.align_c3(x, c3)
        x = self.align_c2(x, c2)
        x = self.align_c1(x, c1)
        return self.seg(x)


class FeatureAlign(gluon.HybridBlock):
    """Feature alignment (sec. 3.2): move the deep map to where the shallow one has its objects, and add both.

    Unlike in the paper, the deformable convolution also sees the difference features from which its shifts come.

    Parameters
    ----------
    channels : int
        Channels of the deep map and of the output.
    low_channels : int
        Channels of the shallow map.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, channels, h, w), shallow map (N, low_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, low_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.fsm = FeatureSelection(channels, low_channels, norm_layer)
        self.offset = ConvModule2d(channels, 1, in_channels=2 * channels, norm_layer=norm_layer)
        self.align = ModulatedDeformableConv2d(channels, 2 * channels, groups=8)

    def hybrid_forward(self, F: Any, high: Any, low: Any) -> Any:
        low = self.fsm(low)
        high = resize_like(F, high, low)
        offset = self.offset(concat(F, low, high))
        return relu(F, self.align(concat(F, high, offset))) + low


class FeatureSelection(gluon.HybridBlock):
    """Feature selection (sec. 3.3): emphasise channels by their global average, then reduce them.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.conv1 = ConvModule2d(in_channels, 1, in_channels=in_channels, norm_layer=norm_layer, activation="sigmoid")
        self.conv2 = ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=None)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        score = self.conv1(global_mean(F, x))
        return self.conv2(weigh(F, x, score) + x)
