"""PSPNet: pyramid scene parsing network (Zhao et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import FCNHead, NormLayer, PPModule

__all__ = ["PSPHead", "PSPNet"]


@MODELS.register(
    "PSPNet",
    aliases=("psp",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Zhao et al., CVPR 2017",
)
class PSPNet(SegmentationModel):
    """PSPNet on a dilated ResNet or ResNeSt, output stride 8.

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
            self.head = PSPHead(num_classes, c4, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)


class PSPHead(gluon.HybridBlock):
    """Pyramid pooling module and FCN head (fig. 3).

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
        self.pool = PPModule(in_channels, norm_layer)
        self.seg_head = FCNHead(num_classes, 2 * in_channels, norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.seg_head(self.pool(x))
