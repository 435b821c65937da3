"""MXNetSeg: its networks differ from ours only in the ``backbone.`` prefix of the backbone's tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from typing import Any

from mxnet import gluon

from ..errors import ConfigError, suggest
from ..models.layers import NormLayer, make_norm
from ..registry import MODELS
from .reference import FixedSizeNet

__all__ = ["build", "names"]

# Arguments of the official constructors that change nothing in a network whose weights are given.
_WITHOUT_EFFECT = ("base_size", "pretrained_base", "symbolize")
_NORMS = {"BatchNorm": "bn", "BN": "bn", "SyncBatchNorm": "syncbn", "SyncBN": "syncbn", "GroupNorm": "gn", "GN": "gn"}


def build(
    model: str,
    nclass: int,
    height: int | None = None,
    width: int | None = None,
    crop_size: int = 480,
    norm_layer: Any = None,
    norm_kwargs: dict[str, Any] | None = None,
    **kwargs: Any,
) -> FixedSizeNet:
    """Build our network for an official class name (see :func:`..build_reference`).

    The outputs have the size (height or crop_size, width or crop_size). ``dilate`` and ``aux`` are ignored where
    the official network ignores them.
    """
    entry = MODELS.entry(model.removeprefix("MXNetSeg."))
    constructor = entry.load()
    accepted = inspect.signature(constructor).parameters
    options = {k: v for k, v in kwargs.items() if k not in _WITHOUT_EFFECT}
    for name in [k for k in options if k not in accepted]:
        if name not in ("aux", "dilate", "backbone"):
            known = [*accepted, *_WITHOUT_EFFECT]
            raise ConfigError(f"{model} has no argument {name!r}", remedy=suggest(name, known))
        del options[name]
    net = constructor(nclass, norm=_norm(norm_layer, norm_kwargs), **options)
    net.prepare()
    return FixedSizeNet(net, (height or crop_size, width or crop_size))


def names(net: gluon.HybridBlock, official: Iterable[str]) -> dict[str, str]:
    """Our parameter name of each official name: the same, or inside the backbone."""
    ours = net._collect_params_with_prefix()
    return {name: name if name in ours else f"backbone.{name}" for name in official}


def _norm(layer: Any, kwargs: dict[str, Any] | None) -> NormLayer:
    """Normalisation for the official ``norm_layer`` (a class, its name, or None for batch normalisation)."""
    norm = make_norm(_NORMS.get(layer, layer) if isinstance(layer, str) else layer or "bn")
    return partial(norm, **kwargs) if kwargs else norm
