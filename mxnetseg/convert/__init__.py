"""Official networks and checkpoints of published systems, converted to ours.

Each system is one module of this package that offers two functions:

* ``build(model, **kwargs)``: our network for an official class name and its official arguments;
* ``names(net, official)``: our structural parameter name for each official tensor name, None for a tensor that has no
  part in the network's output;

and where the values differ too, a third: ``arrays(net, state)``, the state with values as ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import NameNotFoundError, suggest

if TYPE_CHECKING:
    from mxnet.gluon import HybridBlock

    from ..models.weights import LoadReport

__all__ = ["build_reference", "builder", "load_reference", "systems"]

_HELPERS = ("__init__", "conversion", "imagenet", "pytorch", "reference")


def systems() -> list[str]:
    """Names of the systems whose networks can be converted."""
    return sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in _HELPERS)


def _module(system: str) -> ModuleType:
    """Module of a system."""
    if system not in systems():
        raise NameNotFoundError(
            f"unknown system {system!r}", f"one of {', '.join(systems())}", suggest(system, systems())
        )
    return importlib.import_module(f"{__name__}.{system}")


def builder(system: str) -> Callable[..., HybridBlock]:
    """Function of a system that builds its networks: official name and arguments -> our network."""
    return _module(system).build


def build_reference(system: str, model: str, /, **kwargs: Any) -> HybridBlock:
    """Our network for an official one, initialised.

    Parameters
    ----------
    system : str
        Published system, e.g. ``mxnetseg``.
    model : str
        Official class name, e.g. ``MXNetSeg.FCNResNet``.
    **kwargs
        Official constructor arguments; those that begin with ``_`` are ignored.

    Returns
    -------
    HybridBlock
        Its first output has the size that the official network gives it.

    Raises
    ------
    NameNotFoundError
        If the system or the model is unknown.
    ConfigError
        If an argument is not one of the official network's.
    """
    return _module(system).build(model, **{k: v for k, v in kwargs.items() if not k.startswith("_")})


def load_reference(net: HybridBlock, state: Mapping[str, Any], system: str) -> LoadReport:
    """Copy an official state into our network.

    Parameters
    ----------
    net : HybridBlock
        Network of :func:`build_reference`, or a network of ours of the same structure.
    state : mapping of str to array
        Values by official tensor name.
    system : str
        Published system that the names belong to.

    Returns
    -------
    LoadReport
        What became of every tensor, in official names.

    Raises
    ------
    NameNotFoundError
        If the system is unknown.
    """
    from ..models.weights import load_arrays
    from .reference import FixedSizeNet

    target, module = net.model if isinstance(net, FixedSizeNet) else net, _module(system)
    if hasattr(module, "arrays"):
        state = module.arrays(target, state)
    return load_arrays(target, state, module.names(target, state))
