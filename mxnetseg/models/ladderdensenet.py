"""LadderDenseNet: ladder-style DenseNets for semantic segmentation (Kreso et al., ICCVW 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, LateralFusion, NormLayer

__all__ = ["LadderDenseNet", "LadderHead"]


@MODELS.register(
    "LadderDenseNet",
    aliases=("ladder",),
    backbones=("densenet*",),
    default_backbone="densenet121",
    paper="Kreso et al., ICCVW 2017",
)
class LadderDenseNet(SegmentationModel):
    """DenseNet with a ladder of lateral fusions, output stride 4.

    Unlike in the paper, the DenseNet is not split, and normalisation follows the convolutions of the ladder.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any DenseNet.
    aux : bool
        Auxiliary head at the foot of the ladder, stride 32.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the ladder.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "densenet121",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        capacity: int = 128,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        with self.name_scope():
            self.head = LadderHead(num_classes, self.backbone.channels, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, capacity, self.norm, channels=capacity)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        scores, foot = self.head(*self.backbone(x))
        yield scores
        yield self.aux_head(foot)


class LadderHead(gluon.HybridBlock):
    """Projection of c4, then fusion with c3, c2 and c1.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the ladder.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1, and the projection
    (N, capacity, h4, w4).
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 128):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.conv_c4 = ConvModule2d(capacity, 1, in_channels=c4, norm_layer=norm_layer)
        self.fusion_c3 = LateralFusion(capacity, c3, norm_layer)
        self.fusion_c2 = LateralFusion(capacity, c2, norm_layer)
        self.fusion_c1 = LateralFusion(capacity, c1, norm_layer)
        self.seg_head = FCNHead(num_classes, capacity, norm_layer, channels=capacity)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> tuple[Any, Any]:
        foot = self.conv_c4(c4)
        x = self.fusion_c3(foot, c3)
        x = self.fusion_c2(x, c2)
        x = self.fusion_c1(x, c1)
        return self.seg_head(x), foot
