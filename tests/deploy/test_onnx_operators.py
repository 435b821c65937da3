"""Every converter alone: ONNX Runtime computes what MXNet computes, at two sizes, with one graph."""

import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest
from mxnet import sym
from onnx import TensorProto, helper

from mxnetseg.deploy.graph import Graph
from mxnetseg.deploy.onnx.operators import CONVERTERS, OPSET
from mxnetseg.deploy.onnx.translate import translate
from mxnetseg.deploy.onnx.writer import Writer
from mxnetseg.errors import ConfigError
from mxnetseg.models.layers.pool import adaptive_avg_pool_like, shrunken_size
from mxnetseg.models.layers.warp import warp

X = sym.var("data")
ABOVE = X - 0.1
CHANNEL = sym.slice_axis(X, axis=1, begin=0, end=1)
ROWS = sym.reshape(X, shape=(0, 0, -1))
SMALL = sym.Pooling(X, kernel=(2, 2), stride=(2, 2), pool_type="max")
WEIGHT = sym.var("weight")
# Channels: 4.
CASES = {
    "elemwise": [
        X + ABOVE,
        X - ABOVE,
        X * ABOVE,
        X / (ABOVE + 9),
        sym.add_n(X, ABOVE, X),
        sym.maximum(X, -X),
        sym.minimum(X, -X),
    ],
    "broadcast": [
        getattr(sym, f"broadcast_{op}")(X, CHANNEL) for op in ("add", "sub", "mul", "div", "maximum", "minimum")
    ],
    "comparison": [
        *(getattr(sym, f"broadcast_{op}")(X, CHANNEL) for op in ("equal", "greater_equal", "greater", "lesser")),
        sym.relu(X) == X,
    ],
    "scalar": [X + 2, X - 2, 2 - X, X * 3, X / 3, 3 / (X + 9), sym.maximum(X, 0.1), sym.minimum(X, 0.1)],
    "unary": [
        *(
            getattr(sym, op)(X)
            for op in ("relu", "sigmoid", "tanh", "exp", "abs", "floor", "ceil", "square", "negative")
        ),
        sym.sqrt(sym.abs(X)),
        sym.rsqrt(sym.abs(X) + 1),
    ],
    "clip": [sym.clip(X, 0, 0.5)],
    "hard_sigmoid": [sym.hard_sigmoid(X, alpha=1 / 6, beta=0.5)],
    "identity": [sym.Dropout(X, p=0.5) + 1, sym.BlockGrad(X) + 1, sym.identity(X) + 1, sym.cast(X, "float32") + 1],
    "reduce": [
        sym.mean(X, axis=2),
        sym.max(X, axis=-1, keepdims=True),
        sym.sum(X, axis=(2, 3)),
        sym.min(X, keepdims=True),
        sym.max(X, axis=0, keepdims=True),
    ],
    "softmax": [sym.softmax(X), sym.softmax(X, axis=1)],
    "div_sqrt_dim": [sym.contrib.div_sqrt_dim(X)],
    "batch_dot": [
        sym.batch_dot(ROWS, ROWS, transpose_b=True),
        sym.batch_dot(ROWS, ROWS, transpose_a=True),
        sym.batch_dot(ROWS, sym.transpose(ROWS, axes=(0, 2, 1))),
    ],
    "dot": [sym.dot(sym.transpose(X, axes=(0, 2, 3, 1)), sym.var("matrix", shape=(4, 3)))],
    "convolution": [
        sym.Convolution(X, WEIGHT, kernel=(3, 3), num_filter=6, no_bias=True, pad=(1, 2), stride=(2, 1)),
        sym.Convolution(X, WEIGHT, sym.var("bias"), kernel=(3, 1), num_filter=4, dilate=(2, 1), num_group=4),
        sym.Convolution(X, WEIGHT, sym.var("bias"), kernel=(1, 1), num_filter=2),
    ],
    "deconvolution": [
        sym.Deconvolution(X, WEIGHT, kernel=(3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 1), num_filter=6),
        sym.Deconvolution(X, WEIGHT, kernel=(2, 2), stride=(2, 2), adj=(1, 1), num_filter=3),
        sym.Deconvolution(X, WEIGHT, sym.var("bias"), kernel=(3, 2), num_filter=4, num_group=2, no_bias=False),
    ],
    "dense": [
        sym.FullyConnected(sym.mean(X, axis=(2, 3)), WEIGHT, sym.var("bias"), num_hidden=3),
        sym.FullyConnected(sym.mean(X, axis=(2, 3), keepdims=True), WEIGHT, num_hidden=3, no_bias=True),
        sym.FullyConnected(sym.transpose(ROWS, axes=(0, 2, 1)), WEIGHT, sym.var("bias"), num_hidden=3, flatten=False),
    ],
    "norm": [
        sym.BatchNorm(X, *(sym.var(n) for n in ("gamma", "beta", "mean", "variance"))),
        sym.BatchNorm(X, *(sym.var(n) for n in ("gamma", "beta", "mean", "variance")), fix_gamma=False, eps=0.1),
        sym.contrib.SyncBatchNorm(X, *(sym.var(n) for n in ("gamma", "beta", "mean", "variance")), key="k", ndev=1),
        sym.LayerNorm(X, sym.var("gamma"), sym.var("beta"), axis=1),
        sym.LayerNorm(sym.transpose(X, axes=(0, 2, 3, 1)), sym.var("gamma"), sym.var("beta"), eps=0.1),
    ],
    "activation": [
        *(sym.Activation(X, act_type=kind) for kind in ("relu", "sigmoid", "tanh", "softrelu")),
        sym.LeakyReLU(X, act_type="gelu"),
        sym.LeakyReLU(X, act_type="leaky"),
        sym.LeakyReLU(X, slope=0.1),
        sym.LeakyReLU(X, sym.var("slopes"), act_type="prelu"),
    ],
    "pad": [sym.pad(X, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 4), constant_value=0.5)],
    "pooling": [
        *(
            sym.Pooling(X, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=kind, pooling_convention=rule, **counted)
            for kind, counted in (("max", {}), ("avg", {"count_include_pad": False}), ("avg", {}))
            for rule in ("valid", "full")
        ),
        *(
            sym.Pooling(X, kernel=(2, 2), stride=(2, 2), pool_type=kind, pooling_convention=rule)
            for kind in ("max", "avg")
            for rule in ("valid", "full")
        ),
        sym.Pooling(X, global_pool=True, pool_type="avg", kernel=(1, 1)),
        sym.Pooling(X, global_pool=True, pool_type="max", kernel=(1, 1)),
    ],
    "adaptive": [sym.contrib.AdaptiveAvgPooling2D(X, output_size=n) for n in (1, 2, 3, 6, (2, 5), 20)],
    "resize": [
        *(
            sym.contrib.BilinearResize2D(a, b, mode="like", align_corners=corners)
            for a, b in ((X, SMALL), (SMALL, X), (X, sym.mean(X, axis=3, keepdims=True)))
            for corners in (True, False)
        ),
        *(shrunken_size(sym, X, factor) for factor in (2, 4)),
        sym.contrib.BilinearResize2D(X, mode="odd_scale", scale_height=0.6, scale_width=1.7),
    ],
    "nearest": [
        sym.UpSampling(X, scale=2, sample_type="nearest"),
        sym.repeat(X, axis=2, repeats=3),
        sym.repeat(sym.repeat(X, axis=3, repeats=2), axis=-2, repeats=2),
    ],
    "sampling": [warp(sym, X, sym.slice_axis(X, axis=1, begin=0, end=2) * 3, corners) for corners in (True, False)],
    "bins": [adaptive_avg_pool_like(sym, X, SMALL)],
    "concat": [sym.concat(X, CHANNEL, dim=1), sym.concat(X, X, dim=-1)],
    "split": [
        sym.SliceChannel(X, num_outputs=2, axis=1)[1],
        sym.SliceChannel(X, num_outputs=4, axis=1, squeeze_axis=True)[3],
    ],
    "slice": [sym.slice_axis(X, axis=2, begin=1, end=None), sym.slice_axis(X, axis=-1, begin=-3, end=-1)],
    "like": [
        sym.slice_like(X, SMALL, axes=(2, 3)),
        sym.slice_like(X, SMALL, axes=(-1,)),
        sym.slice_like(X, SMALL),
        sym.zeros_like(X),
        sym.ones_like(X),
    ],
    "depth_to_space": [sym.depth_to_space(X, block_size=2)],
    "transpose": [sym.transpose(X), sym.transpose(X, axes=(0, 2, 3, 1)), sym.swapaxes(X, 1, 3)],
    "expand_dims": [
        sym.expand_dims(X, axis=1),
        sym.expand_dims(X, axis=-1),
        sym.Flatten(X),
        sym.squeeze(sym.mean(X, axis=(1, 2), keepdims=True), axis=(1, 2)),
    ],
    "arange_like": [sym.contrib.arange_like(X, axis=axis) for axis in (0, 2, -1)],
    "broadcast_like": [
        sym.broadcast_like(CHANNEL, X),
        sym.broadcast_like(sym.mean(X, axis=(0, 1), keepdims=True), X, lhs_axes=(0,), rhs_axes=(1,)),
    ],
    "reshape_like": [
        sym.reshape_like(ROWS, X),
        sym.reshape_like(sym.reshape(X, shape=(-3, 0, 0)), X, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2),
        sym.reshape_like(ROWS, X, lhs_begin=2, lhs_end=3, rhs_begin=-2, rhs_end=4),
    ],
    "reshape": [
        sym.reshape(X, shape=shape)
        for shape in (
            (-1,),
            (0, 0, -1),
            (-3, -3),
            (0, 0, -3),
            (-3, 0, 0),
            (0, -4, 2, -1, 0, 0),
            (0, -4, -1, 4, -3),
            (0, -4, 2, 2, -2),
            (-4, 1, -1, -2),
            (0, 2, -1),
            (-1, 1, 1, 1),
        )
    ],
}
FLAT = [pytest.param(symbol, id=f"{name}-{i}") for name, symbols in CASES.items() for i, symbol in enumerate(symbols)]
SIZES = ((1, 4, 13, 8), (2, 4, 6, 17))


def values_of(symbol, rng):
    """Values for everything but the input."""
    arguments, _, states = symbol.infer_shape(data=SIZES[0])
    names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    shapes = dict(zip(names, [*arguments, *states], strict=True))
    return {name: rng.uniform(0.5, 1.5, shape).astype("f") for name, shape in shapes.items() if name != "data"}


def session_of(symbol, params):
    g = Writer()
    out = translate(Graph(symbol, params), g, g.unique("data"), SIZES[0])
    kinds = [helper.make_tensor_value_info("data", TensorProto.FLOAT, list("NCHW"))]
    rank = len(symbol.infer_shape(data=SIZES[0])[1][0])
    outputs = [helper.make_tensor_value_info(out, TensorProto.FLOAT, [f"d{i}" for i in range(rank)])]
    versions = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(g.graph("alone", kinds, outputs), opset_imports=versions, ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def expected_of(symbol, params, x):
    states = symbol.list_auxiliary_states()
    arrays = {name: mx.nd.array(value) for name, value in params.items()}
    arguments = {n: v for n, v in arrays.items() if n not in states} | {"data": mx.nd.array(x)}
    bound = symbol.bind(mx.cpu(), arguments, aux_states={n: arrays[n] for n in states})
    return bound.forward(is_train=False)[0].asnumpy()


@pytest.mark.parametrize("symbol", FLAT)
def test_converter(symbol):
    rng = np.random.default_rng(0)
    params = values_of(symbol, rng)
    session = session_of(symbol, params)
    for size in SIZES:
        x = rng.standard_normal(size, np.float32)
        expected, got = expected_of(symbol, params, x), session.run(None, {"data": x})[0]
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolution(groups):
    """Shifts reach beyond the border; the layer's own graph for training is another witness in its own tests."""
    offset = sym.Convolution(X, sym.var("w"), kernel=(3, 3), pad=(1, 1), num_filter=18 * groups, no_bias=True) * 0.3
    mask = sym.sigmoid(sym.Convolution(X, sym.var("m"), kernel=(1, 1), num_filter=9 * groups, no_bias=True))
    window = {"kernel": (3, 3), "pad": (1, 1), "num_filter": 6, "num_deformable_group": groups}
    test_converter(sym.contrib.ModulatedDeformableConvolution(X, offset, mask, WEIGHT, sym.var("bias"), **window))


def test_every_converter_is_tested():
    symbols = [symbol for group in CASES.values() for symbol in group]
    found = {node.op for symbol in symbols for node in Graph(symbol, {}).nodes()}
    assert set(CONVERTERS) - found == {"_contrib_ModulatedDeformableConvolution"}


@pytest.mark.parametrize(
    "symbol",
    [
        sym.sin(X),
        sym.LeakyReLU(X, act_type="elu"),
        sym.Pooling(X, kernel=(2, 2), pool_type="lp", p_value=2),
        sym.Pooling(X, kernel=(2, 2), pool_type="sum"),
        sym.softmax(X, temperature=2.0),
        sym.contrib.BilinearResize2D(X, height=3, width=3),
        sym.contrib.arange_like(X),
        sym.squeeze(X),
        sym.reshape(X, shape=(-1, 0), reverse=True),
        sym.Dropout(X, mode="always"),
        sym.Activation(X, act_type="softsign"),
        sym.mean(X, axis=1, exclude=True),
        sym.UpSampling(X, X, scale=2, sample_type="nearest", num_args=2),
        sym.cast(X, "float16"),
    ],
)
def test_what_has_no_converter_is_refused(symbol):
    with pytest.raises(ConfigError, match="ONNX form"):
        translate(Graph(symbol, {}), Writer(), "data", SIZES[0])


def test_arguments_that_no_converter_reads_are_refused():
    graph = Graph(sym.relu(X), {})
    graph.nodes()[-1].attrs["surprise"] = "1"
    with pytest.raises(ConfigError, match="surprise"):
        translate(graph, Writer(), "data", SIZES[0])
