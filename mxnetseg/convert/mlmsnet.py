"""MLMSNet: PyTorch networks ``MLMSNet``, ``MLMSNetv2`` and ``BaselineNet``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mxnet import gluon, nd

from ..errors import ConfigError, NameNotFoundError, suggest
from ..models.base import SegmentationModel
from ..models.mlmsnet_baseline import MLMSBaseline
from ..registry import MODELS
from .pytorch import own_names

__all__ = ["ZoomedNet", "build", "names"]

_MODELS = {"MLMSNet": "MLMSNet", "MLMSNetv2": "MLMSNetv2", "BaselineNet": "MLMSBaseline"}
# Official argument -> ours. `aux` cannot be chosen there, and the weights come from elsewhere.
_ARGUMENTS = {
    "MLMSNet": {"large": "wide", "use_msf": "use_msf", "use_mlf": "use_mlf"},
    "MLMSNetv2": {"large": "wide", "use_msf": "use_msf", "use_mlf": "use_mlf"},
    "BaselineNet": {"atrous3": "dilate3", "atrous4": "dilate4"},
}
_WITHOUT_EFFECT = ("criterion", "aux_weight", "dropout", "label_seed", "pretrained", "sync_bn")
_BASELINE_RULES = ((r"^layer", "backbone.layer"), (r"^aux\.", "aux_head."), (r"^cls\.", "head."))
_RULES = (
    *_BASELINE_RULES[:2],
    (r"^(msf|mlf|cls)", r"head.\1"),
    (r"\.atrous_conv\.", ".conv."),
    (r"\.bn_atten\.", ".atten.proj.bn."),
    (r"\.atten\.weight$", ".atten.proj.conv.weight"),
    (r"(blocks\.\d)\.conv\.0\.", r"\1.0.conv."),
    (r"(blocks\.\d)\.conv\.1\.", r"\1.0.bn."),
    (r"(blocks\.\d)\.conv\.3\.", r"\1.1.conv."),
    (r"(blocks\.\d)\.conv\.4\.", r"\1.1.bn."),
)


class ZoomedNet(gluon.Block):
    """A network whose scores have the official size for a zoom below 8: (side - 1) / 8 * zoom + 1 pixels.

    Parameters
    ----------
    model : SegmentationModel
        Network of ours.
    zoom : int
        1, 2, 4 or 8.

    Inputs: (N, 3, H, W). Outputs: tuple of class scores; at zoom 1 those of the features, not resized.
    """

    def __init__(self, model: SegmentationModel, zoom: int):
        super().__init__()
        self.model, self.zoom = model, zoom

    def forward(self, x: nd.NDArray) -> tuple[nd.NDArray, ...]:
        """Run the network, then resize."""
        maps = tuple(self.model.wanted_maps(nd, x))
        if self.zoom == 1:
            return maps
        height, width = (int((side - 1) / 8 * self.zoom + 1) for side in x.shape[2:])
        return tuple(nd.contrib.BilinearResize2D(y, height=height, width=width, align_corners=True) for y in maps)


def build(
    model: str,
    classes: int = 2,
    mode: str = "large",
    width_mult: float = 1.0,
    zoom_factor: int = 8,
    **kwargs: Any,
) -> gluon.Block:
    """Build our network for an official class name (see :func:`..build_reference`)."""
    if model not in _MODELS:
        raise NameNotFoundError(f"MLMSNet has no network {model!r}", f"one of {', '.join(_MODELS)}")
    arguments = _ARGUMENTS[model]
    known = [*arguments, *_WITHOUT_EFFECT]
    for name in kwargs:
        if name not in known:
            raise ConfigError(f"{model} has no argument {name!r}", remedy=suggest(name, known))
    if zoom_factor not in (1, 2, 4, 8):
        raise ConfigError(f"zoom_factor {zoom_factor}", "1, 2, 4 or 8")
    options = {arguments[name]: value for name, value in kwargs.items() if name in arguments}
    if model != "BaselineNet":
        options.setdefault("wide", False)
    backbone = f"mobilenet_v3_{mode}_{str(float(width_mult)).replace('.', '_')}"
    net = MODELS.get(_MODELS[model])(classes, backbone=backbone, **options)
    net.prepare()
    return net if zoom_factor == 8 else ZoomedNet(net, zoom_factor)


def names(net: gluon.Block, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each official name."""
    model, prefix = (net.model, "model.") if isinstance(net, ZoomedNet) else (net, "")
    rules = _BASELINE_RULES if isinstance(model, MLMSBaseline) else _RULES

    def rename(name: str) -> str:
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        return prefix + name

    return own_names(net, official, rename)
