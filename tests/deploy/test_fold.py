"""Simplified graphs compute what the networks compute."""

import functools
import json
from collections import Counter

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, sym

from mxnetseg.deploy.fold import folded_network, model_graph, simplify
from mxnetseg.deploy.graph import Graph
from tests.deploy.nets import QUICK_EACH, lively_model
from tests.models.networks import image


def evaluate(symbol, params, data):
    """Output of a symbol for one input."""
    names = symbol.list_auxiliary_states()
    arrays = {name: mx.nd.array(value) for name, value in params.items()}
    args = {n: v for n, v in arrays.items() if n not in names} | {"data": data}
    bound = symbol.bind(mx.cpu(), args, aux_states={n: arrays[n] for n in names})
    return bound.forward(is_train=False)[0].asnumpy()


def kinds(graph):
    return [node.op for node in graph.nodes()]


def check_equal(fast, net):
    """The fast form answers as the network does, at two sizes in turn."""
    for x in (image(64, 96), image(96, 64, 2), image(64, 96)):
        expected = net.predict(x).asnumpy()
        assert np.abs(fast(x).asnumpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def normalized_convolutions(graph):
    """Convolutions of which only a batch normalisation reads."""
    readers = Counter(source for node in graph.nodes() for source, _ in node.inputs)
    sources = [node.inputs[0][0] for node in graph.nodes() if node.op == "BatchNorm"]
    return [source.name for source in sources if source.op == "Convolution" and readers[source] == 1]


@pytest.mark.parametrize("name", QUICK_EACH)
def test_simplified_networks_are_equal_at_two_sizes(name):
    net = lively_model(name)
    graph = model_graph(net)
    before = Graph(net.symbol(), {})
    assert not {"Dropout", "BlockGrad", "_copy"} & set(kinds(graph))
    assert kinds(graph).count("BatchNorm") < kinds(before).count("BatchNorm")
    assert not normalized_convolutions(graph)
    fast = folded_network(net)
    fast.hybridize(static_alloc=True, static_shape=True)
    check_equal(fast, net)


def test_clipping_is_done_inside_the_convolutions():
    net = lively_model("CIFReNet")
    assert "clip" in kinds(model_graph(net))
    fast = folded_network(net)
    assert "clip" not in kinds(Graph(fast(sym.var("data")), {}))
    check_equal(fast, net)


@functools.cache
def var(name):
    """The same node for the same name."""
    return sym.var(name)


def conv(x, weight="w", **options):
    options = {"kernel": (3, 3), "num_filter": 4, "no_bias": True} | options
    return sym.Convolution(x, weight=var(weight), name="conv", **options)


def norm(x, name="bn", **options):
    values = {k: var(f"{name}_{k}") for k in ("gamma", "beta", "moving_mean", "moving_var")}
    return sym.BatchNorm(x, **values, name=name, **options)


def folded(output, **given):
    """Graph before and after, with values drawn at random."""
    rng = np.random.default_rng(0)
    arguments, _, states = output.infer_shape(data=(1, 3, 9, 8))
    names = [*output.list_arguments(), *output.list_auxiliary_states()]
    values = {n: rng.uniform(0.5, 2, s).astype("f") for n, s in zip(names, [*arguments, *states], strict=True)}
    data = mx.nd.array(values.pop("data"))
    values |= given
    graph = simplify(Graph(output, values))
    expected = evaluate(output, values, data)
    np.testing.assert_allclose(evaluate(graph.symbol(), graph.params, data), expected, rtol=1e-5, atol=1e-5)
    return graph


@pytest.mark.parametrize("fix_gamma", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_with_and_without_bias(fix_gamma, bias):
    options = {"no_bias": False, "bias": var("b")} if bias else {}
    graph = folded(norm(conv(var("data"), **options), fix_gamma=fix_gamma, eps=0.1))
    assert kinds(graph).count("BatchNorm") == 0 and len(graph.params) == 2


def test_a_map_that_is_read_twice_keeps_its_convolution():
    x = conv(var("data"))
    assert kinds(folded(norm(x) + x)).count("BatchNorm") == 1


def test_layers_used_twice_share_their_values():
    data = var("data")
    twice = [norm(conv(x)) for x in (data, data * 2)]
    graph = folded(twice[0] + twice[1])
    assert kinds(graph).count("BatchNorm") == 0 and len(graph.params) == 2
    assert len(set(graph.symbol().get_internals().list_outputs())) == len(graph.nodes()), "names are unique"


def test_a_shared_convolution_with_two_norms_has_two_sets_of_values():
    data = var("data")
    graph = folded(norm(conv(data), "one") + norm(conv(data * 2), "other"))
    assert kinds(graph).count("BatchNorm") == 0 and len(graph.params) == 4


def test_norms_in_front_of_convolutions_stay():
    graph = folded(conv(norm(var("data"))))
    assert kinds(graph).count("BatchNorm") == 1


def test_other_outputs_of_a_node_are_left_alone():
    parts = sym.SliceChannel(sym.Dropout(var("data")), num_outputs=3, axis=1)
    graph = folded(parts[2] - parts[0])
    assert kinds(graph) == ["null", "SliceChannel", "elemwise_sub"]


SLOPES = np.array([-0.5, 0.25, 2], "f")


def prelu(x, count=1, other=None, scale=-1):
    """As `mxnetseg.models.layers.PReLU` writes it; `other` takes the place of the second x."""
    slopes = sym.reshape(sym.var("slopes", shape=(count,)), shape=(1, -1, 1, 1))
    return sym.relu(x) - sym.broadcast_mul(sym.relu((x if other is None else other) * scale), slopes)


@pytest.mark.parametrize("count", [1, 3])
def test_prelu_becomes_one_operator(count):
    graph = folded(prelu(var("data") - 1.2, count), slopes=SLOPES[:count])
    assert [kind for kind in kinds(graph) if kind != "null"] == ["_minus_scalar", "LeakyReLU"]


def test_what_looks_like_a_prelu_stays():
    data = var("data") - 1.2
    for other in (prelu(data, scale=-2), prelu(data, other=data * 2)):
        assert "LeakyReLU" not in kinds(folded(other, slopes=SLOPES[:1]))
    assert "LeakyReLU" not in kinds(folded(sym.relu(data) - data))


def residual_branches(x, count, copies=1):
    """y + f1(y) + f2(y) + ... with y = relu(x), which is computed `copies` times; MXNet keeps one of them."""
    starts = [sym.relu(x) for _ in range(copies)]
    total = starts[0]
    for k in range(count):
        total = total + sym.exp(starts[k % copies] * (-k - 1))
    return total


@pytest.mark.parametrize("copies", [1, 2])
def test_maps_with_many_readers_run(copies):
    graph = folded(residual_branches(var("data"), 12, copies))
    x = image(9, 8)
    for options in ({}, {"static_alloc": True, "static_shape": True}):
        network = gluon.SymbolBlock(graph.symbol(), sym.var("data", dtype="float32"))
        network.hybridize(**options)
        expected = evaluate(graph.symbol(), {}, x)
        np.testing.assert_allclose(network(x).asnumpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(("branches", "operator"), [(6, "elemwise_add"), (7, "add_n")])
def test_additions_stay_where_a_map_has_few_readers(branches, operator):
    symbol = folded(residual_branches(var("data"), branches)).symbol()
    written = [node["op"] for node in json.loads(symbol.tojson())["nodes"]]
    assert written.count(operator) == (1 if operator == "add_n" else branches)
