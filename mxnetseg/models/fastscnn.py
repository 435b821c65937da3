"""Fast-SCNN: fast semantic segmentation network (Poudel et al., BMVC 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, DepthwiseSeparableConv2d, FCNHead, NormLayer, PPModule, relu, resize_like

__all__ = ["FastSCNN", "FastSCNNHead", "FeatureFusion"]


@MODELS.register(
    "FastSCNN",
    backbones=("fastscnn",),
    default_backbone="fastscnn",
    paper="Poudel et al., BMVC 2019",
    realtime=True,
)
class FastSCNN(SegmentationModel):
    """Fast-SCNN: two branches that share their first layers, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``fastscnn``.
    aux : bool
        Auxiliary head on c2.
    norm : str or callable
        Normalisation.
    aux_width : int
        Channels inside the auxiliary head.
    """

    min_size = 3

    def __init__(
        self,
        num_classes: int,
        backbone: str = "fastscnn",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        aux_width: int = 64,
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        _, c2, _, c4 = self.backbone.channels
        with self.name_scope():
            self.head = FastSCNNHead(num_classes, c2, c4, self.norm)
            if aux:
                self.aux_head = FCNHead(num_classes, c2, self.norm, channels=aux_width)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, c2, _, c4 = self.backbone(x)
        yield self.head(c2, c4)
        yield self.aux_head(c2)


class FastSCNNHead(gluon.HybridBlock):
    """Pyramid pooling on c4, fusion with c2, classifier (tab. 1).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    c2, c4 : int
        Channels of c2 and c4; the width of the head is that of c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c2, c4. Outputs: (N, num_classes, h2, w2), at the resolution of c2.
    """

    def __init__(self, num_classes: int, c2: int, c4: int, norm_layer: NormLayer):
        super().__init__()
        self.ppm = PPModule(c4, norm_layer)
        self.out = ConvModule2d(c4, 1, in_channels=2 * c4, norm_layer=norm_layer)
        self.feature_fusion = FeatureFusion(c4, c2, norm_layer)
        self.dsconv1 = DepthwiseSeparableConv2d(c4, c4, 3, padding=1, norm_layer=norm_layer)
        self.dsconv2 = DepthwiseSeparableConv2d(c4, c4, 3, padding=1, norm_layer=norm_layer)
        self.drop = nn.Dropout(0.1)
        self.conv = nn.Conv2D(num_classes, 1, in_channels=c4)

    def hybrid_forward(self, F: Any, c2: Any, c4: Any) -> Any:
        x = self.feature_fusion(c2, self.out(self.ppm(c4)))
        return self.conv(self.drop(self.dsconv2(self.dsconv1(x))))


class FeatureFusion(gluon.HybridBlock):
    """Sum of the projected shallow map and of the enlarged, depthwise convolved and projected deep one (tab. 3).

    The depthwise convolution is not dilated, as in GluonCV.

    Parameters
    ----------
    channels : int
        Channels of the deep map and of the output.
    shallow : int
        Channels of the shallow map.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: shallow map (N, shallow, H, W), deep map (N, channels, h, w). Outputs: (N, channels, H, W).
    """

    def __init__(self, channels: int, shallow: int, norm_layer: NormLayer):
        super().__init__()
        linear = {"use_bias": True, "norm_layer": norm_layer, "activation": None}
        self.dwconv = ConvModule2d(channels, 3, padding=1, groups=channels, in_channels=channels, norm_layer=norm_layer)
        self.conv_lower_res = ConvModule2d(channels, 1, in_channels=channels, **linear)
        self.conv_higher_res = ConvModule2d(channels, 1, in_channels=shallow, **linear)

    def hybrid_forward(self, F: Any, shallow: Any, deep: Any) -> Any:
        deep = self.conv_lower_res(self.dwconv(resize_like(F, deep, shallow)))
        return relu(F, self.conv_higher_res(shallow) + deep)
