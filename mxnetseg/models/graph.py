"""Figures read off a network's symbol: operators and multiply-accumulates."""

from __future__ import annotations

import json
import math

from mxnet import sym

__all__ = ["count_macs"]


def count_macs(symbol: sym.Symbol, **input_shapes: tuple[int, ...]) -> int:
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
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape(**input_shapes)
    shape_of = dict(zip(internals.list_outputs(), shapes, strict=True))
    nodes = json.loads(symbol.tojson())["nodes"]

    def shape(index: int) -> tuple[int, ...]:
        name = nodes[index]["name"]
        return shape_of[name] if nodes[index]["op"] == "null" else shape_of.get(f"{name}_output", ())

    total = 0
    for position, node in enumerate(nodes):
        if node["op"] in ("Convolution", "FullyConnected"):
            weight = shape(node["inputs"][1][0])
            total += math.prod(shape(position)) * math.prod(weight[1:])
        elif node["op"] == "Deconvolution":
            source, weight = (shape(entry[0]) for entry in node["inputs"][:2])
            total += math.prod(source) * math.prod(weight[1:])
    return total
