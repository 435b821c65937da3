"""Figures read off a network's symbol: operators and multiply-accumulates."""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

from mxnet import sym

__all__ = ["count_macs"]

Shape = tuple[int, ...]

# Operators with one product per weight and output pixel: which of their inputs is the weight.
_WEIGHT = {"Convolution": 1, "FullyConnected": 1, "_contrib_ModulatedDeformableConvolution": 3}


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
    nodes = json.loads(symbol.tojson())["nodes"]
    shapes = _shapes(symbol, nodes, input_shapes)

    total = 0
    for position, node in enumerate(nodes):
        if node["op"] in _WEIGHT:
            weight = shapes[node["inputs"][_WEIGHT[node["op"]]][0]]
            total += math.prod(shapes[position]) * math.prod(weight[1:])
        elif node["op"] == "Deconvolution":
            source, weight = (shapes[entry[0]] for entry in node["inputs"][:2])
            total += math.prod(source) * math.prod(weight[1:])
    return total


def _shapes(symbol: sym.Symbol, nodes: list[dict[str, Any]], input_shapes: dict[str, Shape]) -> list[Shape]:
    """Shape of each node's first output; a layer that is used twice makes two nodes of one name."""
    internals = symbol.get_internals()
    found: dict[str, deque[Shape]] = {}
    for name, shape in zip(internals.list_outputs(), internals.infer_shape(**input_shapes)[1], strict=True):
        found.setdefault(name, deque()).append(shape)
    keys = [node["name"] + ("" if node["op"] == "null" else "_output") for node in nodes]
    return [found[key].popleft() if found.get(key) else () for key in keys]
