"""Simpler graphs that compute the same: batch normalisation inside convolutions, activations whole, no identities."""

from __future__ import annotations

import ast
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import gluon

from ..models.base import SegmentationModel
from .graph import Entry, Graph, Node

__all__ = [
    "BATCH_NORMS",
    "fold_batch_norms",
    "folded_network",
    "merge_prelus",
    "model_graph",
    "remove_identities",
    "simplify",
]

BATCH_NORMS = ("BatchNorm", "_contrib_SyncBatchNorm")
# Operators that return their input in an inference graph.
IDENTITIES = ("Dropout", "BlockGrad", "_copy")


def model_graph(model: SegmentationModel) -> Graph:
    """Main output of a network, without auxiliary heads, simplified."""
    values = {p.name: p.data(p.list_ctx()[0]).asnumpy() for p in model.collect_params().values()}
    return simplify(Graph(model.symbol(), values))


def folded_network(model: SegmentationModel, ctx: mx.Context | list[mx.Context] | None = None) -> gluon.SymbolBlock:
    """Main output of a network, simplified, with parameters of its own: (N, 3, H, W) in, scores (N, K, H, W) out.

    Where all contexts are CPUs, a network with ReLU6 becomes a graph of oneDNN's own operators, for CPUs alone.

    Parameters
    ----------
    model : SegmentationModel
        Network; what happens to it later does not matter.
    ctx : Context or list of Context, optional
        Where the parameters go; the CPU when empty.
    """
    graph, ctx = model_graph(model), ctx or mx.cpu()
    symbol = graph.symbol()
    contexts = ctx if isinstance(ctx, list) else [ctx]
    if any(node.op == "clip" for node in graph.nodes()) and all(c.device_type == "cpu" for c in contexts):
        # ReLU6 inside the convolutions: on its own it can take as long as they do. Networks without gain less
        # than what this costs whenever the size of the input changes.
        symbol = symbol.get_backend_symbol("MKLDNN")
    block = gluon.SymbolBlock(symbol, mx.sym.var("data", dtype="float32"))
    values = {name: mx.nd.array(value) for name, value in graph.params.items()}
    block.collect_params().load_dict(values, ctx)
    return block


def simplify(graph: Graph) -> Graph:
    """Remove identities, fold batch normalisation, merge PReLUs; the graph itself is changed and returned."""
    remove_identities(graph)
    fold_batch_norms(graph)
    merge_prelus(graph)
    return graph


def remove_identities(graph: Graph) -> None:
    """Take out dropout and what else returns its input when there is no training."""
    graph.replace(lambda node: node.inputs[0] if node.op in IDENTITIES else None)


def fold_batch_norms(graph: Graph) -> None:
    """Put every batch normalisation whose convolution nothing else reads into weights and bias of this convolution.

    The new values are computed in float64. Layers that share a convolution and a normalisation share the new ones.
    """
    uses = graph.uses()
    made: dict[str, Node] = {}

    def rule(node: Node) -> Entry | None:
        if node.op not in BATCH_NORMS or _attribute(node, "axis", 1) != 1:
            return None
        convolution = node.inputs[0][0]
        if convolution.op != "Convolution" or uses[id(convolution)] != 1:
            return None
        if any(source.name not in graph.params for source, _ in [*convolution.inputs[1:], *node.inputs[1:]]):
            return None
        return _folded(graph, convolution, node, made), 0

    graph.replace(rule)


def merge_prelus(graph: Graph) -> None:
    """Make one operator of every relu(x) - slopes * relu(-x), the form that networks have for their training."""

    def rule(node: Node) -> Entry | None:
        parts = _prelu_parts(node)
        if parts is None or parts[1].name not in graph.params:
            return None
        x, slopes = parts
        values = graph.params[slopes.name]
        if values.size == 1:
            attributes = {"act_type": "leaky", "slope": repr(float(values.item()))}
            return Node("LeakyReLU", node.name, attributes, [x]), 0
        return Node("LeakyReLU", node.name, {"act_type": "prelu"}, [x, (slopes, 0)]), 0

    graph.replace(rule)


def _prelu_parts(node: Node) -> tuple[Entry, Node] | None:
    """Input and slopes, if the node is the last one of a PReLU."""
    if node.op != "elemwise_sub":
        return None
    product, _ = node.inputs[1]
    if product.op != "broadcast_mul":
        return None
    x, mirrored = _behind(node.inputs[0], "relu"), _behind(product.inputs[0], "relu", "_mul_scalar")
    slopes = _behind(product.inputs[1], "Reshape")
    if x is None or x != mirrored or slopes is None:
        return None
    negation = product.inputs[0][0].inputs[0][0]
    return (x, slopes[0]) if _attribute(negation, "scalar", 0) == -1 else None


def _behind(entry: Entry, *operators: str) -> Entry | None:
    """What the first of these operators reads that come after each other in front of an entry."""
    for operator in operators:
        node, _ = entry
        if node.op != operator:
            return None
        entry = node.inputs[0]
    return entry


def _folded(graph: Graph, convolution: Node, norm: Node, made: dict[str, Node]) -> Node:
    """Convolution that does the work of both; its values go into the graph's parameters, their nodes into `made`."""
    weight, *bias = (graph.params[n.name].astype(np.float64) for n, _ in convolution.inputs[1:])
    gamma, beta, mean, variance = (graph.params[n.name].astype(np.float64) for n, _ in norm.inputs[1:])
    if _attribute(norm, "fix_gamma", True):
        gamma = np.ones_like(gamma)
    scale = gamma / np.sqrt(variance + _attribute(norm, "eps", 1e-3))
    shift = (bias[0] - mean if bias else -mean) * scale + beta
    layer, *own = (n.name for n, _ in convolution.inputs[1:])
    prefix = norm.inputs[1][0].name
    values = {
        f"{prefix}_{layer}": weight * scale.reshape(-1, *[1] * (weight.ndim - 1)),
        f"{prefix}_{own[0] if own else f'{layer}_bias'}": shift,
    }
    graph.params |= {name: value.astype(np.float32) for name, value in values.items()}
    inputs = [convolution.inputs[0], *((made.setdefault(name, Node("null", name)), 0) for name in values)]
    return Node("Convolution", convolution.name, {**convolution.attrs, "no_bias": "False"}, inputs)


def _attribute(node: Node, name: str, default: Any) -> Any:
    """Argument of an operator, or MXNet's default."""
    return ast.literal_eval(node.attrs[name]) if name in node.attrs else default
