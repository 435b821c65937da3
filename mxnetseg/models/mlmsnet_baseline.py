"""Baseline of MLMSNet: a plain classifier on MobileNetV3, optionally dilated (Li et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..registry import MODELS
from .base import SegmentationModel
from .layers import NormLayer
from .mlmsnet import classifier

__all__ = ["MLMSBaseline"]


@MODELS.register(
    "MLMSBaseline",
    backbones=("mobilenet_v3_large_*",),
    default_backbone="mobilenet_v3_large_1_0",
    paper="Li et al., 2021",
    realtime=True,
)
class MLMSBaseline(SegmentationModel):
    """MLMSNet's baseline: classifier on c4 of MobileNetV3-Large, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        A MobileNetV3-Large.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    dilate3, dilate4 : bool
        Dilation 2 of the depthwise convolutions of the last two stages.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "mobilenet_v3_large_1_0",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        dilate3: bool = False,
        dilate4: bool = False,
    ):
        super().__init__(num_classes, backbone, norm, 8, aux, dilations=(1 + dilate3, 1 + dilate4))
        with self.name_scope():
            _, _, c3, c4 = self.backbone.channels
            self.head = classifier(num_classes, c4, 128, self.norm)
            if aux:
                self.aux_head = classifier(num_classes, c3, 64, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, _, c3, c4 = self.backbone(x)
        yield self.head(c4)
        yield self.aux_head(c3)
