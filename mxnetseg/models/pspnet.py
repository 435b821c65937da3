"""PSPNet: pyramid scene parsing network (Zhao et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import FCNHead, NormLayer, PPModule

__all__ = ["PSPHead", "PSPNet", "PSPNetSemseg"]


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


@MODELS.register(
    "PSPNetSemseg",
    backbones=("deepstem_resnet*",),
    default_backbone="deepstem_resnet50",
    paper="Zhao et al., CVPR 2017",
)
class PSPNetSemseg(SegmentationModel):
    """PSPNet as its authors' PyTorch version has it: every block of c3 and c4 dilated, head of width 512.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet with deep stem.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    use_ppm : bool
        Whether there is pyramid pooling.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "deepstem_resnet50",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        use_ppm: bool = True,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            wide = {"channels": 512, "drop_channels": True}
            self.head = PSPHead(num_classes, c4, self.norm, use_ppm, **wide)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm, drop_channels=True)


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
    use_ppm : bool
        Whether there is pyramid pooling.
    **options
        Further arguments of the FCN head.

    Inputs: c4 (N, in_channels, h, w). Outputs: (N, num_classes, h, w).
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer, use_ppm: bool = True, **options: Any):
        super().__init__()
        self.pool = PPModule(in_channels, norm_layer) if use_ppm else None
        self.seg_head = FCNHead(num_classes, in_channels * (1 + use_ppm), norm_layer, **options)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.seg_head(self.pool(x) if self.pool else x)
