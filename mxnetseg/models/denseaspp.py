"""DenseASPP for semantic segmentation in street scenes (Yang et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, NormLayer, concat

__all__ = ["DenseASPP", "DenseASPPHead", "DenseASPPModule"]


@MODELS.register(
    "DenseASPP",
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Yang et al., CVPR 2018",
)
class DenseASPP(SegmentationModel):
    """DenseASPP on a dilated ResNet or ResNeSt, output stride 8.

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
    """

    def __init__(self, num_classes: int, backbone: str = "resnet50", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = DenseASPPHead(num_classes, c4, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)


class DenseASPPHead(gluon.HybridBlock):
    """Densely connected atrous convolutions and FCN head.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Channels of c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c4 (N, in_channels, h, w). Outputs: (N, num_classes, h, w).
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.dense_aspp = DenseASPPModule(256, in_channels, norm_layer)
        self.head = FCNHead(num_classes, 256, norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.head(self.dense_aspp(x))


class DenseASPPModule(gluon.HybridBlock):
    """Atrous convolutions of growing rate, each on the input and all results before it.

    Each unit is convolution, normalisation, ReLU, with an eighth of the input's channels; from the second on, a
    1x1 convolution first reduces what it sees to half of them.

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Input channels.
    norm_layer : callable
        Constructor of the normalisation.
    atrous_rates : sequence of int
        Dilation of each unit.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self,
        channels: int = 256,
        in_channels: int = 2048,
        norm_layer: NormLayer = nn.BatchNorm,
        atrous_rates: Sequence[int] = (3, 6, 12, 18, 24),
    ):
        super().__init__()
        growth, squeezed, width = in_channels // 8, in_channels // 2, in_channels
        self._units = len(atrous_rates)
        for i, rate in enumerate(atrous_rates):
            if i:
                setattr(self, f"trans{i}", ConvModule2d(squeezed, 1, in_channels=width, norm_layer=norm_layer))
            seen = squeezed if i else in_channels
            unit = ConvModule2d(growth, 3, padding=rate, dilation=rate, in_channels=seen, norm_layer=norm_layer)
            setattr(self, f"dilate{i + 1}", unit)
            width += growth
        self.projection = ConvModule2d(channels, 1, in_channels=width, norm_layer=norm_layer)
        self.drop = nn.Dropout(0.5)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = concat(F, x, self.dilate1(x))
        for i in range(1, self._units):
            squeeze, dilate = getattr(self, f"trans{i}"), getattr(self, f"dilate{i + 1}")
            x = concat(F, x, dilate(squeeze(x)))
        return self.drop(self.projection(x))
