"""MXNet's operators in ONNX: those that the networks of this package use, with MXNet's meaning to the last border case.

Sizes are read while the graph runs, so that one file serves every input size. Opset 19 (its DeformConv is the newest
operator needed).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto

from ...errors import ConfigError
from .writer import Writer

__all__ = ["CONVERTERS", "OPSET", "Operator", "convert"]

OPSET = 19
CONVERTERS: dict[str, Callable[[Writer, Operator], Any]] = {}

# Arguments that do not change what an operator computes in an inference graph.
_IRRELEVANT = frozenset(
    [
        "cudnn_off",
        "cudnn_tune",
        "workspace",
        "momentum",
        "use_global_stats",
        "output_mean_var",
        "ndev",
        "key",
        "ctx",
        "p",
    ]
)


@dataclass
class Operator:
    """One operator of a symbol, as the converters see it.

    Attributes
    ----------
    kind : str
        MXNet's name of the operator.
    name : str
        Its name in the symbol.
    attrs : dict of str to str
        Arguments.
    inputs : list of str
        Names of the ONNX values that go in.
    shapes : list of tuple of int
        Their shapes for an example; converters use the number of axes only, and the sizes of parameters.
    """

    kind: str
    name: str
    attrs: dict[str, str]
    inputs: list[str]
    shapes: list[tuple[int, ...]]
    read: set[str] = field(default_factory=set)

    def get(self, name: str, default: Any = None) -> Any:
        """Argument, or MXNet's default."""
        self.read.add(name)
        if name not in self.attrs:
            return default
        try:
            return ast.literal_eval(self.attrs[name])
        except (ValueError, SyntaxError):
            return self.attrs[name]

    def expect(self, **values: Any) -> None:
        """Refuse arguments that have other values than these (where they are given)."""
        for name, value in values.items():
            if self.get(name, value) != value:
                raise self.refusal(name)

    def refusal(self, name: str) -> ConfigError:
        """Error for an argument that no converter knows."""
        found = f"operator {self.kind} ({self.name}) with {name}={self.attrs.get(name)}"
        return ConfigError(f"{found} has no ONNX form here", "the arguments that networks of this package use")

    def axis(self, name: str = "axis", default: int = 1, of: int = 0) -> int:
        """Axis of an input, counted from the first."""
        axis = self.get(name, default)
        return axis % len(self.shapes[of])


def convert(g: Writer, operator: Operator) -> tuple[str, ...]:
    """Add the nodes of one operator; return the names of its outputs.

    Raises
    ------
    ConfigError
        If there is no converter for the operator, or it has an argument that the converter does not know.
    """
    if operator.kind not in CONVERTERS:
        known = f"one of the {len(CONVERTERS)} in {__name__}"
        raise ConfigError(f"operator {operator.kind} ({operator.name}) has no ONNX form here", known)
    g.scope = operator.name
    made = CONVERTERS[operator.kind](g, operator)
    for name in operator.attrs:
        if name not in operator.read | _IRRELEVANT and not name.startswith("__"):
            raise operator.refusal(name)
    return made if isinstance(made, tuple) else (made,)


def _converter(*kinds: str) -> Callable[[Callable], Callable]:
    def register(function: Callable) -> Callable:
        for kind in kinds:
            CONVERTERS[kind] = function
        return function

    return register


# Arithmetic

_SAME = {
    "elemwise_add": "Add",
    "elemwise_sub": "Sub",
    "elemwise_mul": "Mul",
    "elemwise_div": "Div",
    "broadcast_add": "Add",
    "broadcast_sub": "Sub",
    "broadcast_mul": "Mul",
    "broadcast_div": "Div",
    "_maximum": "Max",
    "_minimum": "Min",
    "broadcast_maximum": "Max",
    "broadcast_minimum": "Min",
    "add_n": "Sum",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "exp": "Exp",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "floor": "Floor",
    "ceil": "Ceil",
    "negative": "Neg",
}
_SCALAR = {
    "_plus_scalar": "Add",
    "_minus_scalar": "Sub",
    "_mul_scalar": "Mul",
    "_div_scalar": "Div",
    "_maximum_scalar": "Max",
    "_minimum_scalar": "Min",
}
_REVERSED = {"_rminus_scalar": "Sub", "_rdiv_scalar": "Div"}
_COMPARISON = {
    "_equal": "Equal",
    "broadcast_equal": "Equal",
    "broadcast_greater_equal": "GreaterOrEqual",
    "broadcast_greater": "Greater",
    "broadcast_lesser": "Less",
}


@_converter(*_SAME)
def _same(g: Writer, o: Operator) -> str:
    o.get("num_args")
    return g(_SAME[o.kind], *o.inputs)


@_converter(*_SCALAR)
def _scalar(g: Writer, o: Operator) -> str:
    o.expect(is_int=True)
    return g(_SCALAR[o.kind], *o.inputs, float(o.get("scalar")))


@_converter(*_REVERSED)
def _reversed(g: Writer, o: Operator) -> str:
    o.expect(is_int=True)
    return g(_REVERSED[o.kind], float(o.get("scalar")), *o.inputs)


@_converter(*_COMPARISON)
def _comparison(g: Writer, o: Operator) -> str:
    return g("Cast", g(_COMPARISON[o.kind], *o.inputs), to=TensorProto.FLOAT)


@_converter("square")
def _square(g: Writer, o: Operator) -> str:
    return g("Mul", o.inputs[0], o.inputs[0])


@_converter("rsqrt")
def _rsqrt(g: Writer, o: Operator) -> str:
    return g("Reciprocal", g("Sqrt", o.inputs[0]))


@_converter("clip")
def _clip(g: Writer, o: Operator) -> str:
    return g("Clip", o.inputs[0], float(o.get("a_min")), float(o.get("a_max")))


@_converter("hard_sigmoid")
def _hard_sigmoid(g: Writer, o: Operator) -> str:
    return g("HardSigmoid", o.inputs[0], alpha=o.get("alpha", 0.2), beta=o.get("beta", 0.5))


@_converter("Dropout", "BlockGrad", "_copy")
def _identity(g: Writer, o: Operator) -> str:
    o.expect(mode="training")
    o.get("axes")
    return o.inputs[0]


@_converter("Cast")
def _cast(g: Writer, o: Operator) -> str:
    o.expect(dtype="float32")
    return o.inputs[0]


@_converter("mean", "max", "min", "sum")
def _reduce(g: Writer, o: Operator) -> str:
    o.expect(exclude=False)
    axes = o.get("axis", ())
    axes = (axes,) if isinstance(axes, int) else tuple(axes or ())
    given = [list(axes)] if axes else []
    return g(f"Reduce{o.kind.capitalize()}", *o.inputs, *given, keepdims=int(o.get("keepdims", False)))


@_converter("softmax")
def _softmax(g: Writer, o: Operator) -> str:
    o.expect(temperature=None, use_length=False, dtype=None)
    return g("Softmax", o.inputs[0], axis=o.get("axis", -1))


@_converter("_contrib_div_sqrt_dim")
def _div_sqrt_dim(g: Writer, o: Operator) -> str:
    length = g("Cast", g.side(o.inputs[0], len(o.shapes[0]) - 1), to=TensorProto.FLOAT)
    return g("Div", o.inputs[0], g("Sqrt", length))


@_converter("batch_dot")
def _batch_dot(g: Writer, o: Operator) -> str:
    sides = [
        g("Transpose", x, perm=[0, 2, 1]) if o.get(f"transpose_{side}", False) else x
        for x, side in zip(o.inputs, "ab", strict=True)
    ]
    return g("MatMul", *sides)


@_converter("dot")
def _dot(g: Writer, o: Operator) -> str:
    """Last axis of any number of axes times a matrix."""
    o.expect(transpose_a=False, transpose_b=False)
    if len(o.shapes[1]) != 2:
        raise ConfigError(f"operator dot ({o.name}) of {o.shapes} has no ONNX form here", "a matrix as second factor")
    return g("MatMul", *o.inputs)


# Layers


@_converter("Convolution")
def _convolution(g: Writer, o: Operator) -> str:
    o.expect(layout="NCHW")
    o.get("num_filter"), o.get("no_bias")
    pad = o.get("pad") or (0, 0)
    return g(
        "Conv",
        *o.inputs,
        kernel_shape=o.get("kernel"),
        strides=o.get("stride") or (1, 1),
        dilations=o.get("dilate") or (1, 1),
        pads=[*pad, *pad],
        group=o.get("num_group", 1),
    )


@_converter("Deconvolution")
def _deconvolution(g: Writer, o: Operator) -> str:
    o.expect(layout="NCHW", target_shape=())
    o.get("num_filter"), o.get("no_bias")
    pad = o.get("pad") or (0, 0)
    return g(
        "ConvTranspose",
        *o.inputs,
        kernel_shape=o.get("kernel"),
        strides=o.get("stride") or (1, 1),
        dilations=o.get("dilate") or (1, 1),
        pads=[*pad, *pad],
        output_padding=o.get("adj") or (0, 0),
        group=o.get("num_group", 1),
    )


@_converter("_contrib_ModulatedDeformableConvolution")
def _deformable(g: Writer, o: Operator) -> str:
    o.expect(layout="NCHW")
    o.get("num_filter"), o.get("no_bias"), o.get("im2col_step")
    x, offset, mask, weight, *bias = o.inputs
    pad = o.get("pad") or (0, 0)
    return g(
        "DeformConv",
        *(x, weight, offset, *(bias or [""]), mask),
        kernel_shape=o.get("kernel"),
        strides=o.get("stride") or (1, 1),
        dilations=o.get("dilate") or (1, 1),
        pads=[*pad, *pad],
        group=o.get("num_group", 1),
        offset_group=o.get("num_deformable_group", 1),
    )


@_converter("FullyConnected")
def _dense(g: Writer, o: Operator) -> str:
    o.get("num_hidden"), o.get("no_bias")
    x, weight, *bias = o.inputs
    if o.get("flatten", True):
        x = g("Flatten", x, axis=1)
    product = g("MatMul", x, g("Transpose", weight, perm=[1, 0]))
    return g("Add", product, bias[0]) if bias else product


@_converter("BatchNorm", "_contrib_SyncBatchNorm")
def _batch_norm(g: Writer, o: Operator) -> str:
    o.expect(axis=1)
    x, gamma, *others = o.inputs
    if o.get("fix_gamma", True):
        gamma = np.ones(o.shapes[1], np.float32)
    return g("BatchNormalization", x, gamma, *others, epsilon=float(o.get("eps", 1e-3)))


@_converter("LayerNorm")
def _layer_norm(g: Writer, o: Operator) -> str:
    x, gamma, beta = o.inputs
    axis, last = o.axis(default=-1), len(o.shapes[0]) - 1
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    moved = x if axis == last else g("Transpose", x, perm=order)
    normal = g("LayerNormalization", moved, gamma, beta, axis=-1, epsilon=float(o.get("eps", 1e-5)))
    return normal if axis == last else g("Transpose", normal, perm=order)


@_converter("Activation")
def _activation(g: Writer, o: Operator) -> str:
    known = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus"}
    if o.get("act_type") not in known:
        raise o.refusal("act_type")
    return g(known[o.get("act_type")], o.inputs[0])


@_converter("LeakyReLU")
def _leaky_relu(g: Writer, o: Operator) -> str:
    """Leaky ReLU, with one slope or one per channel, or GELU: x times the normal distribution's integral up to x."""
    kind, slope, x = o.get("act_type", "leaky"), o.get("slope", 0.25), o.inputs[0]
    if kind == "leaky":
        return g("LeakyRelu", x, alpha=float(slope))
    if kind == "prelu":  # ONNX Runtime 1.31 and OpenVINO 2026.4 are slower with PRelu, which slopes (C, 1, 1) become
        negative = g("Mul", g("Relu", g("Mul", x, -1.0)), g("Reshape", o.inputs[1], [1, -1, 1, 1]))
        return g("Sub", g("Relu", x), negative)
    if kind != "gelu":
        raise o.refusal("act_type")
    twice = g("Add", g("Erf", g("Mul", x, float(np.sqrt(0.5)))), 1.0)
    return g("Mul", g("Mul", x, 0.5), twice)


@_converter("Pad")
def _pad(g: Writer, o: Operator) -> str:
    o.expect(mode="constant")
    width = o.get("pad_width")
    return g("Pad", o.inputs[0], [*width[::2], *width[1::2]], float(o.get("constant_value", 0)))


# Pooling


@_converter("Pooling")
def _pooling(g: Writer, o: Operator) -> str:
    o.expect(layout="NCHW")
    kind, kernel, stride = o.get("pool_type", "max"), o.get("kernel"), o.get("stride") or (1, 1)
    pad, full = o.get("pad") or (0, 0), o.get("pooling_convention", "valid") == "full"
    counted = o.get("count_include_pad", True)
    if kind not in ("max", "avg"):
        raise o.refusal("pool_type")
    if o.get("global_pool", False):
        return g({"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[kind], o.inputs[0])
    return _windows(g, o.inputs[0], kind, kernel, stride, pad, full, counted)


def _windows(
    g: Writer,
    x: str,
    kind: str,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    full: bool,
    counted: bool,
) -> str:
    """Pooling; `full` adds a window for the rest, of which only what lies in the padded map counts."""
    if kind == "avg" and full and counted and any(pad):
        x, pad = g("Pad", x, [0, 0, *pad, 0, 0, *pad], 0.0), (0, 0)
    end = [p + s - 1 for p, s in zip(pad, stride, strict=True)] if full else pad
    window = {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *end]}
    if kind == "max":
        return g("MaxPool", x, **window)
    return g("AveragePool", x, count_include_pad=int(counted and not full), **window)


@_converter("_contrib_AdaptiveAvgPooling2D")
def _adaptive(g: Writer, o: Operator) -> str:
    size = o.get("output_size", 1)
    bins = (size, size) if isinstance(size, int) else tuple(size or (1,)) * (2 if len(size or (1,)) == 1 else 1)
    x = o.inputs[0]
    if bins == (1, 1):
        return g("GlobalAveragePool", x)
    wide = g("MatMul", x, g("Transpose", _bins(g, x, 3, bins[1]), perm=[1, 0]))
    return g("MatMul", _bins(g, x, 2, bins[0]), wide)


def _bins(g: Writer, x: str, axis: int, count: int) -> str:
    """Matrix (count, pixels): bin i averages the pixels floor(i * h / n) to ceil((i + 1) * h / n) - 1."""
    pixels, index = g.side(x, axis), np.arange(count).reshape(-1, 1)
    first = g("Div", g("Mul", index, pixels), count)
    end = g("Div", g("Add", g("Mul", index + 1, pixels), count - 1), count)
    pixel = g("Range", 0, pixels, 1)
    inside = g("And", g("GreaterOrEqual", pixel, first), g("Less", pixel, end))
    number = g("Cast", g("Sub", end, first), to=TensorProto.FLOAT)
    return g("Div", g("Cast", inside, to=TensorProto.FLOAT), number)


# Resizing and sampling


@_converter("_contrib_BilinearResize2D")
def _resize(g: Writer, o: Operator) -> str:
    mode, x = o.get("mode", "size"), o.inputs[0]
    if mode == "like":
        size = g.sides(o.inputs[1], 2, 4)
    elif mode == "odd_scale":
        size = g("Concat", *(_odd_scale(g, x, axis, o.get(f"scale_{name}")) for axis, name in _SIDES), axis=0)
    else:
        raise o.refusal("mode")
    corners = o.get("align_corners", True)
    transform = "align_corners" if corners else "pytorch_half_pixel"
    return g("Resize", x, "", "", size, axes=[2, 3], mode="linear", coordinate_transformation_mode=transform)


_SIDES = ((2, "height"), (3, "width"))


def _odd_scale(g: Writer, x: str, axis: int, scale: float) -> str:
    """floor(n * scale) for even n, floor((n - 1) * scale) + 1 for odd n."""
    n = g.sides(x, axis, axis + 1)
    odd = g("Mod", n, 2)
    even = g("Cast", g("Sub", n, odd), to=TensorProto.FLOAT)
    return g("Add", g("Cast", g("Floor", g("Mul", even, float(scale))), to=TensorProto.INT64), odd)


@_converter("UpSampling")
def _upsampling(g: Writer, o: Operator) -> str:
    o.expect(sample_type="nearest", num_args=1)
    return _repeated(g, o.inputs[0], [2, 3], o.get("scale"))


@_converter("repeat")
def _repeat(g: Writer, o: Operator) -> str:
    return _repeated(g, o.inputs[0], [o.axis()], o.get("repeats"))


def _repeated(g: Writer, x: str, axes: list[int], times: int) -> str:
    """Every entry `times` times along the axes."""
    # Of all axes: when ONNX Runtime 1.31 changes the layout of an 8-bit network, it loses those of two.
    scales, form = np.ones(4, np.float32), {"mode": "nearest", "nearest_mode": "floor"}
    scales[axes] = times
    return g("Resize", x, "", scales, coordinate_transformation_mode="asymmetric", **form)


@_converter("BilinearSampler")
def _sampler(g: Writer, o: Operator) -> str:
    grid = g("Transpose", o.inputs[1], perm=[0, 2, 3, 1])
    return g("GridSample", o.inputs[0], grid, align_corners=1, mode="bilinear", padding_mode="zeros")


# Shapes


@_converter("Concat")
def _concat(g: Writer, o: Operator) -> str:
    o.get("num_args")
    return g("Concat", *o.inputs, axis=o.get("dim", 1))


@_converter("SliceChannel")
def _split(g: Writer, o: Operator) -> tuple[str, ...]:
    count, axis = o.get("num_outputs"), o.get("axis", 1)
    parts = g("Split", o.inputs[0], outputs=count, axis=axis, num_outputs=count)
    parts = (parts,) if count == 1 else parts
    return tuple(g("Squeeze", p, [axis]) for p in parts) if o.get("squeeze_axis", False) else parts


@_converter("slice_axis")
def _slice_axis(g: Writer, o: Operator) -> str:
    end = o.get("end")
    return g("Slice", o.inputs[0], [o.get("begin")], [np.iinfo(np.int64).max if end is None else end], [o.get("axis")])


@_converter("slice_like")
def _slice_like(g: Writer, o: Operator) -> str:
    x, like = o.inputs
    axes = [axis % len(o.shapes[0]) for axis in o.get("axes") or range(len(o.shapes[1]))]
    ends = g("Concat", *(g.sides(like, axis, axis + 1) for axis in axes), axis=0)
    return g("Slice", x, [0] * len(axes), ends, axes)


@_converter("zeros_like", "ones_like")
def _constant_like(g: Writer, o: Operator) -> str:
    return g("Expand", float(o.kind == "ones_like"), g("Shape", o.inputs[0]))


@_converter("depth_to_space")
def _depth_to_space(g: Writer, o: Operator) -> str:
    return g("DepthToSpace", o.inputs[0], blocksize=o.get("block_size"), mode="DCR")


@_converter("transpose")
def _transpose(g: Writer, o: Operator) -> str:
    return g("Transpose", o.inputs[0], perm=o.get("axes") or tuple(reversed(range(len(o.shapes[0])))))


@_converter("SwapAxis")
def _swap_axes(g: Writer, o: Operator) -> str:
    order = list(range(len(o.shapes[0])))
    first, second = o.axis("dim1", 0), o.axis("dim2", 0)
    order[first], order[second] = second, first
    return g("Transpose", o.inputs[0], perm=order)


@_converter("expand_dims")
def _expand_dims(g: Writer, o: Operator) -> str:
    return g("Unsqueeze", o.inputs[0], [o.get("axis")])


@_converter("squeeze")
def _squeeze(g: Writer, o: Operator) -> str:
    """Only along given axes: which sides are 1 is not known before the graph runs."""
    axes = o.get("axis")
    if axes is None:
        raise o.refusal("axis")
    return g("Squeeze", o.inputs[0], [axes] if isinstance(axes, int) else list(axes))


@_converter("Flatten")
def _flatten(g: Writer, o: Operator) -> str:
    return g("Flatten", o.inputs[0], axis=1)


@_converter("_contrib_arange_like")
def _arange_like(g: Writer, o: Operator) -> str:
    o.expect(start=0, step=1, repeat=1)
    if o.get("axis") is None:
        raise o.refusal("axis")
    return g("Cast", g("Range", 0, g.side(o.inputs[0], o.axis()), 1), to=TensorProto.FLOAT)


@_converter("broadcast_like")
def _broadcast_like(g: Writer, o: Operator) -> str:
    x, like = o.inputs
    axes = [o.get(f"{side}_axes") for side in ("lhs", "rhs")]
    if axes[0] is None:
        return g("Expand", x, g.sides(like, 0, len(o.shapes[1])))
    sides: list[Any] = [[1]] * len(o.shapes[0])
    for own, other in zip(*axes, strict=True):
        other %= len(o.shapes[1])
        sides[own % len(sides)] = g.sides(like, other, other + 1)
    return g("Expand", x, g("Concat", *sides, axis=0))


@_converter("reshape_like")
def _reshape_like(g: Writer, o: Operator) -> str:
    x, like = o.inputs
    ranks = [len(shape) for shape in o.shapes]
    limits = {}
    for side, rank in zip(("lhs", "rhs"), ranks, strict=True):
        begin, end = o.get(f"{side}_begin") or 0, o.get(f"{side}_end")
        limits[side] = (begin % rank, rank if end is None else end % (rank + 1) if end >= 0 else end + rank)
    parts = [(x, 0, limits["lhs"][0]), (like, *limits["rhs"]), (x, limits["lhs"][1], ranks[0])]
    sides = [g.sides(source, begin, end) for source, begin, end in parts if begin < end]
    return g("Reshape", x, sides[0] if len(sides) == 1 else g("Concat", *sides, axis=0))


@_converter("Reshape")
def _reshape(g: Writer, o: Operator) -> str:
    o.expect(reverse=False)
    sides = _target(g, o.inputs[0], len(o.shapes[0]), list(o.get("shape")))
    if all(isinstance(side, int) for side in sides):
        return g("Reshape", o.inputs[0], sides)
    return g("Reshape", o.inputs[0], g("Concat", *([s] if isinstance(s, int) else s for s in sides), axis=0))


def _target(g: Writer, x: str, rank: int, codes: list[int]) -> list[Any]:
    """New sides for MXNet's codes: numbers (-1 for the rest, 0 for the same axis of `x`), or values of one entry."""
    sides: list[Any] = []
    axis = 0

    def same(axis: int) -> Any:
        return 0 if axis == len(sides) else g.sides(x, axis, axis + 1)

    while codes:
        code = codes.pop(0)
        if code == -2:
            while axis < rank:
                sides.append(same(axis))
                axis += 1
        elif code == -3:
            sides.append(g("Mul", g.sides(x, axis, axis + 1), g.sides(x, axis + 1, axis + 2)))
            axis += 2
        elif code == -4:
            whole, parts = g.sides(x, axis, axis + 1), (codes.pop(0), codes.pop(0))
            sides += [g("Div", whole, [parts[1 - i]]) if part == -1 else part for i, part in enumerate(parts)]
            axis += 1
        else:
            sides.append(same(axis) if code == 0 else code)
            axis += 1
    return sides
