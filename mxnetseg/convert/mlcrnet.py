"""MLCRNet: its decode head in mmsegmentation, ``mlcrnet_r50-d16``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..errors import ConfigError, NameNotFoundError, suggest
from ..models.base import SegmentationModel
from ..models.mlcrnet import MLCRNet
from .pytorch import own_names

__all__ = ["OfficialMLCRNet", "build", "names"]

# Arguments of which the official program has one value only.
_FIXED = {"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2), "contract_dilation": True, "channels": 256}
_BACKBONES = {"ResNetV1c-50": "resnet50_v1c", "ResNetV1c-101": "resnet101_v1c"}
_MODELS = {"mlcrnet_r50-d16": "ResNetV1c-50", "mlcrnet_r101-d16": "ResNetV1c-101"}
_RULES = (
    (r"^backbone\.stem\.7\.", "backbone.bn1."),
    (r"^backbone\.stem\.", "backbone.conv1."),
    (r"^decode_head\.", "head."),
    (r"\.block\.0\.", ".conv."),
    (r"\.block\.1\.", ".bn."),
)


class OfficialMLCRNet(gluon.HybridBlock):
    """Our network with the classifier that mmsegmentation builds into every head and that MLCRNet never runs.

    Parameters
    ----------
    model : SegmentationModel
        Network of ours.

    Inputs, outputs: those of the network.
    """

    def __init__(self, model: SegmentationModel):
        super().__init__()
        self.model = model
        self.conv_seg = nn.Conv2D(model.num_classes, 1, in_channels=256)

    def forward(self, x: Any, *args: Any) -> Any:
        """Run the network."""
        return self.model(x)


def build(model: str, num_classes: int, backbone: str | None = None, **kwargs: Any) -> OfficialMLCRNet:
    """Build our network for an official configuration (see :func:`..build_reference`)."""
    if model not in _MODELS:
        raise NameNotFoundError(f"MLCRNet has no network {model!r}", f"one of {', '.join(_MODELS)}")
    for name, value in kwargs.items():
        if name not in _FIXED:
            raise ConfigError(f"{model} has no argument {name!r}", remedy=suggest(name, _FIXED))
        if (tuple(value) if isinstance(value, list) else value) != _FIXED[name]:
            raise ConfigError(f"{model} with {name} {value!r}", f"{_FIXED[name]!r}")
    backbone = backbone or _MODELS[model]
    if backbone not in _BACKBONES:
        raise ConfigError(f"{model} on backbone {backbone!r}", f"one of {', '.join(_BACKBONES)}")
    net = MLCRNet(num_classes, _BACKBONES[backbone])
    net.prepare()
    official = OfficialMLCRNet(net)
    official.conv_seg.initialize()
    return official


def names(net: gluon.Block, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each official name; the unused classifier has a place in an official network only."""
    whole = isinstance(net, OfficialMLCRNet)

    def rename(name: str) -> str | None:
        if name.startswith("decode_head.conv_seg."):
            return name.removeprefix("decode_head.") if whole else None
        for pattern, replacement in _RULES:
            name = re.sub(pattern, replacement, name)
        return f"model.{name}" if whole else name

    return own_names(net, official, rename)
