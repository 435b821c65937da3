"""MXNetSeg: its networks differ from ours only in the ``backbone.`` prefix of the backbone's tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from mxnet import gluon

from ..errors import ConfigError, suggest
from ..models.backbones.vit import VisionTransformer
from ..models.base import default_initializer
from ..models.classifier import eprnet_classifier
from ..models.layers import NormLayer, make_norm
from ..registry import MODELS
from .reference import FixedSizeNet

__all__ = ["build", "names"]

# Arguments of the official constructors that change nothing in a network whose weights are given.
_WITHOUT_EFFECT = ("base_size", "pretrained", "pretrained_base", "symbolize")
# Arguments that the official constructors ignore where they do not have them.
_IGNORED = ("aux", "dilate", "backbone")
_CLASSIFIERS = {
    "EPRNetCls": eprnet_classifier,
    "eprnet_cls": partial(eprnet_classifier, light=False),
    "eprnet_cls_light": partial(eprnet_classifier, light=True),
    "VisionTransformer": VisionTransformer,
}
_NORMS = {"BatchNorm": "bn", "BN": "bn", "SyncBatchNorm": "syncbn", "SyncBN": "syncbn", "GroupNorm": "gn", "GN": "gn"}


def build(model: str, **kwargs: Any) -> gluon.HybridBlock:
    """Build our network for an official class or function name (see :func:`..build_reference`)."""
    name = model.removeprefix("MXNetSeg.")
    return _classifier(name, **kwargs) if name in _CLASSIFIERS else _segmentation(name, **kwargs)


def _segmentation(
    model: str,
    nclass: int,
    height: int | None = None,
    width: int | None = None,
    crop_size: int = 480,
    norm_layer: Any = None,
    norm_kwargs: dict[str, Any] | None = None,
    **kwargs: Any,
) -> FixedSizeNet:
    """Network whose outputs have the size (height or crop_size, width or crop_size)."""
    constructor = MODELS.get(model)
    accepted = inspect.signature(constructor).parameters
    options = _own_options(constructor.registered_name, kwargs)
    _check_arguments(model, options, [*accepted, *_WITHOUT_EFFECT, *_IGNORED])
    options = {k: v for k, v in options.items() if k in accepted}
    if "crop_size" in accepted:
        options["crop_size"] = crop_size
    net = constructor(nclass, norm=_norm(norm_layer, norm_kwargs), **options)
    net.prepare()
    return FixedSizeNet(net, (height or crop_size, width or crop_size))


def _own_options(model: str, options: dict[str, Any]) -> dict[str, Any]:
    """Official arguments in our terms.

    ``light`` of EPRNet chooses the backbone, which cannot be given by name. The vision transformer's ``cls`` does
    not read the class token but the first patch.
    """
    if model == "EPRNet":
        backbone = "eprnet_cls_light" if options.get("light") else "eprnet_cls"
        return {**{k: v for k, v in options.items() if k != "light"}, "backbone": backbone}
    if model == "VisionTransformer" and options.get("pool", "cls") == "cls":
        return {**options, "pool": "first"}
    return options


def _classifier(
    name: str, norm_layer: Any = None, norm_kwargs: dict[str, Any] | None = None, **kwargs: Any
) -> gluon.HybridBlock:
    """Image classifier of that official class or function name."""
    constructor = _CLASSIFIERS[name]
    accepted = inspect.signature(constructor).parameters
    _check_arguments(name, kwargs, [*accepted, *_WITHOUT_EFFECT])
    options = {k: v for k, v in _own_options(name, kwargs).items() if k not in _WITHOUT_EFFECT}
    if "norm" in accepted:
        options["norm"] = _norm(norm_layer, norm_kwargs)
    net = constructor(**options)
    net.initialize(default_initializer())
    return net


def _check_arguments(model: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse arguments that the official network does not have."""
    for name in given:
        if name not in known:
            raise ConfigError(f"{model} has no argument {name!r}", remedy=suggest(name, known))


def names(net: gluon.HybridBlock, official: Iterable[str]) -> dict[str, str]:
    """Our parameter name of each official name."""
    ours = net._collect_params_with_prefix()
    return {name: next((own for own in _candidates(name) if own in ours), name) for name in official}


def _candidates(name: str) -> Iterator[str]:
    """Where we may have an official tensor: at the same place, in the backbone, or among SETR's auxiliary blocks."""
    yield name
    yield f"backbone.{name}"
    yield name.removeprefix("head.")
    yield name.replace("layer_norms.", "aux_norms.", 1)


def _norm(layer: Any, kwargs: dict[str, Any] | None) -> NormLayer:
    """Normalisation for the official ``norm_layer`` (a class, its name, or None for batch normalisation)."""
    norm = make_norm(_NORMS.get(layer, layer) if isinstance(layer, str) else layer or "bn")
    return partial(norm, **kwargs) if kwargs else norm
