"""MagNet: its segmentation networks and its refinement module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from mxnet import gluon

from ..errors import NameNotFoundError, suggest
from ..models.refinement import RefinementModule
from ..registry import MODELS
from .pytorch import own_names

__all__ = ["arrays", "build", "names"]

# Official name: our model and backbone.
_NETWORKS = {
    "hrnet18+ocr": ("HRNetOCR", "hrnet_w18_small_v2"),
    "hrnet48+ocr": ("HRNetOCR", "hrnet_w48"),
    "fpn": ("MagNetFPN", "resnet50_v1b"),
    "psp": ("MagNetPSP", "resnet101_v1b"),
}
_REFINEMENT = "RefinementMagNet"
_REFINEMENT_RULES = (
    (r"(conv[12])\.(.*)", r"\1.conv.\2"),
    (r"bn([12])\.(.*)", r"conv\1.bn.\2"),
    (r"seg_conv\.(.*)", r"classifier.\1"),
)
# Convolution 2i and normalisation 2i + 1 of a sequence are one module of ours.
_ATTENTION = {"f_pixel": "query", "f_object": "key", "f_down": "value", "f_up": "project"}
_RULES = (
    (r"(?:resnet_backbone|feats)\.(.*)", r"backbone.\1"),
    # ResNet-50 FPN
    (r"toplayer\.(.*)", r"head.laterals.0.\1"),
    (r"latlayer(\d)\.(.*)", r"head.laterals.\1.\2"),
    (r"smooth(\d)_(\d)\.(.*)", lambda m: f"head.smooths.{int(m[1]) - 1}.{int(m[2]) - 1}.{m[3]}"),
    (r"classify\.(.*)", r"head.classifier.\1"),
    # PSPNet
    (r"psp\.stages\.(\d)\.1\.(.*)", r"head.pools.\1.\2"),
    (r"psp\.bottleneck\.(.*)", r"head.bottleneck.\1"),
    (r"up_(\d)\.conv\.2\.weight", lambda m: f"head.ups.{int(m[1]) - 1}.2.act.alpha"),
    (r"up_(\d)\.conv\.(.*)", lambda m: f"head.ups.{int(m[1]) - 1}.{m[2]}"),
    (r"final\.(.*)", r"head.classifier.\1"),
    (r"classifier\.(.*)", r"aux_head.\1"),
    # HRNet with OCR
    (r"(conv[12]\..*|bn[12]\..*|transition.*)", r"backbone.\1"),
    (r"(layer1\.\d+|stage.*\.branches\.\d+\.\d+)\.(conv|bn)(\d)\.(.*)", lambda m: _block_name(*m.groups())),
    (r"(.*fuse_layers\.\d\.\d)\.(\d)\.([01])\.(.*)", lambda m: f"backbone.{m[1]}.{3 * int(m[2]) + int(m[3])}.{m[4]}"),
    (r"(layer1\..*|stage.*)", r"backbone.\1"),
    (r"conv3x3_ocr\.(.*)", lambda m: "head.pixels." + _module_name(m[1])),
    (r"ocr_distri_head\.object_context_block\.(f_\w+)\.(\d)\.(?:0\.)?(.*)", lambda m: _attention_name(*m.groups())),
    (r"ocr_distri_head\.conv_bn_dropout\.(\d)\.(?:0\.)?(.*)", lambda m: "head.fuse." + _module_name(f"{m[1]}.{m[2]}")),
    (r"cls_head\.(.*)", r"head.classifier.\1"),
    (r"aux_head\.3\.(.*)", r"aux_head.1.\1"),
    (r"aux_head\.(.*)", lambda m: "aux_head.0." + _module_name(m[1])),
)


def build(
    name: str, /, num_classes: int, model: str | None = None, use_bn: bool = True, coarse_first: bool = False
) -> gluon.HybridBlock:
    """Build our network for an official name (see :func:`..build_reference`).

    Segmentation networks come as their inference form: the official ones average the auxiliary scores in.
    The official function takes the name as an argument, `model`, too. `coarse_first` is ours: the published training
    program gives the refinement module the coarse map first, the published inference the fine one; a module that was
    trained with the one is imported for the other.
    """
    model = model or name
    if model == _REFINEMENT:
        module = RefinementModule(num_classes, use_bn)
        module.prepare()
        module.imported_coarse_first = coarse_first
        return module
    if model not in _NETWORKS:
        known = [*_NETWORKS, _REFINEMENT]
        raise NameNotFoundError(f"unknown network {model!r}", f"one of {', '.join(known)}", suggest(model, known))
    ours, backbone = _NETWORKS[model]
    net = MODELS.get(ours)(num_classes, backbone=backbone)
    net.prepare()
    return net.inference


def names(net: gluon.HybridBlock, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each official name."""
    return own_names(net, official, _refinement_name if isinstance(net, RefinementModule) else _network_name)


def arrays(net: gluon.HybridBlock, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """State with the inputs of a refinement module in our order, the fine map first."""
    if not getattr(net, "imported_coarse_first", False):
        return state
    return {name: _swapped(name.removeprefix("module."), value) for name, value in state.items()}


def _swapped(name: str, value: Any) -> Any:
    """The tensors that see the input with its two halves exchanged."""
    if name.startswith("bn0.") and np.ndim(value):
        return np.roll(value, len(value) // 2)
    return np.roll(value, value.shape[1] // 2, axis=1) if name == "conv1.weight" else value


def _refinement_name(name: str) -> str:
    return _apply(_REFINEMENT_RULES, name)


def _network_name(name: str) -> str | None:
    """Checkpoints of the training program also hold the loss."""
    return None if name.startswith("loss.") else _apply(_RULES, name.removeprefix("model."))


def _apply(rules: Iterable[tuple[str, Any]], name: str) -> str:
    """The first rule that covers the whole name."""
    for pattern, target in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return target(match) if callable(target) else match.expand(target)
    return name


def _block_name(place: str, kind: str, number: str, rest: str) -> str:
    """Layers of a residual block follow each other in ours: convolution, normalisation, ReLU."""
    return f"backbone.{place}.body.{3 * (int(number) - 1) + (kind == 'bn')}.{rest}"


def _module_name(rest: str) -> str:
    """Convolution 0 and normalisation 1 of a sequence as a module."""
    number, _, kind = rest.partition(".")
    return f"{('conv', 'bn')[int(number)]}.{kind}"


def _attention_name(layer: str, number: str, rest: str) -> str:
    """Convolutions 0, 2 and normalisations 1, 3 of a sequence as modules."""
    return f"head.attention.{_ATTENTION[layer]}.{int(number) // 2}.{_module_name(f'{int(number) % 2}.{rest}')}"
