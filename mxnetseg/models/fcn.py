"""FCN: fully convolutional networks for semantic segmentation (Long et al., CVPR 2015)."""

from __future__ import annotations

from ..registry import MODELS
from .base import SegmentationModel
from .layers import FCNHead, NormLayer

__all__ = ["FCNMobileNet", "FCNResNet"]


class _FCN(SegmentationModel):
    """Both variants: a head on c4, an auxiliary one on c3."""

    def __init__(self, num_classes: int, backbone: str, aux: bool, norm: str | NormLayer, output_stride: int):
        super().__init__(num_classes, backbone, norm, output_stride, aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = FCNHead(num_classes, c4, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)


@MODELS.register(
    "FCNResNet",
    aliases=("fcn",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Long et al., CVPR 2015",
)
class FCNResNet(_FCN):
    """FCN on a dilated ResNet or ResNeSt.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c3.
    dilate : bool
        Output stride 8 instead of 32.
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
        super().__init__(num_classes, backbone, aux, norm, output_stride=8 if dilate else 32)


@MODELS.register(
    "FCNMobileNet",
    backbones=("mobilenet_v2*",),
    default_backbone="mobilenet_v2_1_0",
    paper="Long et al., CVPR 2015; Sandler et al., CVPR 2018",
)
class FCNMobileNet(_FCN):
    """FCN on MobileNetV2, output stride 32.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any MobileNetV2.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "mobilenet_v2_1_0",
        aux: bool = True,
        norm: str | NormLayer = "bn",
    ):
        super().__init__(num_classes, backbone, aux, norm, output_stride=32)
