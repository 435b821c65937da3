"""Figures read off a network's symbol: operators and multiply-accumulates."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mxnet import sym

__all__ = ["Operator", "count_macs", "operators"]

Shape = tuple[int, ...]

# Operators with one product per weight and output pixel: which of their inputs is the weight.
_WEIGHT = {"Convolution": 1, "FullyConnected": 1, "_contrib_ModulatedDeformableConvolution": 3}


@dataclass(frozen=True)
class Operator:
    """One operator of a symbol.

    Attributes
    ----------
    kind : str
        MXNet's name of it; ``null`` for an input or a parameter.
    inputs : list of tuple of int
        Shapes of its inputs.
    output : tuple of int
        Shape of its first output; empty where it has no single name.
    learned : bool
        Whether a parameter is among its inputs.
    """

    kind: str
    inputs: list[Shape]
    output: Shape
    learned: bool

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or dense layer, without biases; 0 for everything else."""
        if self.kind == "FullyConnected" and not self.learned:  # an average, written as a product
            return 0
        if self.kind in _WEIGHT:
            return math.prod(self.output) * math.prod(self.inputs[_WEIGHT[self.kind]][1:])
        if self.kind == "Deconvolution":
            return math.prod(self.inputs[0]) * math.prod(self.inputs[1][1:])
        return 0


def operators(symbol: sym.Symbol, **input_shapes: Shape) -> Iterator[Operator]:
    """Operators of a symbol in the order of computation.

    Parameters
    ----------
    symbol : Symbol
        Network.
    **input_shapes
        Shape of each input.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    shapes = _shapes(symbol, nodes, input_shapes)
    for position, node in enumerate(nodes):
        sources = [entry[0] for entry in node["inputs"]]
        learned = any(nodes[source]["op"] == "null" for source in sources)
        yield Operator(node["op"], [shapes[source] for source in sources], shapes[position], learned)


def count_macs(symbol: sym.Symbol, **input_shapes: Shape) -> int:
    """Multiply-accumulates of all convolutions and dense layers, without biases.

    Parameters
    ----------
    symbol : Symbol
        Network.
    **input_shapes
        Shape of each input.

    Returns
    -------
    int
        For the whole batch.
    """
    return sum(operator.macs for operator in operators(symbol, **input_shapes))


def _shapes(symbol: sym.Symbol, nodes: list[dict[str, Any]], input_shapes: dict[str, Shape]) -> list[Shape]:
    """Shape of each node's first output; a layer that is used twice makes two nodes of one name."""
    internals = symbol.get_internals()
    found: dict[str, deque[Shape]] = {}
    for name, shape in zip(internals.list_outputs(), internals.infer_shape(**input_shapes)[1], strict=True):
        found.setdefault(name, deque()).append(shape)
    keys = [node["name"] + ("" if node["op"] == "null" else "_output") for node in nodes]
    return [found[key].popleft() if found.get(key) else () for key in keys]
