"""SeENet: towards bridging semantic gap to improve semantic segmentation (Pang et al., ICCV 2019)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, NormLayer, SeEModule, concat, resize_like

__all__ = ["BoundaryAttention", "SeEHead", "SeENet"]


@MODELS.register(
    "SeENet",
    aliases=("see",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Pang et al., ICCV 2019",
)
class SeENet(SegmentationModel):
    """Semantic enhancement of three stages and boundary attention, on a dilated ResNet or ResNeSt.

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
        Width of the head.
    """

    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        capacity: int = 128,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        with self.name_scope():
            self.head = SeEHead(num_classes, self.backbone.channels, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, self.backbone.channels[2], self.norm)


class SeEHead(gluon.HybridBlock):
    """Semantic enhancement from c2 to c4, each on top of the last, then boundary attention with c1.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the head.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 128):
        super().__init__()
        c1, c2, c3, c4 = channels
        common = {"norm_layer": norm_layer}
        self.seemc2 = SeEModule(capacity, (1, 2, 4, 8), in_channels=c2, **common)
        self.seemc3 = SeEModule(capacity, (3, 6, 9, 12), in_channels=capacity + c3, **common)
        self.seemc4 = SeEModule(capacity, (7, 13, 19, 25), full_sample=True, in_channels=capacity + c4, **common)
        self.bam = BoundaryAttention(num_classes, capacity, c1, norm_layer)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        x = self.seemc2(c2)
        x = self.seemc3(concat(F, x, c3))
        x = self.seemc4(concat(F, x, c4))
        return self.bam(resize_like(F, x, c1), c1)


class BoundaryAttention(gluon.HybridBlock):
    """Keep of the shallow features what the deep ones are not sure of, add both, and classify.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels, low_channels : int
        Channels of the deep and the shallow map.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, channels, H, W), shallow map (N, low_channels, H, W). Outputs: (N, num_classes, H, W).
    """

    def __init__(self, num_classes: int, channels: int, low_channels: int, norm_layer: NormLayer):
        super().__init__()
        common = {"norm_layer": norm_layer}
        self.conv1x1 = ConvModule2d(low_channels, 1, in_channels=channels, activation="sigmoid", **common)
        self.fconv1x1 = ConvModule2d(channels, 1, in_channels=low_channels, **common)
        self.fconv3x3 = ConvModule2d(channels, 3, padding=1, in_channels=channels, **common)
        self.cconv3x3 = ConvModule2d(channels, 3, padding=1, in_channels=channels, **common)
        self.drop = nn.Dropout(0.1)
        self.cconv1x1 = nn.Conv2D(num_classes, 1, in_channels=channels)

    def hybrid_forward(self, F: Any, high: Any, low: Any) -> Any:
        low = low * (1 - self.conv1x1(high))
        low = self.fconv3x3(self.fconv1x1(low))
        return self.cconv1x1(self.drop(self.cconv3x3(high + low)))
