"""EPRNet: efficient pyramid representation network for street scenes (Tang et al., IEEE T-ITS 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..registry import MODELS
from .base import SegmentationModel
from .layers import FCNHead, NormLayer

__all__ = ["EPRNet"]


@MODELS.register(
    "EPRNet",
    aliases=("epr",),
    backbones=("eprnet_cls*",),
    default_backbone="eprnet_cls",
    paper="Tang et al., IEEE T-ITS 2022",
    realtime=True,
)
class EPRNet(SegmentationModel):
    """EPRNet: a small backbone of dilated pyramids and one FCN head, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``eprnet_cls`` or ``eprnet_cls_light``.
    norm : str or callable
        Normalisation.
    activation : str
        Name of the activation, of backbone and head.
    drop : float
        Dropout probability in the head; no layer where 0.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "eprnet_cls",
        norm: str | NormLayer = "bn",
        activation: str = "prelu",
        drop: float = 0.0,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, activation=activation)
        with self.name_scope():
            self.head = FCNHead(num_classes, self.backbone.channels[3], self.norm, activation, drop)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        yield self.head(self.backbone(x)[3])
