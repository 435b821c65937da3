"""A network's symbol as nodes that can be changed, with its parameters as NumPy arrays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import mxnet as mx
import numpy as np

__all__ = ["Entry", "Graph", "Node"]

Shape = tuple[int, ...]

# Part of the JSON format: MXNet reads files of later versions than its own with care.
_VERSION = {"mxnet_version": ["int", 10901]}
# MXNet adds the gradients of a map with so many readers one after the other.
_MANY = 8


@dataclass(eq=False)
class Node:
    """One operator, input or parameter.

    Attributes
    ----------
    op : str
        MXNet's name of the operator; ``null`` for an input or a parameter.
    name : str
        Name; several operators may have the same (a layer that is used twice).
    attrs : dict of str to str
        Arguments, as the JSON has them.
    inputs : list of (Node, int)
        Which output of which node goes in.
    """

    op: str
    name: str
    attrs: dict[str, str] = field(default_factory=dict)
    inputs: list[Entry] = field(default_factory=list)


Entry = tuple[Node, int]


class Graph:
    """Nodes that lead to the outputs, and the values of the parameters.

    Parameters
    ----------
    symbol : Symbol
        Network.
    params : dict of str to ndarray
        Parameters and running statistics by name; those that are not needed are dropped.

    Attributes
    ----------
    outputs : list of (Node, int)
        What the network returns.
    params : dict of str to ndarray
        Values by the name of their node.
    """

    def __init__(self, symbol: mx.sym.Symbol, params: dict[str, np.ndarray]):
        data = json.loads(symbol.tojson())
        nodes: list[Node] = []
        for item in data["nodes"]:
            inputs = [(nodes[i], k) for i, k, *_ in item["inputs"]]
            nodes.append(Node(item["op"], item["name"], dict(item.get("attrs", {})), inputs))
        self.outputs: list[Entry] = [(nodes[i], k) for i, k, *_ in data["heads"]]
        self.params = {node.name: params[node.name] for node in nodes if node.op == "null" and node.name in params}

    def nodes(self) -> list[Node]:
        """Every node that an output needs, after the nodes that it needs itself."""
        order: list[Node] = []
        seen: set[int] = set()
        stack = [(node, False) for node, _ in reversed(self.outputs)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((source, False) for source, _ in reversed(node.inputs))
        return order

    def uses(self) -> Counter[int]:
        """How often the outputs of a node are read, by its ``id``."""
        read = [entry for node in self.nodes() for entry in node.inputs]
        return Counter(id(node) for node, _ in [*read, *self.outputs])

    def replace(self, rule: Callable[[Node], Entry | None]) -> None:
        """Let everything that reads a node's first output read what `rule` returns for the node, if it does.

        The rule sees the nodes in the order of computation, with inputs that are replaced already.
        """
        new: dict[int, Entry] = {}

        def current(entry: Entry) -> Entry:
            node, index = entry
            return new.get(id(node), entry) if index == 0 else entry

        for node in self.nodes():
            node.inputs = [current(entry) for entry in node.inputs]
            found = rule(node)
            if found is not None:
                new[id(node)] = found
        self.outputs = [current(entry) for entry in self.outputs]
        needed = {node.name for node in self.nodes() if node.op == "null"}
        self.params = {name: value for name, value in self.params.items() if name in needed}

    def symbol(self) -> mx.sym.Symbol:
        """MXNet's form; operators of the same name get numbers."""
        return mx.sym.load_json(json.dumps(self._json()))

    def _json(self) -> dict[str, Any]:
        nodes = self.nodes()
        place, names = {id(node): i for i, node in enumerate(nodes)}, self.unique_names()

        def entry(source: Entry) -> list[int]:
            return [place[id(source[0])], source[1], 0]

        items = [
            {"op": op, "name": name, "attrs": attrs, "inputs": [entry(e) for e in n.inputs]}
            for n, name, (op, attrs) in zip(nodes, names, self._operators(), strict=True)
        ]
        inputs = [i for i, node in enumerate(nodes) if node.op == "null"]
        return {"nodes": items, "arg_nodes": inputs, "heads": [entry(e) for e in self.outputs], "attrs": _VERSION}

    def _operators(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Operator and arguments of :meth:`nodes`, for MXNet.

        MXNet 1.9.1 derives the backward pass of every graph that it runs. Each of many gradients of one map waits for
        those before it. What those are made of may be the one that an addition hands on as it is, and MXNet refuses
        such a cycle; the sum of several hands on a copy.
        """
        nodes, same = self.nodes(), self._same()
        reads = Counter((same[id(source)], index) for node in nodes for source, index in node.inputs)
        for node in nodes:
            many = any(reads[same[id(source)], index] >= _MANY for source, index in node.inputs)
            if node.op == "elemwise_add" and many:
                yield "add_n", {**node.attrs, "num_args": "2"}
            else:
                yield node.op, node.attrs

    def _same(self) -> dict[int, int]:
        """By the ``id`` of a node, that of the first one that computes the same: MXNet makes one of them."""
        first: dict[Any, int] = {}
        same: dict[int, int] = {}
        for node in self.nodes():
            inputs = tuple((same[id(source)], index) for source, index in node.inputs)
            name = node.name if node.op == "null" else ""
            same[id(node)] = first.setdefault((node.op, name, tuple(sorted(node.attrs.items())), inputs), id(node))
        return same

    def unique_names(self) -> list[str]:
        """Names of :meth:`nodes`, with a number where one has been taken."""
        taken = {node.name for node in self.nodes() if node.op == "null"}
        names = []
        for node in self.nodes():
            name, number = node.name, 0
            while node.op != "null" and name in taken:
                number += 1
                name = f"{node.name}_again{number}"
            taken.add(name)
            names.append(name)
        return names

    def shapes(self, **inputs: Shape) -> dict[tuple[int, int], Shape]:
        """Shape of every output by the ``id`` of its node and its number, for inputs of these shapes."""
        given = {name: value.shape for name, value in self.params.items()}
        internals = self.symbol().get_internals()
        _, found, _ = internals.infer_shape(**given, **inputs)
        by_name = dict(zip(internals.list_outputs(), found, strict=True))
        shapes = {}
        for node, name in zip(self.nodes(), self.unique_names(), strict=True):
            for form, index in ((name, 0), (f"{name}_output", 0), *((f"{name}_output{k}", k) for k in range(16))):
                if form in by_name:
                    shapes[id(node), index] = tuple(by_name[form])
        return shapes
