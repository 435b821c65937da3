"""SwiftNet: in defense of pre-trained ImageNet architectures for real-time segmentation (Orsic et al., CVPR 2019)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, LateralFusion, NormLayer, PPModule

__all__ = ["SwiftHead", "SwiftResNet"]


@MODELS.register(
    "SwiftResNet",
    aliases=("swiftnet", "swift"),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet18",
    paper="Orsic et al., CVPR 2019",
    realtime=True,
)
class SwiftResNet(SegmentationModel):
    """SwiftNet, single scale: pyramid pooling and a ladder of lateral fusions, output stride 4.

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
        Width of the decoder.
    """

    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        with self.name_scope():
            self.head = SwiftHead(num_classes, self.backbone.channels, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, self.backbone.channels[2], self.norm, channels=capacity)


class SwiftHead(gluon.HybridBlock):
    """Pyramid pooling on c4, then fusion with c3, c2 and c1.

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

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 256):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.ppool = PPModule(c4, norm_layer)
        self.conv_c4 = ConvModule2d(capacity, 1, norm_layer=norm_layer)
        self.fusion_c3 = LateralFusion(capacity, c3, norm_layer)
        self.fusion_c2 = LateralFusion(capacity, c2, norm_layer)
        self.fusion_c1 = LateralFusion(capacity, c1, norm_layer)
        self.seg_head = FCNHead(num_classes, capacity, norm_layer, channels=capacity)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        x = self.conv_c4(self.ppool(c4))
        x = self.fusion_c3(x, c3)
        x = self.fusion_c2(x, c2)
        x = self.fusion_c1(x, c1)
        return self.seg_head(x)
