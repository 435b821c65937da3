"""Real-time networks that MFARANet is compared with: PyTorch networks of many authors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from mxnet import gluon, nd

from ..errors import ConfigError, NameNotFoundError, suggest
from ..models.base import SegmentationModel
from ..registry import MODELS
from .pytorch import own_names

__all__ = ["Official", "RawNet", "build", "names"]

Rules = Sequence[tuple[str, str]]
_NONE: Mapping[str, Any] = MappingProxyType({})

# Sequences of convolution, normalisation (and activation) by position: our modules name them.
SEQUENTIAL = ((r"\.0\.(weight|bias)$", r".conv.\1"), (r"\.1\.(weight|bias|running_\w+)$", r".bn.\1"))


class Official(NamedTuple):
    """What an official class is in our terms.

    Attributes
    ----------
    model : str
        Registered name of our network.
    rules : sequence of (str, str)
        Regular expressions and replacements that turn official tensor names into ours, applied in this order.
    arguments : mapping of str to str
        Official argument -> ours, besides ``classes``.
    values : mapping of str to mapping
        Official argument -> official value -> ours, where they differ.
    options : mapping of str to object
        Arguments of ours that the official class does not have.
    without_effect : sequence of str
        Official arguments that change nothing in a network whose weights are given.
    wrap : callable
        Makes of our network, and of the official arguments, what gives the official outputs.
    """

    model: str
    rules: Rules = ()
    arguments: Mapping[str, str] = _NONE
    values: Mapping[str, Mapping[Any, Any]] = _NONE
    options: Mapping[str, Any] = _NONE
    without_effect: Sequence[str] = ()
    wrap: Callable[[SegmentationModel, Mapping[str, Any]], gluon.Block] = lambda net, arguments: net


NETWORKS: dict[str, Official] = {}


class RawNet(gluon.Block):
    """One map of a network at its own resolution, enlarged by whole factors as the official network does it.

    Parameters
    ----------
    model : SegmentationModel
        Network of ours.
    index : int
        Which of its maps.
    factors : sequence of int
        Factors of the successive bilinear enlargements.

    Inputs: (N, 3, H, W). Outputs: class scores of that size.
    """

    def __init__(self, model: SegmentationModel, index: int = 0, factors: Sequence[int] = ()):
        super().__init__()
        self.model, self._index, self._factors = model, index, tuple(factors)

    def forward(self, x: nd.NDArray) -> nd.NDArray:
        """Run the network."""
        y = list(self.model.maps(nd, x))[self._index]
        for factor in self._factors:
            height, width = (factor * side for side in y.shape[2:])
            y = nd.contrib.BilinearResize2D(y, height=height, width=width, align_corners=self.model.align_corners)
        return y


def build(model: str, classes: int = 19, **kwargs: Any) -> gluon.Block:
    """Build our network for an official class name (see :func:`..build_reference`)."""
    if model not in NETWORKS:
        raise NameNotFoundError(f"no real-time network {model!r}", f"one of {', '.join(NETWORKS)}")
    official = NETWORKS[model]
    options = dict(official.options)
    for name, value in kwargs.items():
        if name in official.arguments:
            options[official.arguments[name]] = _own_value(official, name, value)
        elif name not in official.without_effect:
            known = [*official.arguments, *official.without_effect]
            raise ConfigError(f"{model} has no argument {name!r}", remedy=suggest(name, known))
    net = MODELS.get(official.model)(classes, **options)
    net.prepare()
    return official.wrap(net, kwargs)


def _own_value(official: Official, name: str, value: Any) -> Any:
    """Our value of an official argument."""
    values = official.values.get(name)
    if values is None:
        return value
    if value not in values:
        raise ConfigError(f"{name}={value!r}", f"one of {', '.join(map(str, values))}")
    return values[value]


def names(net: gluon.Block, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each official name."""
    model, prefix = (net.model, "model.") if isinstance(net, RawNet) else (net, "")
    rules = next(network.rules for network in NETWORKS.values() if network.model == model.registered_name)

    def rename(name: str) -> str:
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        return prefix + name

    return own_names(net, official, rename)
