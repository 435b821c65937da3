"""From a symbol to an ONNX model, with normalisation and the last step in it if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from ...engine.forward import MEAN, STD
from ..graph import Graph
from .operators import OPSET, Operator, convert
from .writer import Writer

__all__ = ["OUTPUTS", "Form", "build_onnx", "translate"]

OUTPUTS = ("logits", "probabilities", "labels")


@dataclass(frozen=True)
class Form:
    """What goes into an ONNX file and what comes out.

    Attributes
    ----------
    raw : bool
        Input ``image``: RGB, uint8, (N, H, W, 3). Otherwise ``data``: normalised, float32, (N, 3, H, W).
    output : {"logits", "probabilities", "labels"}
        Scores or probabilities, float32, (N, K, H, W); or the most probable classes, uint8 (uint16 beyond 256 classes),
        (N, H, W).
    size : (int, int), optional
        Height and width, if they are to be fixed.
    mean, std : sequence of float
        Normalisation of RGB / 255.
    divisor, min_size : int
        What the network takes; the graph fills images up with the mean colour, at the right and at the bottom.
    """

    raw: bool = False
    output: str = "logits"
    size: tuple[int, int] | None = None
    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD
    divisor: int = 1
    min_size: int = 1


def translate(graph: Graph, g: Writer, data: str, example: tuple[int, ...]) -> str:
    """Add the nodes of a graph; return the name of its first output.

    Parameters
    ----------
    graph : Graph
        Network with one input, ``data``.
    g : Writer
        Where the nodes go.
    data : str
        Value that goes in.
    example : tuple of int
        A shape that the input may have.

    Raises
    ------
    ConfigError
        If an operator has no ONNX form here.
    """
    shapes = graph.shapes(data=example)
    names: dict[tuple[int, int], str] = {}
    for node in graph.nodes():
        if node.op == "null":
            given = data if node.name == "data" else g.parameter(node.name, graph.params[node.name])
            names[id(node), 0] = given
            continue
        sources = [(id(source), index) for source, index in node.inputs]
        operator = Operator(node.op, node.name, node.attrs, [names[s] for s in sources], [shapes[s] for s in sources])
        names |= {(id(node), index): name for index, name in enumerate(convert(g, operator))}
    node, index = graph.outputs[0]
    g.scope = ""
    return names[id(node), index]


def build_onnx(graph: Graph, form: Form, metadata: dict[str, str]) -> tuple[ModelProto, str]:
    """ONNX model of a network.

    Parameters
    ----------
    graph : Graph
        Network: ``data`` (N, 3, H, W) in, class scores (N, K, H, W) out.
    form : Form
        Input and output.
    metadata : dict of str to str
        Entries of the file's metadata.

    Returns
    -------
    model : ModelProto
    scores : str
        Name of the class scores inside the graph.
    """
    g = Writer()
    entry = g.unique("image" if form.raw else "data")
    x = _normalised(g, entry, form) if form.raw else entry
    filled = form.divisor > 1 or form.min_size > 1
    side = -(-max(64, form.min_size) // form.divisor) * form.divisor
    classes = _classes(graph, side)
    scores = translate(graph, g, _filled(g, x, form) if filled else x, (1, 3, side, side))
    if filled:
        scores = g("Slice", scores, [0, 0], g.sides(x, 2, 4), [2, 3])
    made = _last_step(g, scores, form.output, classes)
    inputs, outputs = _signature(entry, form, classes)
    g.nodes.append(helper.make_node("Identity", [made], [form.output], name=form.output))
    versions = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        g.graph("network", [inputs], [outputs]),
        producer_name="mxnetseg",
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
    )
    helper.set_model_props(model, metadata)
    return model, scores


def _classes(graph: Graph, side: int) -> int:
    node, index = graph.outputs[0]
    return graph.shapes(data=(1, 3, side, side))[id(node), index][1]


def _normalised(g: Writer, image: str, form: Form) -> str:
    """The arithmetic of :class:`~mxnetseg.engine.forward.Forward`."""
    factor = [1 / (255 * s) for s in form.std]
    offset = [-m / s for m, s in zip(form.mean, form.std, strict=True)]
    scaled = g("Mul", g("Cast", image, to=TensorProto.FLOAT), factor)
    return g("Transpose", g("Add", scaled, offset), perm=[0, 3, 1, 2])


def _filled(g: Writer, x: str, form: Form) -> str:
    """Zeros at the right and at the bottom, up to a size that the network takes."""
    sides = g.sides(x, 2, 4)
    steps = g("Div", g("Add", g("Max", sides, form.min_size), form.divisor - 1), form.divisor)
    return g("Pad", x, g("Concat", [0] * 6, g("Sub", g("Mul", steps, form.divisor), sides), axis=0), 0.0)


def _last_step(g: Writer, scores: str, output: str, classes: int) -> str:
    if output == "probabilities":
        return g("Softmax", scores, axis=1)
    if output == "labels":
        best = g("ArgMax", scores, axis=1, keepdims=0)
        return g("Cast", best, to=TensorProto.UINT8 if classes <= 256 else TensorProto.UINT16)
    return scores


def _signature(entry: str, form: Form, classes: int) -> tuple[ValueInfoProto, ValueInfoProto]:
    """Input and output with their types and sizes."""
    sides: list[Any] = list(form.size or ("H", "W"))
    kind = TensorProto.UINT8 if form.raw else TensorProto.FLOAT
    taken = helper.make_tensor_value_info(entry, kind, ["N", *sides, 3] if form.raw else ["N", 3, *sides])
    if form.output == "labels":
        kind = TensorProto.UINT8 if classes <= 256 else TensorProto.UINT16
        return taken, helper.make_tensor_value_info("labels", kind, ["N", *sides])
    return taken, helper.make_tensor_value_info(form.output, TensorProto.FLOAT, ["N", classes, *sides])
