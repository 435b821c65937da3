"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mxnet import gluon, init

from ...errors import ConfigError, suggest

__all__ = ["ACTIVATIONS", "Activation", "PReLU", "relu"]


def relu(F: Any, x: Any) -> Any:
    """Positive part of a feature map, by oneDNN; ``F.relu`` first undoes the order in which oneDNN keeps maps."""
    return F.Activation(x, act_type="relu")


def _hard_sigmoid(F: Any, x: Any) -> Any:
    return F.hard_sigmoid(x, alpha=1 / 6, beta=0.5)


ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "relu": relu,
    **{
        name: lambda F, x, kind=name: F.Activation(x, act_type=kind)
        for name in ("sigmoid", "softrelu", "softsign", "tanh")
    },
    "selu": lambda F, x: F.LeakyReLU(x, act_type="selu"),
    "elu": lambda F, x: F.LeakyReLU(x, act_type="elu", slope=1.0),
    "gelu": lambda F, x: F.LeakyReLU(x, act_type="gelu"),
    "leaky_relu": lambda F, x: F.LeakyReLU(x, act_type="leaky", slope=0.01),
    "relu6": lambda F, x: F.clip(x, 0.0, 6.0),
    "hard_sigmoid": _hard_sigmoid,
    "swish": lambda F, x: x * F.sigmoid(x),
    "hard_swish": lambda F, x: x * _hard_sigmoid(F, x),
    "mish": lambda F, x: x * F.tanh(F.Activation(x, act_type="softrelu")),
}


class PReLU(gluon.HybridBlock):
    """Parametric ReLU with one slope for all channels, or one for each (He et al., ICCV 2015, eq. 1).

    Written as relu(x) - alpha * relu(-x): the gradient that MXNet 1.9.1 computes for the slope of its own
    operator is wrong in hybridized graphs.

    Parameters
    ----------
    alpha : float
        Initial slope.
    channels : int
        Number of slopes: 1, or the channels of the input.
    """

    def __init__(self, alpha: float = 0.25, channels: int = 1):
        super().__init__()
        self.alpha = self.params.get("alpha", shape=(channels,), init=init.Constant(alpha))

    def hybrid_forward(self, F: Any, x: Any, alpha: Any) -> Any:
        slope = F.reshape(alpha, shape=(1, -1, 1, 1))
        return F.relu(x) - F.broadcast_mul(F.relu(-x), slope)


class Activation(gluon.HybridBlock):
    """Activation by name; ``prelu`` owns its slope as ``act.alpha``.

    Parameters
    ----------
    name : str
        relu, sigmoid, softrelu, softsign, tanh, prelu, leaky_relu (slope 0.01), selu, elu (alpha 1), gelu (erf form),
        relu6, hard_sigmoid (relu6(x + 3) / 6), swish, hard_swish or mish.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """

    def __init__(self, name: str):
        super().__init__()
        if name != "prelu" and name not in ACTIVATIONS:
            known = [*ACTIVATIONS, "prelu"]
            raise ConfigError(f"unknown activation {name!r}", f"one of {', '.join(known)}", suggest(str(name), known))
        self._function = ACTIVATIONS.get(name)
        if name == "prelu":
            self.act = PReLU()

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self._function(F, x) if self._function else self.act(x)
