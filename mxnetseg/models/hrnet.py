"""HRNet for segmentation: deep high-resolution representation learning (Wang et al., TPAMI 2020)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, concat, resize_like

__all__ = ["HRNet", "HRNetHead"]


@MODELS.register(
    "HRNet",
    aliases=("hrnet", "hrnetv2"),
    backbones=("hrnet_*",),
    default_backbone="hrnet_w48",
    paper="Wang et al., TPAMI 2020",
)
class HRNet(SegmentationModel):
    """HRNetV2: all four branches side by side (fig. 4b), output stride 4, no auxiliary head.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any HRNet.
    norm : str or callable
        Normalisation.
    align_corners : bool
        How maps are resized.
    """

    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "hrnet_w48",
        norm: str | NormLayer = "bn",
        align_corners: bool = False,
    ):
        super().__init__(num_classes, backbone, norm, align_corners=align_corners)
        self.align_corners = align_corners
        with self.name_scope():
            self.head = HRNetHead(num_classes, sum(self.backbone.channels), self.norm, align_corners)


class HRNetHead(gluon.HybridBlock):
    """Concatenation of the branches at the highest resolution, 1x1 convolution module, 1x1 convolution (eq. 2).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Channels of all branches together.
    norm_layer : callable
        Constructor of the normalisation.
    align_corners : bool
        How maps are resized.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer, align_corners: bool = False):
        super().__init__()
        self._align_corners = align_corners
        self.conv1 = ConvModule2d(in_channels, 1, in_channels=in_channels, use_bias=True, norm_layer=norm_layer)
        self.conv2 = nn.Conv2D(num_classes, 1, in_channels=in_channels)

    def hybrid_forward(self, F: Any, c1: Any, *deeper: Any) -> Any:
        maps = [c1, *(resize_like(F, c, c1, self._align_corners) for c in deeper)]
        return self.conv2(self.conv1(concat(F, *maps)))
