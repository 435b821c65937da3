"""Semantic FPN: the semantic branch of panoptic feature pyramid networks (Kirillov et al., CVPR 2019)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, LateralFusion, NormLayer, resize_like

__all__ = ["FeaturePyramid", "SemanticBranch", "SemanticFPN", "SemanticFPNHead"]


@MODELS.register(
    "SemanticFPN",
    aliases=("fpn",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Kirillov et al., CVPR 2019",
)
class SemanticFPN(SegmentationModel):
    """Semantic FPN: a feature pyramid whose levels are summed at output stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the pyramid; the semantic branch has half of it.
    """

    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm)
        with self.name_scope():
            self.head = SemanticFPNHead(num_classes, self.backbone.channels, self.norm, capacity)


class SemanticFPNHead(gluon.HybridBlock):
    """Feature pyramid, semantic branch, 1x1 convolution to the classes (fig. 3).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the pyramid; the semantic branch has half of it.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 256):
        super().__init__()
        self.fpn = FeaturePyramid(capacity, channels, norm_layer)
        self.semantic = SemanticBranch(capacity // 2, capacity, norm_layer)
        self.seg = nn.Conv2D(num_classes, 1, in_channels=capacity // 2)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        return self.seg(self.semantic(*self.fpn(c1, c2, c3, c4)))


class FeaturePyramid(gluon.HybridBlock):
    """Top-down pathway with lateral connections; every convolution is followed by normalisation and ReLU.

    Parameters
    ----------
    capacity : int
        Channels of all levels.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c1, c2, c3, c4. Outputs: p5, p4, p3, p2, at the resolutions of c4, c3, c2, c1.
    """

    def __init__(self, capacity: int, channels: tuple[int, ...], norm_layer: NormLayer):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.conv = ConvModule2d(capacity, 1, in_channels=c4, norm_layer=norm_layer)
        self.lateral16x = LateralFusion(capacity, c3, norm_layer)
        self.lateral8x = LateralFusion(capacity, c2, norm_layer)
        self.lateral4x = LateralFusion(capacity, c1, norm_layer)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> tuple[Any, Any, Any, Any]:
        p5 = self.conv(c4)
        p4 = self.lateral16x(p5, c3)
        p3 = self.lateral8x(p4, c2)
        return p5, p4, p3, self.lateral4x(p3, c1)


class SemanticBranch(gluon.HybridBlock):
    """Every level brought to the finest by convolution modules with upsampling between, then summed (sec. 3).

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Channels of all levels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: p5, p4, p3, p2 (N, in_channels, h, w). Outputs: (N, channels, h, w) at the resolution of p2.
    """

    def __init__(self, channels: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.scale_p5, self.scale_p4, self.scale_p3 = (nn.HybridSequential() for _ in range(3))
        for depth, scale in ((3, self.scale_p5), (2, self.scale_p4), (1, self.scale_p3)):
            for width in (in_channels, channels, channels)[:depth]:
                scale.add(ConvModule2d(channels, 3, padding=1, in_channels=width, norm_layer=norm_layer))
        self.scale_p2 = ConvModule2d(channels, 3, padding=1, in_channels=in_channels, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, p5: Any, p4: Any, p3: Any, p2: Any) -> Any:
        p5 = _rise(F, p5, self.scale_p5, (p4, p3, p2))
        p4 = _rise(F, p4, self.scale_p4, (p3, p2))
        p3 = _rise(F, p3, self.scale_p3, (p2,))
        return p5 + p4 + p3 + self.scale_p2(p2)


def _rise(F: Any, x: Any, modules: nn.HybridSequential, levels: tuple[Any, ...]) -> Any:
    """Apply each module and resize its result like the next finer level."""
    for module, level in zip(modules, levels, strict=True):
        x = resize_like(F, module(x), level)
    return x
