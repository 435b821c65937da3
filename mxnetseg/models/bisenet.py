"""BiSeNet: bilateral segmentation network for real-time segmentation (Yu et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, GlobalFlow, NormLayer, concat, resize_like
from .layers.pool import global_mean, weigh

__all__ = ["ARModule", "BiSeNetHead", "BiSeNetR", "BiSeNetX", "FFModule", "SpatialPath"]


class _BiSeNet(SegmentationModel):
    """Both variants: spatial path on the image, context path on c3 and c4."""

    def __init__(self, num_classes: int, backbone: str, aux: bool, norm: str | NormLayer):
        super().__init__(num_classes, backbone, norm, aux=aux)
        _, _, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.head = BiSeNetHead(num_classes, c3, c4, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(_aux_head(num_classes, c4, self.norm), _aux_head(num_classes, c3, self.norm))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, _, c3, c4 = self.backbone(x)
        yield self.head(x, c3, c4)
        yield self.aux_head[0](c4)
        yield self.aux_head[1](c3)


@MODELS.register(
    "BiSeNetR",
    aliases=("bisenet",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet18",
    paper="Yu et al., ECCV 2018",
    realtime=True,
)
class BiSeNetR(_BiSeNet):
    """BiSeNet on a ResNet or ResNeSt, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary heads on c4 and c3.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, backbone: str = "resnet18", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, aux, norm)


@MODELS.register(
    "BiSeNetX",
    backbones=("xception39",),
    default_backbone="xception39",
    paper="Yu et al., ECCV 2018",
    realtime=True,
)
class BiSeNetX(_BiSeNet):
    """BiSeNet on Xception39, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``xception39``.
    aux : bool
        Auxiliary heads on c4 and c3.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, backbone: str = "xception39", aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, aux, norm)


class BiSeNetHead(gluon.HybridBlock):
    """Fusion of the spatial and the context path (fig. 2a).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    c3, c4 : int
        Channels of c3 and c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: image (N, 3, H, W), c3, c4. Outputs: (N, num_classes, ceil(H / 8), ceil(W / 8)).
    """

    def __init__(self, num_classes: int, c3: int, c4: int, norm_layer: NormLayer):
        super().__init__()
        self.spatial_path = SpatialPath(128, norm_layer)
        self.global_flow = GlobalFlow(128, c4, norm_layer)
        self.refine_c4 = ARModule(128, c4, norm_layer)
        self.refine_c3 = ARModule(128, c3, norm_layer)
        self.proj = ConvModule2d(128, 3, padding=1, in_channels=128, norm_layer=norm_layer)
        self.fusion = FFModule(256, 256, norm_layer)
        self.seg = FCNHead(num_classes, 256, norm_layer, drop_out=0.0)

    def hybrid_forward(self, F: Any, x: Any, c3: Any, c4: Any) -> Any:
        spatial = self.spatial_path(x)
        context = resize_like(F, self.global_flow(c4), spatial) + resize_like(F, self.refine_c4(c4), spatial)
        context = self.proj(context + resize_like(F, self.refine_c3(c3), spatial))
        return self.seg(self.fusion(spatial, context))


class SpatialPath(gluon.HybridBlock):
    """Three strided convolution modules on the image and a projection (sec. 3.1).

    Parameters
    ----------
    channels : int
        Output channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, 3, H, W). Outputs: (N, channels, ceil(H / 8), ceil(W / 8)).
    """

    def __init__(self, channels: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.conv7x7 = ConvModule2d(64, 7, 2, 3, in_channels=3, norm_layer=norm_layer)
        self.conv3x3_1 = ConvModule2d(64, 3, 2, 1, in_channels=64, norm_layer=norm_layer)
        self.conv3x3_2 = ConvModule2d(64, 3, 2, 1, in_channels=64, norm_layer=norm_layer)
        self.conv1x1 = ConvModule2d(channels, 1, in_channels=64, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv1x1(self.conv3x3_2(self.conv3x3_1(self.conv7x7(x))))


class ARModule(gluon.HybridBlock):
    """Attention refinement: a 3x3 convolution module weighted by its own global average (fig. 2b).

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation after the 3x3 convolution.

    Inputs: (N, C, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self, channels: int, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm, activation: str = "relu"
    ):
        super().__init__()
        self.conv3x3 = ConvModule2d(
            channels, 3, padding=1, in_channels=in_channels, norm_layer=norm_layer, activation=activation
        )
        self.conv1x1 = ConvModule2d(channels, 1, in_channels=channels, norm_layer=norm_layer, activation="sigmoid")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv3x3(x)
        return weigh(F, x, self.conv1x1(global_mean(F, x)))


class FFModule(gluon.HybridBlock):
    """Feature fusion: concatenation, projection, channel attention (fig. 2c).

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Channels of both inputs together; 0 takes them from the first inputs.
    norm_layer : callable
        Constructor of the normalisation.
    reduction : int
        Reduction inside the attention.

    Inputs: two maps (N, C', H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm, reduction: int = 1):
        super().__init__()
        inner = channels // reduction
        self.proj = ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=norm_layer)
        self.conv1x1_1 = ConvModule2d(inner, 1, in_channels=channels, norm_layer=norm_layer)
        self.conv1x1_2 = ConvModule2d(channels, 1, in_channels=inner, norm_layer=norm_layer, activation="sigmoid")

    def hybrid_forward(self, F: Any, spatial: Any, context: Any) -> Any:
        x = self.proj(concat(F, spatial, context))
        return weigh(F, x, self.conv1x1_2(self.conv1x1_1(global_mean(F, x)))) + x


def _aux_head(num_classes: int, in_channels: int, norm_layer: NormLayer) -> FCNHead:
    """FCN head of width 256 whatever its input."""
    return FCNHead(num_classes, in_channels, norm_layer, channels=256)
