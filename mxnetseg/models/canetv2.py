"""CANet as MXNetSeg has it in its second version: context from encoder-decoders of several depths on c4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, GlobalFlow, NormLayer, concat, resize_like
from .layers.pool import weigh

__all__ = ["CANetv2", "CANetv2Bottleneck", "CANetv2Head", "EncoderDecoder"]


@MODELS.register(
    "CANetv2",
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Tang et al., arXiv 2002.12041",
)
class CANetv2(SegmentationModel):
    """CANet, encoder-decoder version, on a ResNet or ResNeSt.

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
        aux: bool = False,
        dilate: bool = True,
        norm: str | NormLayer = "bn",
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8 if dilate else 32, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = CANetv2Head(num_classes, c4, c3, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c3, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, _, c3, c4 = self.backbone(x)
        c3_like_c4 = c3 if self.output_stride == 8 else resize_like(F, c3, c4)
        yield self.head(c4, c3_like_c4)
        yield self.aux_head(c3)


class CANetv2Head(gluon.HybridBlock):
    """Three encoder-decoders of growing depth on c4 and a projection of c3, weighted pixel by pixel.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    c4, c3 : int
        Channels of c4 and c3.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c4 (N, c4, H, W), c3 (N, c3, H, W). Outputs: (N, num_classes, H, W).
    """

    def __init__(self, num_classes: int, c4: int, c3: int, norm_layer: NormLayer):
        super().__init__()
        self.comp_c4 = ConvModule2d(512, 1, in_channels=c4, norm_layer=norm_layer)
        self.comp_c3 = ConvModule2d(512, 1, in_channels=c3, norm_layer=norm_layer)
        self.gap = GlobalFlow(48, c4, norm_layer)
        self.ed1, self.ed2, self.ed3 = (EncoderDecoder(scale, 512, norm_layer) for scale in (2, 4, 8))
        self.conv1 = ConvModule2d(512, 1, in_channels=2048, norm_layer=norm_layer)
        self.conv2 = ConvModule2d(4, 1, in_channels=512, norm_layer=norm_layer, activation=None)
        self.seg = FCNHead(num_classes, 560, norm_layer, drop_out=0.0)

    def hybrid_forward(self, F: Any, c4: Any, c3: Any) -> Any:
        deep = self.comp_c4(c4)
        maps = [self.ed1(deep), self.ed2(deep), self.ed3(deep), self.comp_c3(c3)]
        weights = F.softmax(self.conv2(self.conv1(concat(F, *maps))), axis=1)
        weighted = [weigh(F, x, F.slice_axis(weights, axis=1, begin=i, end=i + 1)) for i, x in enumerate(maps)]
        return self.seg(concat(F, F.add_n(*weighted), self.gap(c4)))


class EncoderDecoder(gluon.HybridBlock):
    """Strided bottlenecks, 3x3 convolution module, resize to the input's resolution, 1x1 convolution module.

    Parameters
    ----------
    scale : int
        Reduction of the resolution, a power of 2.
    channels : int
        Channels of the input and of the output.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, scale: int, channels: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.encoder = nn.HybridSequential()
        for _ in range(scale.bit_length() - 1):
            self.encoder.add(CANetv2Bottleneck(channels, norm_layer))
        self.conv3x3 = ConvModule2d(channels, 3, padding=1, in_channels=channels, norm_layer=norm_layer)
        self.conv1x1 = ConvModule2d(channels, 1, in_channels=channels, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv1x1(resize_like(F, self.conv3x3(self.encoder(x)), x))


class CANetv2Bottleneck(gluon.HybridBlock):
    """Residual bottleneck of stride 2 and inner width 128, without activation after the sum.

    Parameters
    ----------
    channels : int
        Channels of the input and of the output.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: (N, channels, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(self, channels: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.conv1 = ConvModule2d(128, 1, in_channels=channels, norm_layer=norm_layer)
        self.conv2 = ConvModule2d(128, 3, 2, 1, in_channels=128, norm_layer=norm_layer)
        self.conv3 = ConvModule2d(channels, 1, in_channels=128, norm_layer=norm_layer)
        self.conv4 = ConvModule2d(channels, 1, 2, in_channels=channels, norm_layer=norm_layer, activation=None)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv3(self.conv2(self.conv1(x))) + self.conv4(x)
