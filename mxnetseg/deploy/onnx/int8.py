"""ONNX models with convolutions in 8-bit integers (QuantizeLinear / DequantizeLinear)."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper

from ...errors import ConfigError

__all__ = ["convolutions", "quantize_onnx"]

# Operators whose results are integers; scores, resizing and attention stay in float32.
_KINDS = ["Conv", "ConvTranspose", "Relu", "MaxPool", "Add", "Concat"]


def convolutions(model: ModelProto) -> list[str]:
    """Names of the convolutions, in the order of computation."""
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def quantize_onnx(
    model: ModelProto, batches: Iterable[np.ndarray], folder: Path, excluded: Sequence[str] = ()
) -> ModelProto:
    """Quantize convolutions and what lies between them.

    Activations are scaled by their smallest and largest values, weights per channel. Weights have 7 bits of the 8:
    processors without VNNI add pairs of products in 16 bits, which would overflow.

    Parameters
    ----------
    model : ModelProto
        Network in float32.
    batches : iterable of ndarray
        Inputs to calibrate with; not read when `folder` has their result.
    folder : Path
        For temporary files, among them what calibrating found.
    excluded : sequence of str
        Names of the nodes that stay in float32.

    Raises
    ------
    ConfigError
        If `onnxruntime.quantization` cannot quantize the network.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    # Normalisation and the last step lie outside of the network, whose nodes carry its names.
    outside = [node.name for node in model.graph.node if "/" not in node.name]
    path = folder / "quantized.onnx"
    try:
        with _quiet():
            quantize_static(
                copy.deepcopy(model),  # it moves the weights of what it gets into files, and removes these
                path,
                _reader(model.graph.input[0].name, batches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_KINDS,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[*outside, *excluded],
                calibration_cache_path=folder / "ranges.json",
            )
    except Exception as error:  # its errors have no common class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"ONNX Runtime cannot quantize the network: {reason}", "one that it can") from error
    made = onnx.load(str(path))
    _rewire_shapes(made)
    _complete_resizes(made)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice of ONNX Runtime's to preprocess: batch normalisation is folded already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _reader(name: str, batches: Iterable[np.ndarray]) -> object:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._feeds = ({name: batch} for batch in batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._feeds, None)

    return Reader()


def _rewire_shapes(model: ModelProto) -> None:
    """Let shapes be read from the integers: another reader of the floats would keep operators from being fused."""
    integers = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type == "Shape" and node.input[0] in integers:
            node.input[0] = integers[node.input[0]]


def _complete_resizes(model: ModelProto) -> None:
    """Give resizes the sizes of all four axes: ONNX Runtime 1.31 loses those of two when it changes the layout."""
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        axes = next((a for a in node.attribute if a.name == "axes"), None)
        if node.op_type == "Resize" and axes is not None and list(axes.ints) == [2, 3] and len(node.input) == 4:
            node.attribute.remove(axes)
            first, full = f"{node.name}/first_sizes", f"{node.name}/sizes"
            nodes.append(helper.make_node("Shape", [node.input[0]], [first], name=first, start=0, end=2))
            nodes.append(helper.make_node("Concat", [first, node.input[3]], [full], name=full, axis=0))
            node.input[3] = full
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
