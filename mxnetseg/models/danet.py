"""DANet: dual attention network for scene segmentation (Fu et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer

__all__ = ["ChannelAttention", "DANet", "DANetHead", "SelfAttentionModule"]


@MODELS.register(
    "DANet",
    aliases=("da",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Fu et al., CVPR 2019",
)
class DANet(SegmentationModel):
    """DANet on a dilated ResNet or ResNeSt: position and channel attention, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary classifiers on the position and on the channel branch.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, backbone: str = "resnet50", aux: bool = False, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        c4 = self.backbone.channels[3]
        with self.name_scope():
            self.head = DANetHead(num_classes, c4, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(_classifier(num_classes, c4 // 4), _classifier(num_classes, c4 // 4))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, _, _, c4 = self.backbone(x)
        scores, position, channel = self.head(c4)
        yield scores
        yield self.aux_head[0](position)
        yield self.aux_head[1](channel)


class DANetHead(gluon.HybridBlock):
    """Both attention modules side by side, their sum classified (fig. 2).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    in_channels : int
        Channels of c4; the branches have a quarter of them.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: c4 (N, in_channels, h, w). Outputs: scores (N, num_classes, h, w), and the position and the channel
    features (N, in_channels // 4, h, w) that they were made from.
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        inner = in_channels // 4
        before = {"padding": 1, "in_channels": in_channels, "norm_layer": norm_layer}
        after = {"padding": 1, "in_channels": inner, "norm_layer": norm_layer}
        self.compress_pam = ConvModule2d(inner, 3, **before)
        self.pam = SelfAttentionModule(inner)
        self.proj_pam = ConvModule2d(inner, 3, **after)
        self.compress_cam = ConvModule2d(inner, 3, **before)
        self.cam = ChannelAttention()
        self.proj_cam = ConvModule2d(inner, 3, **after)
        self.head = _classifier(num_classes, inner)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, Any, Any]:
        position = self.proj_pam(self.pam(self.compress_pam(x)))
        channel = self.proj_cam(self.cam(self.compress_cam(x)))
        return self.head(position + channel), position, channel


class SelfAttentionModule(gluon.HybridBlock):
    """Position attention (sec. 3.2, eq. 1-2): every position adds a weighted sum of all positions.

    The scale of that sum is learned and starts at 0, so that the three convolutions have no gradient in the first step.

    Parameters
    ----------
    in_channels : int
        Input channels.
    reduction : int
        Queries and keys have in_channels // reduction channels.

    Inputs: (N, in_channels, H, W). Outputs: the same shape.
    """

    def __init__(self, in_channels: int, reduction: int = 8):
        super().__init__()
        self.query_conv = nn.Conv2D(in_channels // reduction, 1, in_channels=in_channels)
        self.key_conv = nn.Conv2D(in_channels // reduction, 1, in_channels=in_channels)
        self.value_conv = nn.Conv2D(in_channels, 1, in_channels=in_channels)
        self.gamma = self.params.get("gamma", shape=(1,), init="zeros")

    def hybrid_forward(self, F: Any, x: Any, gamma: Any) -> Any:
        query, key, value = (_flat(F, conv(x)) for conv in (self.query_conv, self.key_conv, self.value_conv))
        weights = F.softmax(F.batch_dot(query, key, transpose_a=True))
        return _add_scaled(F, x, F.batch_dot(value, weights, transpose_b=True), gamma)


class ChannelAttention(gluon.HybridBlock):
    """Channel attention (sec. 3.3, eq. 3-4): every channel adds a weighted sum of the channels least like it.

    The similarities are subtracted from their maximum before the softmax, as in the authors' code. The scale of
    the sum is learned and starts at 0.

    Inputs: (N, C, H, W). Outputs: the same shape.
    """

    def __init__(self):
        super().__init__()
        self.gamma = self.params.get("gamma", shape=(1,), init="zeros")

    def hybrid_forward(self, F: Any, x: Any, gamma: Any) -> Any:
        channels = _flat(F, x)
        energy = F.batch_dot(channels, channels, transpose_b=True)
        weights = F.softmax(F.broadcast_sub(F.max(energy, axis=-1, keepdims=True), energy))
        return _add_scaled(F, x, F.batch_dot(weights, channels), gamma)


def _flat(F: Any, x: Any) -> Any:
    """Map (N, C, H, W) as (N, C, H * W)."""
    return F.reshape(x, shape=(0, 0, -1))


def _add_scaled(F: Any, x: Any, attended: Any, gamma: Any) -> Any:
    """Map `x` plus `gamma` times the attended features (N, C, H * W)."""
    attended = F.reshape_like(attended, F.BlockGrad(x))
    return x + F.broadcast_mul(attended, F.reshape(gamma, shape=(1, 1, 1, 1)))


def _classifier(num_classes: int, in_channels: int) -> nn.HybridSequential:
    """Dropout and 1x1 convolution to the classes."""
    classifier = nn.HybridSequential()
    classifier.add(nn.Dropout(0.1), nn.Conv2D(num_classes, 1, in_channels=in_channels))
    return classifier
