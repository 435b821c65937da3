"""STDC-Seg: rethinking BiSeNet for real-time semantic segmentation (Fan et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..errors import ConfigError
from ..registry import MODELS
from .base import SegmentationModel
from .bisenetv1 import AttentionFusion, ContextPath
from .layers import ConvModule2d, FCNHead, NormLayer

__all__ = ["STDCSeg", "detail_head"]


@MODELS.register(
    "STDCSeg",
    aliases=("stdc",),
    backbones=("stdc1", "stdc2"),
    default_backbone="stdc1",
    paper="Fan et al., CVPR 2021",
    realtime=True,
)
class STDCSeg(SegmentationModel):
    """STDC-Seg: BiSeNet whose spatial path is c2 of the backbone, guided by the borders in it (fig. 4).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``stdc1`` or ``stdc2``.
    aux : bool
        Auxiliary heads on the context at strides 8 and 16.
    norm : str or callable
        Normalisation.
    details : sequence of int
        Strides 2, 4, 8 of the features whose detail maps (N, 1, H, W) follow the auxiliary maps; part of `aux`.

    Raises
    ------
    ConfigError
        If there is no detail map at such a stride.
    """

    auxiliary = ("aux_head", "detail2", "detail4", "detail8")

    def __init__(
        self,
        num_classes: int,
        backbone: str = "stdc1",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        details: Sequence[int] = (),
    ):
        if set(details) - {2, 4, 8}:
            raise ConfigError(f"details {list(details)}", "strides out of 2, 4, 8")
        super().__init__(num_classes, backbone, norm, aux=aux)
        self._details = sorted(details)
        _, c2, c3, c4 = self.backbone.channels
        with self.name_scope():
            self.context = ContextPath(c3, c4, self.norm)
            self.head = _Head(num_classes, c2, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(*(_head(num_classes, 128, 64, self.norm) for _ in range(2)))
                for stride in self._details:
                    setattr(self, f"detail{stride}", detail_head(stride, self.norm))

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        stages = self.backbone.stages(x)
        context8, context16 = self.context(*stages[2:])
        yield self.head(stages[2], context8)
        yield self.aux_head[0](context8)
        yield self.aux_head[1](context16)
        for stride in self._details:
            yield getattr(self, f"detail{stride}")(stages[stride.bit_length() - 2])


class _Head(gluon.HybridBlock):
    """Fusion and scores."""

    def __init__(self, num_classes: int, c2: int, norm_layer: NormLayer):
        super().__init__()
        weight = nn.HybridSequential()
        weight.add(ConvModule2d(64, 1, in_channels=256, norm_layer=None))
        weight.add(ConvModule2d(256, 1, in_channels=64, norm_layer=None, activation="sigmoid"))
        self.fusion = AttentionFusion(256, c2 + 128, weight, norm_layer)
        self.seg = _head(num_classes, 256, 256, norm_layer)

    def hybrid_forward(self, F: Any, c2: Any, context: Any) -> Any:
        return self.seg(self.fusion(c2, context))


def _head(num_classes: int, in_channels: int, channels: int, norm_layer: NormLayer) -> FCNHead:
    """Head without dropout and bias."""
    return FCNHead(num_classes, in_channels, norm_layer, drop_out=0, channels=channels, score_bias=False)


def detail_head(stride: int, norm_layer: NormLayer) -> FCNHead:
    """Head of the detail map on the features at a stride of 2, 4, 8 or 16 (sec. 3.3)."""
    return _head(1, {2: 32, 4: 64, 8: 256, 16: 512}[stride], 64, norm_layer)
