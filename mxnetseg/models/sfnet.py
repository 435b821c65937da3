"""SFNet: semantic flow for fast and accurate scene parsing (Li et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS, accepted_backbone
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, NormLayer, PPModule, concat, resize_like, warp
from .mfaranet import StageFlow

__all__ = ["SFHead", "SFNet"]

# Backbone: width of the head, features that it takes, how the backbone is built.
_FORMS: dict[str, tuple[int, tuple[int, ...], dict[str, Any]]] = {
    "deepstem_resnet18": (128, (0, 1, 2, 3), {}),
    "dfnet_v1": (64, (1, 2, 3), {"repaired": True, "by_group": True}),
    "dfnet_v2": (64, (1, 2, 3), {"repaired": True}),
}


@MODELS.register(
    "SFNet",
    backbones=("deepstem_resnet18", "dfnet_*"),
    default_backbone="deepstem_resnet18",
    paper="Li et al., ECCV 2020",
    realtime=True,
)
class SFNet(SegmentationModel):
    """SFNet: feature pyramid whose deep maps are warped onto the shallow ones.

    The finest map has stride 4 (ResNet-18), 16 (``dfnet_v1``) or 8 (``dfnet_v2``).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet-18 with deep stem, or DFNet.
    aux : bool
        Auxiliary heads on the levels of the pyramid, the deepest first (deep supervision, sec. 3.3).
    norm : str or callable
        Normalisation.
    """

    def __init__(
        self, num_classes: int, backbone: str = "deepstem_resnet18", aux: bool = True, norm: str | NormLayer = "bn"
    ):
        width, self.levels, options = _FORMS[accepted_backbone(self.registered_name, backbone)]
        super().__init__(num_classes, backbone, norm, aux=aux, **options)
        with self.name_scope():
            self.head = SFHead(num_classes, [self.backbone.channels[i] for i in self.levels], width, self.norm)
            if aux:
                common = {"use_bias": True, "drop_channels": True}
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(*(FCNHead(num_classes, width, self.norm, **common) for _ in self.levels[1:]))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        features = self.backbone(x)
        scores, *levels = self.head(*(features[i] for i in self.levels))
        yield scores
        for head, level in zip(reversed(list(self.aux_head)), reversed(levels), strict=True):
            yield head(level)


class SFHead(gluon.HybridBlock):
    """Pyramid pooling, flow alignment from level to level, scores of all levels together (fig. 3).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : sequence of int
        Channels of the features, from fine to coarse.
    width : int
        Channels of the pyramid.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: features, from fine to coarse. Outputs: scores (N, num_classes, h, w) at the size of the first, then the
    levels of the pyramid but the deepest, from fine to coarse.
    """

    def __init__(self, num_classes: int, channels: Sequence[int], width: int, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        *shallow, deep = channels
        self.ppm = PPModule(deep, norm_layer, activation=None, reduction=deep // width, input_last=True)
        self.bottleneck = ConvModule2d(width, 1, in_channels=deep + 4 * width, norm_layer=norm_layer)
        self.drop = nn.Dropout(0.1, axes=(2, 3))
        self.fpn_in, self.fpn_out, self.flows = (nn.HybridSequential() for _ in range(3))
        for c in shallow:
            self.fpn_in.add(ConvModule2d(width, 1, in_channels=c, use_bias=True, norm_layer=norm_layer))
            self.fpn_out.add(ConvModule2d(width, 3, padding=1, in_channels=width, norm_layer=norm_layer))
            self.flows.add(StageFlow(width, high_first=True))
        self.fuse = ConvModule2d(width, 3, padding=1, in_channels=len(channels) * width, norm_layer=norm_layer)
        self.classifier = nn.Conv2D(num_classes, 1, in_channels=width)

    def hybrid_forward(self, F: Any, *features: Any) -> tuple[Any, ...]:
        x = self.drop(self.bottleneck(self.ppm(features[-1])))
        outputs, levels = [x], []
        for i in reversed(range(len(features) - 1)):
            low = self.fpn_in[i](features[i])
            x = low + warp(F, x, self.flows[i](low, x))
            outputs.insert(0, self.fpn_out[i](x))
            levels.insert(0, x)
        maps = [outputs[0], *(resize_like(F, y, outputs[0]) for y in outputs[1:])]
        return self.classifier(self.fuse(concat(F, *maps))), *levels
