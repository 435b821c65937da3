"""An ONNX graph while it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

__all__ = ["Writer"]


class Writer:
    """Collects nodes and constants; every value gets a name of its own.

    Calling it adds a node: ``g("Add", x, 1.0)`` returns the name of the sum. Inputs are names of values; arrays
    and numbers become constants (floats float32, integers int64), the same constant only once; "" is an input that
    is left out.

    Attributes
    ----------
    nodes : list of NodeProto
    constants : dict of str to TensorProto
        By name.
    scope : str
        Start of the names of what is added.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.scope = ""
        self._names: set[str] = set()
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def __call__(self, op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node and return the name of its output, or a tuple of names if there are several."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        node = self.unique(f"{self.scope}/{op}" if self.scope else op)
        made = [node] if outputs == 1 else [self.unique(f"{node}:{i}") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, name=node, **attributes))
        return made[0] if outputs == 1 else tuple(made)

    def unique(self, name: str) -> str:
        """`name`, with a number if it is taken."""
        found, number = name, 0
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found

    def constant(self, value: Any, name: str = "constant") -> str:
        """Name of a constant."""
        array = np.asarray(value)
        array = array.astype({"f": np.float32, "i": np.int64}.get(array.dtype.kind, array.dtype), copy=False)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.unique(name)
            self.constants[self._known[key]] = numpy_helper.from_array(
                np.ascontiguousarray(array).reshape(array.shape), self._known[key]
            )
        return self._known[key]

    def parameter(self, name: str, value: np.ndarray) -> str:
        """Name of a constant that keeps its own entry, and its name if that is free."""
        name = self.unique(name)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def sides(self, x: str, start: int, end: int) -> str:
        """Sizes of the axes `start` to `end` - 1 of a value, int64."""
        return self("Shape", x, start=start, end=end)

    def side(self, x: str, axis: int) -> str:
        """Size of one axis, an int64 scalar."""
        return self("Squeeze", self.sides(x, axis, axis + 1))

    def graph(self, name: str, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> GraphProto:
        """The graph, without the constants that nothing reads."""
        read = {i for node in self.nodes for i in node.input}
        constants = [tensor for name, tensor in self.constants.items() if name in read]
        return helper.make_graph(self.nodes, name, inputs, outputs, constants)
