"""Attention to scale: scale-aware semantic image segmentation (Chen et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import AuxHead, ConvModule2d, FCNHead, NormLayer, concat, resize_like, shrunken_size
from .layers.pool import weigh

__all__ = ["AttentionHead", "AttentionToScale"]


@MODELS.register(
    "AttentionToScale",
    aliases=("attention2scale",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Chen et al., CVPR 2016",
)
class AttentionToScale(SegmentationModel):
    """Attention to scale: the image and its half through one dilated ResNet or ResNeSt, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary heads on c4 of both scales.
    norm : str or callable
        Normalisation; its running statistics see both scales.
    """

    def __init__(self, num_classes: int, backbone: str = "resnet50", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        c4 = self.backbone.channels[3]
        with self.name_scope():
            self.head = AttentionHead(num_classes, c4, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(AuxHead(num_classes, c4, self.norm), AuxHead(num_classes, c4, self.norm))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        half = resize_like(F, x, shrunken_size(F, x, 2))
        full_c4, half_c4 = self.backbone(x)[3], self.backbone(half)[3]
        yield self.head(full_c4, half_c4)
        yield self.aux_head[0](full_c4)
        yield self.aux_head[1](half_c4)


class AttentionHead(gluon.HybridBlock):
    """Scores of two scales, weighted pixel by pixel (eq. 1-2).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Channels of each input; 0 takes them from the first inputs.
    norm_layer : callable
        Constructor of the normalisation.
    use_sigmoid : bool
        One weight w and its complement 1 - w from a sigmoid, or two weights from a softmax.

    Inputs: features of the image (N, C, H, W) and of the smaller image (N, C, h, w).
    Outputs: (N, num_classes, H, W).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 0,
        norm_layer: NormLayer = nn.BatchNorm,
        use_sigmoid: bool = True,
    ):
        super().__init__()
        self._use_sigmoid = use_sigmoid
        self.seg_head = FCNHead(num_classes, in_channels, norm_layer, channels=256)
        self.conv3x3 = ConvModule2d(512, 3, padding=1, in_channels=2 * in_channels, norm_layer=norm_layer)
        self.conv1x1 = nn.Conv2D(1 if use_sigmoid else 2, 1, in_channels=512)

    def hybrid_forward(self, F: Any, full: Any, half: Any) -> Any:
        half = resize_like(F, half, full)
        of_full, of_half = self._weights(F, self.conv1x1(self.conv3x3(concat(F, full, half))))
        return weigh(F, self.seg_head(full), of_full) + weigh(F, self.seg_head(half), of_half)

    def _weights(self, F: Any, score: Any) -> tuple[Any, Any]:
        """Weight of each scale, (N, 1, H, W)."""
        if self._use_sigmoid:
            weight = F.sigmoid(score)
            return weight, 1 - weight
        weights = F.softmax(score, axis=1)
        return F.slice_axis(weights, axis=1, begin=0, end=1), F.slice_axis(weights, axis=1, begin=1, end=2)
