"""SwiftNet with pyramidal fusion of two image scales (Orsic et al., CVPR 2019, sec. 3.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import AuxHead, ConvModule2d, FCNHead, LateralFusion, NormLayer, concat, resize_like, shrunken_size

__all__ = ["SwiftPyramidHead", "SwiftResNetPr"]


@MODELS.register(
    "SwiftResNetPr",
    aliases=("swiftnet_pyr", "swiftpr"),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet18",
    paper="Orsic et al., CVPR 2019",
    realtime=True,
)
class SwiftResNetPr(SegmentationModel):
    """SwiftNet on the image and on half of it, with one backbone; output stride 4.

    The half image goes through the same layers, so batch statistics are updated twice per training step.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c3 of the whole image.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the decoder.
    """

    min_size = 2

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18",
        aux: bool = False,
        norm: str | NormLayer = "bn",
        capacity: int = 128,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        with self.name_scope():
            self.head = SwiftPyramidHead(num_classes, self.backbone.channels, self.norm, capacity)
            if aux:
                self.aux_head = AuxHead(num_classes, self.backbone.channels[2], self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        whole = self.backbone(x)
        half = self.backbone(resize_like(F, x, shrunken_size(F, x, 2)))
        yield self.head(*whole, *half)
        yield self.aux_head(whole[2])


class SwiftPyramidHead(gluon.HybridBlock):
    """Ladder of fusions from c4 of the half image to c1 of the whole one.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the decoder.

    Inputs: c1, c2, c3, c4 of the whole image, then of the half one.
    Outputs: (N, num_classes, h1, w1), at the resolution of c1 of the whole image.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 128):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.conv1x1 = ConvModule2d(capacity, 1, in_channels=c4, norm_layer=norm_layer)
        self.fusion_32x = LateralFusion(capacity, c3 + c4, norm_layer)
        self.fusion_16x = LateralFusion(capacity, c2 + c3, norm_layer)
        self.fusion_8x = LateralFusion(capacity, c1 + c2, norm_layer)
        self.final = LateralFusion(capacity, c1, norm_layer)
        self.seg_head = FCNHead(num_classes, capacity, norm_layer, channels=capacity)

    def hybrid_forward(self, F: Any, *features: Any) -> Any:
        c1, c2, c3, c4, half1, half2, half3, half4 = features
        x = self.conv1x1(half4)
        x = self.fusion_32x(x, _beside(F, half3, c4))
        x = self.fusion_16x(x, _beside(F, half2, c3))
        x = self.fusion_8x(x, _beside(F, half1, c2))
        return self.seg_head(self.final(x, c1))


def _beside(F: Any, half: Any, whole: Any) -> Any:
    """Both maps; the half image's has the same size up to a pixel of rounding."""
    return concat(F, resize_like(F, half, whole), whole)
