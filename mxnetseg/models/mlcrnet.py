"""MLCRNet: multi-level context refinement for aerial images (Huang et al., Remote Sensing 2022, 14(6), 1498)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, concat, resize_like
from .layers.pool import global_mean
from .layers.resize import size_of

__all__ = ["ChannelLayerNorm", "MLCRBlock", "MLCRHead", "MLCRNet"]

_WIDTH = 256


@MODELS.register(
    "MLCRNet",
    aliases=("mlcr",),
    backbones=("resnet*_v1c",),
    default_backbone="resnet50_v1c",
    paper="Huang et al., Remote Sensing 2022",
)
class MLCRNet(SegmentationModel):
    """MLCRNet: refinement of features by local, image and class context, level by level, output stride 16.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        A ResNet-v1c.
    aux : bool
        Whether the class maps between the levels are supervised too; they are part of the network anyway.
    norm : str or callable
        Normalisation.
    """

    auxiliary: ClassVar[tuple[str, ...]] = ()
    align_corners = False

    def __init__(
        self, num_classes: int, backbone: str = "resnet50_v1c", aux: bool = True, norm: str | NormLayer = "bn"
    ):
        super().__init__(num_classes, backbone, norm, output_stride=16, aux=aux)
        with self.name_scope():
            self.head = MLCRHead(num_classes, self.backbone.channels, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        yield from self.head(*self.backbone(x))


class MLCRHead(gluon.HybridBlock):
    """Three refinements from the deepest to the shallowest level, a class map on every level, and one on all.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c1, c2, c3, c4; c3 and c4 of one size. Outputs: class maps (N, num_classes, h, w), the final one at the
    resolution of c1, then those of the levels at strides 16, 8 and 4.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.context_refine, self.cls_head = nn.HybridSequential(), nn.HybridSequential()
        self.context_refine.add(ConvModule2d(_WIDTH, 1, in_channels=c4, norm_layer=norm_layer))
        self.context_refine.add(*(MLCRBlock(num_classes, low, norm_layer) for low in (c3, c2, c1)))
        self.cls_head.add(*(_classifier(num_classes, _WIDTH, norm_layer, 0.1) for _ in range(3)))
        self.cls_head.add(_classifier(num_classes, 4 * _WIDTH, norm_layer, 0.0))

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> tuple[Any, ...]:
        # The last level has twice the resolution of c1.
        twice = F.repeat(F.repeat(size_of(F, c1), 2, axis=2), 2, axis=3)
        levels, maps = [self.context_refine[0](c4)], []
        for i, (low, like) in enumerate(((c3, c2), (c2, c1), (c1, twice))):
            maps.append(self.cls_head[i](levels[i]))
            levels.append(resize_like(F, self.context_refine[i + 1](levels[i], low, maps[i]), like))
        everything = concat(F, *(resize_like(F, x, c1, align_corners=False) for x in levels))
        return self.cls_head[3](everything), *maps


class MLCRBlock(gluon.HybridBlock):
    """Refinement of a deep map by context, and its fusion with a shallow one.

    Every pixel's weights are a combination of class vectors by its local class scores; the class vectors are averages
    of the deep map over the pixels where a class is likely (semantic context), times a vector of the whole image.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    low_channels : int
        Channels of the shallow map.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: deep map (N, 256, h, w), shallow map (N, low_channels, h, w), class scores (N, num_classes, h, w).
    Outputs: (N, 256, h, w).
    """

    def __init__(self, num_classes: int, low_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.squeeze_l = ConvModule2d(_WIDTH, 1, in_channels=low_channels, norm_layer=norm_layer)
        self.squeeze_h = ConvModule2d(_WIDTH, 1, in_channels=_WIDTH, norm_layer=norm_layer)
        self.l_branch = ConvModule2d(num_classes, 3, padding=1, in_channels=2 * _WIDTH, norm_layer=norm_layer)
        self.g_branch = nn.HybridSequential()
        self.g_branch.add(
            nn.HybridLambda(global_mean), nn.Conv2D(_WIDTH, 1, in_channels=_WIDTH), ChannelLayerNorm(_WIDTH)
        )
        self.g_branch.add(nn.Activation("relu"), nn.Conv2D(_WIDTH, 1, in_channels=_WIDTH))

    def hybrid_forward(self, F: Any, high: Any, low: Any, scores: Any) -> Any:
        low, high, local, image, semantic = self.contexts(F, high, low, scores)
        attention = F.batch_dot(F.broadcast_mul(semantic, image), F.reshape(local, shape=(0, 0, -1)))
        return high * F.reshape_like(attention, high) + low

    def contexts(self, F: Any, high: Any, low: Any, scores: Any) -> tuple[Any, ...]:
        """Squeezed maps, local (N, K, h, w), image (N, C, 1) and semantic context (N, C, K)."""
        low, high = self.squeeze_l(low), self.squeeze_h(high)
        local = self.l_branch(concat(F, low, high))
        image = F.reshape(self.g_branch(high), shape=(0, 0, -1))
        where = F.softmax(F.reshape(scores, shape=(0, 0, -1)), axis=-1)
        semantic = F.batch_dot(F.reshape(high, shape=(0, 0, -1)), where, transpose_b=True)
        return low, high, local, image, semantic


class ChannelLayerNorm(gluon.HybridBlock):
    """Layer normalisation (Ba et al., 2016) over the channels of a map of one pixel.

    Parameters
    ----------
    channels : int
        Channels.

    Inputs: (N, channels, 1, 1). Outputs: the same shape.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = self.params.get("gamma", shape=(channels, 1, 1), init="ones")
        self.beta = self.params.get("beta", shape=(channels, 1, 1), init="zeros")

    def hybrid_forward(self, F: Any, x: Any, gamma: Any, beta: Any) -> Any:
        flat = (F.reshape(p, shape=(-1,)) for p in (gamma, beta))
        return F.LayerNorm(x, *flat, axis=1, eps=1e-5)


def _classifier(num_classes: int, in_channels: int, norm_layer: NormLayer, drop_out: float) -> nn.HybridSequential:
    """1x1 convolution module, dropout of whole channels where there is any, 3x3 convolution to the classes."""
    layers = nn.HybridSequential()
    layers.add(ConvModule2d(_WIDTH, 1, in_channels=in_channels, norm_layer=norm_layer))
    if drop_out:
        layers.add(nn.Dropout(drop_out, axes=(2, 3)))
    layers.add(nn.Conv2D(num_classes, 3, padding=1, in_channels=_WIDTH))
    return layers
