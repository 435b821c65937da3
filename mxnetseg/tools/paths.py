"""Ways to run a network, for measurements: each is one function that makes a :class:`Runner`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError

__all__ = ["PATHS", "Runner", "hybridized", "plain"]


@dataclass(frozen=True)
class Runner:
    """A network with its input in place.

    Attributes
    ----------
    start : callable
        Begins one pass; may return before it is done.
    wait : callable
        Returns when all passes that were begun are done.
    """

    start: Callable[[], Any]
    wait: Callable[[], None]


def plain(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """MXNet, operator by operator.

    Raises
    ------
    ConfigError
        If the network is an exported symbol, which has no such form.
    """
    from mxnet import gluon

    if isinstance(model.inference, gluon.SymbolBlock):
        raise ConfigError("path plain for an exported symbol, which is one graph", "path hybridized")
    network = _network(model, aux)
    network.hybridize(False)
    return _mxnet_runner(network, batch, ctx)


def hybridized(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """MXNet, one graph with static memory."""
    network = _network(model, aux)
    network.hybridize(static_alloc=True, static_shape=True)
    return _mxnet_runner(network, batch, ctx)


# Each takes a model, images (N, 3, H, W) of float32, a context, and whether auxiliary heads are run.
PATHS: dict[str, Callable[[Any, np.ndarray, Any, bool], Runner]] = {"plain": plain, "hybridized": hybridized}


def _network(model: Any, aux: bool) -> Any:
    """Network with all heads, or with what inference needs."""
    return model if aux else model.inference


def _mxnet_runner(network: Any, batch: np.ndarray, ctx: Any) -> Runner:
    import mxnet as mx

    x = mx.nd.array(batch, ctx=ctx)
    return Runner(lambda: network(x), mx.nd.waitall)
