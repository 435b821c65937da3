"""OCR: object-contextual representations (Yuan et al., ECCV 2020) on HRNet, as MagNet uses it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, concat, resize_like, set_momentum

__all__ = ["HRNetOCR", "OCRHead", "ObjectAttention", "gather_regions"]


@MODELS.register(
    "HRNetOCR",
    aliases=("ocr",),
    backbones=("hrnet_*",),
    default_backbone="hrnet_w18_small_v2",
    paper="Yuan et al., ECCV 2020",
)
class HRNetOCR(SegmentationModel):
    """HRNet with object-contextual representations, whose highest branch has the resolution of the image.

    At inference the auxiliary scores are averaged in with weight 0.4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any HRNet.
    aux : bool
        Whether the auxiliary scores, which locate the objects, are trained and averaged in.
    norm : str or callable
        Normalisation.
    full_resolution : bool
        Whether the stem keeps the resolution; otherwise its stride is 4.
    """

    auxiliary = ()
    mix = 0.4

    def __init__(
        self,
        num_classes: int,
        backbone: str = "hrnet_w18_small_v2",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        full_resolution: bool = True,
    ):
        super().__init__(
            num_classes, backbone, norm, aux=aux, full_resolution=full_resolution, align_corners=self.align_corners
        )
        self.output_stride = 8 if full_resolution else 32
        set_momentum(self.backbone, 0.99)
        width = sum(self.backbone.channels)
        with self.name_scope():
            self.head = OCRHead(num_classes, width, self.norm)
            self.aux_head = nn.HybridSequential()
            self.aux_head.add(
                ConvModule2d(width, 1, in_channels=width, use_bias=True, norm_layer=self.norm),
                nn.Conv2D(num_classes, 1, in_channels=width),
            )

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        first, *others = self.backbone(x)
        maps = [first, *(resize_like(F, c, first, self.align_corners) for c in others)]
        features = concat(F, *maps)
        regions = self.aux_head(features)
        yield self.head(features, regions)
        yield regions


class OCRHead(gluon.HybridBlock):
    """Pixels described by the objects that they belong to (fig. 3): regions, their means, attention of pixels to them.

    Parameters
    ----------
    num_classes : int
        Number of classes, hence of object regions K.
    in_channels : int
        Channels of the features.
    norm_layer : callable
        Constructor of the normalisation.
    channels, key_channels : int
        Channels of a pixel, and of the keys of the attention.

    Inputs: features (N, in_channels, h, w), scores of the regions (N, K, h, w). Outputs: (N, K, h, w).
    """

    def __init__(
        self, num_classes: int, in_channels: int, norm_layer: NormLayer, channels: int = 512, key_channels: int = 256
    ):
        super().__init__()
        self.pixels = ConvModule2d(
            channels, 3, padding=1, in_channels=in_channels, use_bias=True, norm_layer=norm_layer
        )
        self.attention = ObjectAttention(channels, key_channels, norm_layer)
        self.fuse = ConvModule2d(channels, 1, in_channels=2 * channels, norm_layer=norm_layer)
        self.drop = nn.Dropout(0.05, axes=(2, 3))
        self.classifier = nn.Conv2D(num_classes, 1, in_channels=channels)

    def hybrid_forward(self, F: Any, features: Any, regions: Any) -> Any:
        pixels = self.pixels(features)
        objects = gather_regions(F, pixels, regions)
        context = self.attention(pixels, objects)
        return self.classifier(self.drop(self.fuse(concat(F, context, pixels))))


def gather_regions(F: Any, pixels: Any, regions: Any) -> Any:
    """Mean (N, C, K, 1) of the pixels of each region, weighted by their softmax over the positions (eq. 8)."""
    weights = F.softmax(F.reshape(regions, (0, 0, -1)), axis=2)
    return F.expand_dims(F.batch_dot(F.reshape(pixels, (0, 0, -1)), weights, transpose_b=True), axis=3)


class ObjectAttention(gluon.HybridBlock):
    """Attention of pixels to object regions (eq. 9-11).

    Parameters
    ----------
    channels : int
        Channels of pixels and objects.
    key_channels : int
        Channels in which they are compared.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: pixels (N, channels, h, w), objects (N, channels, K, 1). Outputs: (N, channels, h, w).
    """

    def __init__(self, channels: int, key_channels: int, norm_layer: NormLayer):
        super().__init__()
        self._scale = key_channels**-0.5

        def layers(*widths: int) -> nn.HybridSequential:
            sequence = nn.HybridSequential()
            for before, width in pairwise(widths):
                sequence.add(ConvModule2d(width, 1, in_channels=before, norm_layer=norm_layer))
            return sequence

        self.query, self.key = (layers(channels, key_channels, key_channels) for _ in range(2))
        self.value, self.project = layers(channels, key_channels), layers(key_channels, channels)

    def hybrid_forward(self, F: Any, pixels: Any, objects: Any) -> Any:
        query = self.query(pixels)
        flat = F.reshape(query, (0, 0, -1))
        key, value = (F.reshape(layer(objects), (0, 0, -1)) for layer in (self.key, self.value))
        attention = F.softmax(F.batch_dot(flat, key, transpose_a=True) * self._scale, axis=2)
        context = F.batch_dot(value, attention, transpose_b=True)
        return self.project(F.reshape_like(context, F.BlockGrad(query)))
