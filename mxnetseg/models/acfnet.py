"""ACFNet: attentional class feature network for semantic segmentation (Zhang et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ASPPModule, ConvModule2d, FCNHead, NormLayer, concat

__all__ = ["ACFHead", "ACFModule", "ACFNet"]


@MODELS.register(
    "ACFNet",
    aliases=("acf",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Zhang et al., ICCV 2019",
)
class ACFNet(SegmentationModel):
    """ACFNet on a dilated ResNet or ResNeSt, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        The coarse scores, and an auxiliary head on c3.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = False,
        norm: str | NormLayer = "bn",
        capacity: int = 512,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = ACFHead(num_classes, c4, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, _, c3, c4 = self.backbone(x)
        scores, coarse = self.head(c4)
        yield scores
        yield coarse
        yield self.aux_head(c3)


class ACFHead(gluon.HybridBlock):
    """Coarse scores of the pyramid's features, class features from both, fine scores.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Channels of c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the pyramid and of the class features.

    Inputs: c4 (N, in_channels, h, w). Outputs: fine and coarse scores, both (N, num_classes, h, w).
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer, capacity: int = 512):
        super().__init__()
        self.aspp = ASPPModule(capacity, in_channels, norm_layer, rates=(12, 24, 36), pool_branch=False)
        self.coarse_head = FCNHead(num_classes, capacity, norm_layer)
        self.acf = ACFModule(capacity, capacity, norm_layer)
        self.head = FCNHead(num_classes, 2 * capacity, norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, Any]:
        x = self.aspp(x)
        coarse = self.coarse_head(x)
        return self.head(concat(F, x, self.acf(x, coarse))), coarse


class ACFModule(gluon.HybridBlock):
    """Class features, given back to the pixels by their coarse scores.

    As in MXNetSeg, not as in the paper: energies between scores and features take the place of class centres, and a
    softmax over the feature channels turns them into an attention that favours small energies.

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: features (N, in_channels, H, W), coarse scores (N, K, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.conv_1 = ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=norm_layer)
        self.conv_2 = ConvModule2d(channels, 1, in_channels=channels, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any, scores: Any) -> Any:
        x = self.conv_1(x)
        features, scores = (F.reshape(y, shape=(0, 0, -1)) for y in (x, scores))
        energy = F.batch_dot(scores, features, transpose_b=True)
        mixed = F.batch_dot(F.softmax(-energy, axis=-1), scores, transpose_a=True)
        return self.conv_2(F.reshape_like(mixed, F.BlockGrad(x)))
