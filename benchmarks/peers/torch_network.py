"""An MXNet symbol as a PyTorch module: the same operators with the same weights, as PyTorch has them.

Needs torch and NumPy alone.
"""

from __future__ import annotations

import ast
import operator
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

__all__ = ["torch_network"]


def torch_network(nodes: list[dict[str, Any]], heads: list[list[int]], params: dict[str, np.ndarray]) -> fx.GraphModule:
    """Module of a symbol with one input and one output.

    Parameters
    ----------
    nodes, heads : list
        As the symbol's JSON has them.
    params : dict of str to ndarray
        Parameters and running statistics by name.

    Returns
    -------
    fx.GraphModule
        (N, 3, H, W) in, scores (N, K, H, W) out; straight code of PyTorch's own layers.
    """
    root, graph = nn.Module(), fx.Graph()
    values: list[Any] = []
    for number, item in enumerate(nodes):
        if item["op"] == "null":
            values.append(graph.placeholder("data") if item["name"] == "data" else params[item["name"]])
            continue
        inputs = [values[entry[0]] for entry in item["inputs"]]
        values.append(_translate(root, graph, f"layer{number}", item["op"], _attributes(item), inputs))
    graph.output(values[heads[0][0]])
    module = fx.GraphModule(root, graph)
    # Gates that became part of a hard swish.
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _attributes(item: dict[str, Any]) -> dict[str, Any]:
    def value(text: str) -> Any:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    return {name: value(text) for name, text in item.get("attrs", {}).items()}


def _translate(root: nn.Module, graph: fx.Graph, name: str, op: str, attrs: dict[str, Any], inputs: list[Any]) -> Any:
    """Value of one operator."""
    x = inputs[0]
    if op in ("BlockGrad", "_copy"):
        return x
    if op in _FUNCTIONS:
        return graph.call_function(_FUNCTIONS[op], tuple(inputs[:2]))
    if op in ("elemwise_mul", "broadcast_mul"):
        return _product(graph, *inputs)
    if op == "hard_sigmoid":
        return graph.call_function(functional.hardsigmoid, (x,))
    if op == "Concat":
        return graph.call_function(torch.cat, (inputs, attrs.get("dim", 1)))
    if op == "Reshape" and attrs["shape"] == (0, 0, 1, 1):
        return graph.call_method("unflatten", (x, 1, (-1, 1, 1)))
    if op == "_contrib_BilinearResize2D" and attrs["mode"] == "like":
        size = graph.call_function(_size, (inputs[1],))
        settings = {"size": size, "mode": "bilinear", "align_corners": attrs.get("align_corners", True)}
        return graph.call_function(functional.interpolate, (x,), settings)
    setattr(root, name, _LAYERS[op](attrs, *inputs[1:]))
    return graph.call_module(name, (x,))


_FUNCTIONS = {"elemwise_add": operator.add, "broadcast_add": operator.add}


def _size(x: torch.Tensor) -> torch.Size:
    return x.shape[2:]


fx.wrap("_size")


def _product(graph: fx.Graph, a: fx.Node, b: fx.Node) -> fx.Node:
    """Hard swish where it is one: PyTorch has it as one operator."""
    for x, gate in ((a, b), (b, a)):
        if gate.target is functional.hardsigmoid and gate.args[0] is x:
            return graph.call_function(functional.hardswish, (x,))
    return graph.call_function(operator.mul, (a, b))


def _convolution(attrs: dict[str, Any], weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Module:
    groups = attrs.get("num_group", 1)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        attrs["kernel"],
        attrs.get("stride") or 1,
        attrs.get("pad") or 0,
        attrs.get("dilate") or 1,
        groups,
        bias is not None,
    )
    return _filled(layer, weight=weight, bias=bias)


def _dense(attrs: dict[str, Any], weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Module:
    layer = _filled(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), weight=weight, bias=bias)
    return nn.Sequential(nn.Flatten(), layer) if attrs.get("flatten", True) else layer


def _batch_norm(attrs: dict[str, Any], gamma: np.ndarray, beta: np.ndarray, *statistics: np.ndarray) -> nn.Module:
    gamma = np.ones_like(gamma) if attrs.get("fix_gamma", True) else gamma
    layer = nn.BatchNorm2d(len(gamma), attrs.get("eps", 1e-3), 1 - attrs.get("momentum", 0.9))
    return _filled(layer, weight=gamma, bias=beta, running_mean=statistics[0], running_var=statistics[1])


def _pooling(attrs: dict[str, Any]) -> nn.Module:
    if attrs.get("global_pool"):
        return nn.AdaptiveAvgPool2d(1)
    places = (attrs["kernel"], attrs.get("stride") or 1, attrs.get("pad") or 0)
    ceil = attrs.get("pooling_convention", "valid") == "full"
    return nn.MaxPool2d(*places, ceil_mode=ceil) if attrs["pool_type"] == "max" else nn.AvgPool2d(*places, ceil)


def _filled(layer: nn.Module, **values: np.ndarray | None) -> nn.Module:
    with torch.no_grad():
        for name, value in values.items():
            if value is not None:
                getattr(layer, name).copy_(torch.from_numpy(value))
    return layer


_LAYERS = {
    "Convolution": _convolution,
    "FullyConnected": _dense,
    "BatchNorm": _batch_norm,
    "Pooling": _pooling,
    "Activation": lambda attrs: nn.ReLU(inplace=True),
    "Dropout": lambda attrs: nn.Dropout(attrs.get("p", 0.5)),
    "_contrib_AdaptiveAvgPooling2D": lambda attrs: nn.AdaptiveAvgPool2d(attrs["output_size"]),
}
