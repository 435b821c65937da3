"""Image classifiers, as backbones are pretrained in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .backbones import Backbone
from .backbones.eprnet import EPRNetBackbone
from .layers import NormLayer

__all__ = ["Classifier", "eprnet_classifier"]


class Classifier(gluon.HybridBlock):
    """Backbone, global average pooling, dropout, linear layer.

    Parameters
    ----------
    backbone : Backbone
        Feature extractor.
    classes : int
        Number of classes.
    drop : float
        Dropout probability; no layer where 0.

    Inputs: image (N, 3, H, W). Outputs: class scores (N, classes).
    """

    def __init__(self, backbone: Backbone, classes: int = 1000, drop: float = 0.0):
        super().__init__()
        self.backbone = backbone
        self.pool = nn.GlobalAvgPool2D()
        self.drop = nn.Dropout(drop) if drop else None
        self.linear = nn.Dense(classes, in_units=backbone.channels[3])

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.pool(self.backbone(x)[3])
        return self.linear(self.drop(x) if self.drop else x)


def eprnet_classifier(
    norm: NormLayer,
    light: bool = False,
    stage_channels: Sequence[int] = (16, 32, 64, 128),
    classes: int = 1000,
    activation: str = "prelu",
    drop: float = 0.0,
) -> Classifier:
    """Classifier that EPRNet's backbone is pretrained in (Tang et al., IEEE T-ITS 2022).

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.
    light : bool
        The light backbone.
    stage_channels : sequence of int
        Channels of the stem and of the three layers.
    classes : int
        Number of classes.
    activation : str
        Name of the activation.
    drop : float
        Dropout probability before the linear layer.
    """
    return Classifier(EPRNetBackbone(norm, light, activation, tuple(stage_channels)), classes, drop)
