"""ICNet: image cascade network for real-time segmentation of large images (Zhao et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, PPModule, relu, resize_like, shrunken_size
from .layers.resize import doubled_size

__all__ = ["CascadeFeatureFusion", "ICHead", "ICNet", "ICNetImages"]


@MODELS.register(
    "ICNet",
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Zhao et al., ECCV 2018",
    realtime=True,
)
class ICNet(SegmentationModel):
    """ICNet: light layers on the full image, deep ones on small copies of it (fig. 2), after GluonCV.

    The backbone runs on the image at half size; its last two stages run on the output of the second, reduced to a
    thirty-second of the image.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt, dilated.
    aux : bool
        Auxiliary scores on the inputs of both fusions, at strides 8 and 16 (sec. 3.4).
    norm : str or callable
        Normalisation.
    """

    min_size = 32

    def __init__(self, num_classes: int, backbone: str = "resnet50", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        self.output_stride = 32
        _, c2, _, c4 = self.backbone.channels
        with self.name_scope():
            self.conv_sub1 = _light_layers(self.norm)
            self.psp_head = nn.HybridSequential()
            self.psp_head.add(
                PPModule(c4, self.norm),
                ConvModule2d(512, 3, padding=1, in_channels=2 * c4, norm_layer=self.norm),
                nn.Dropout(0.1),
            )
            self.conv_sub4 = ConvModule2d(256, 1, in_channels=512, norm_layer=self.norm)
            self.conv_sub2 = ConvModule2d(256, 1, in_channels=c2, norm_layer=self.norm)
            self.head = ICHead(num_classes, self.norm)
            if aux:
                self.aux_head = _aux_head(num_classes)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        medium, small = self._cascade(F, x)
        scores, low12, low24 = self.head(self.conv_sub1(x), medium, small, shrunken_size(F, x, 4))
        yield scores
        yield self.aux_head[0](low12)
        yield self.aux_head[1](low24)

    def _cascade(self, F: Any, x: Any) -> tuple[Any, Any]:
        """Maps of 256 channels of the two smaller copies of the image."""
        net = self.backbone
        stem = net.maxpool(net.relu(net.bn1(net.conv1(resize_like(F, x, shrunken_size(F, x, 2))))))
        c2 = net.layer2(net.layer1(stem))
        c4 = net.layer4(net.layer3(resize_like(F, c2, shrunken_size(F, x, 32))))
        return self.conv_sub2(c2), self.conv_sub4(self.psp_head(c4))


@MODELS.register(
    "ICNetImages",
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Zhao et al., ECCV 2018",
    realtime=True,
)
class ICNetImages(SegmentationModel):
    """ICNet on images of three sizes (fig. 2), with pyramid pooling by plain sums, as its PyTorch version has it.

    The first half of the backbone runs on the image at half size, all of it on the image at a quarter of its size.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt, dilated.
    aux : bool
        Auxiliary scores on the inputs of both fusions, at strides 8 and 16 (sec. 3.4).
    norm : str or callable
        Normalisation.
    """

    min_size = 32

    def __init__(self, num_classes: int, backbone: str = "resnet50", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        self.output_stride = 32
        _, c2, _, c4 = self.backbone.channels
        with self.name_scope():
            self.conv_sub1 = _light_layers(self.norm)
            self.head = ICHead(num_classes, self.norm, c4, c2)
            if aux:
                self.aux_head = _aux_head(num_classes)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        net = self.backbone
        half, quarter = (resize_like(F, x, shrunken_size(F, x, factor)) for factor in (2, 4))
        c2 = net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(half))))))
        c4 = net(quarter)[3]
        pooled = (resize_like(F, F.contrib.AdaptiveAvgPooling2D(c4, output_size=bins), c4) for bins in PPModule.bins)
        sub1 = self.conv_sub1(x)
        scores, low12, low24 = self.head(sub1, c2, sum(pooled, c4), doubled_size(F, sub1))
        yield scores
        yield self.aux_head[0](low12)
        yield self.aux_head[1](low24)


def _light_layers(norm_layer: NormLayer) -> nn.HybridSequential:
    """Three strided convolution modules on the full image."""
    layers = nn.HybridSequential()
    for channels, in_channels in ((32, 3), (32, 32), (64, 32)):
        layers.add(ConvModule2d(channels, 3, 2, 1, in_channels=in_channels, norm_layer=norm_layer))
    return layers


def _aux_head(num_classes: int) -> nn.HybridSequential:
    """Scores of the enlarged branch of both fusions."""
    heads = nn.HybridSequential()
    heads.add(*(nn.Conv2D(num_classes, 1, use_bias=False, in_channels=128) for _ in range(2)))
    return heads


class ICHead(gluon.HybridBlock):
    """Fusion of the three branches from the smallest on, scores at a quarter of the image.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    norm_layer : callable
        Constructor of the normalisation.
    small, medium : int
        Channels of the maps at strides 32 and 16.

    Inputs: maps at strides 8 (64 channels), 16 and 32, and a map of the size wanted.
    Outputs: scores (N, num_classes, H / 4, W / 4), and the enlarged branch of both fusions, at strides 8 and 16.
    """

    def __init__(self, num_classes: int, norm_layer: NormLayer, small: int = 256, medium: int = 256):
        super().__init__()
        self.cff_12 = CascadeFeatureFusion(128, 128, 64, norm_layer)
        self.cff_24 = CascadeFeatureFusion(128, small, medium, norm_layer)
        self.conv_cls = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=128)

    def hybrid_forward(self, F: Any, large: Any, medium: Any, small: Any, quarter: Any) -> tuple[Any, Any, Any]:
        fused, low24 = self.cff_24(small, medium)
        fused, low12 = self.cff_12(fused, large)
        return self.conv_cls(resize_like(F, fused, quarter)), low12, low24


class CascadeFeatureFusion(gluon.HybridBlock):
    """Sum of the enlarged, dilated deep map and the projected shallow one (fig. 3).

    Parameters
    ----------
    channels : int
        Output channels.
    low, high : int
        Channels of the deep and of the shallow map.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, low, h, w), shallow map (N, high, H, W). Outputs: the fused map (N, channels, H, W), and the
    enlarged deep one, on which the auxiliary scores are computed.
    """

    def __init__(self, channels: int, low: int, high: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        common = {"norm_layer": norm_layer, "activation": None}
        self.conv_low = ConvModule2d(channels, 3, padding=2, dilation=2, in_channels=low, **common)
        self.conv_high = ConvModule2d(channels, 1, in_channels=high, **common)

    def hybrid_forward(self, F: Any, low: Any, high: Any) -> tuple[Any, Any]:
        low = self.conv_low(resize_like(F, low, high))
        return relu(F, low + self.conv_high(high)), low
