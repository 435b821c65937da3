"""DeepLabv3: rethinking atrous convolution for semantic image segmentation (Chen et al., 2017)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ASPPModule, FCNHead, NormLayer

__all__ = ["DeepLabv3", "DeepLabv3Head"]


@MODELS.register(
    "DeepLabv3",
    aliases=("deeplab",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Chen et al., arXiv 1706.05587",
)
class DeepLabv3(SegmentationModel):
    """DeepLabv3 on a dilated ResNet or ResNeSt.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c3.
    dilate : bool
        Output stride 8 instead of 32; the rates of the pyramid are the same for both.
    norm : str or callable
        Normalisation.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = True,
        dilate: bool = True,
        norm: str | NormLayer = "bn",
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8 if dilate else 32, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = DeepLabv3Head(num_classes, c4, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)


class DeepLabv3Head(gluon.HybridBlock):
    """Atrous spatial pyramid pooling with image pooling (fig. 5) and FCN head.

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
        self.aspp = ASPPModule(256, in_channels, norm_layer, rates=(6, 12, 18))
        self.head = FCNHead(num_classes, 256, norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.head(self.aspp(x))
