"""Values get into networks whatever these know of their shapes and devices."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd

from mxnetseg.engine.weights import load_strictly, values
from mxnetseg.errors import CheckpointError

X = nd.array(np.arange(12).reshape(3, 4))


def network(in_units=0, layers=1):
    net = gluon.nn.HybridSequential()
    for _ in range(layers):
        net.add(gluon.nn.Dense(3, in_units=in_units))
        in_units = 3 if in_units else 0
    return net


@pytest.fixture
def trained():
    net = network(4)
    net.initialize(mx.init.Normal(1))
    return net


@pytest.mark.parametrize("shapes", ["known", "unknown"])
@pytest.mark.parametrize("initialised", [True, False])
def test_network_computes_the_same_after_loading(trained, shapes, initialised):
    net = network(4 if shapes == "known" else 0)
    if initialised:
        net.initialize(mx.init.Zero())
    load_strictly(net, values(trained), "file", mx.cpu())
    np.testing.assert_array_equal(net(X).asnumpy(), trained(X).asnumpy())


@pytest.mark.parametrize("contexts", [mx.cpu(1), [mx.cpu(1)], [mx.cpu(0), mx.cpu(2)]])
@pytest.mark.parametrize("initialised", [True, False])
def test_network_moves_where_it_is_wanted(trained, contexts, initialised):
    net = network(4)
    if initialised:
        net.initialize()
    load_strictly(net, values(trained), "file", contexts)
    wanted = contexts if isinstance(contexts, list) else [contexts]
    for ctx in wanted:
        np.testing.assert_array_equal(net(X.as_in_context(ctx)).asnumpy(), trained(X).asnumpy())
    assert net[0].weight.list_ctx() == wanted


def test_five_names_are_enough(trained):
    with pytest.raises(CheckpointError) as caught:
        load_strictly(network(4, layers=4), values(trained), "file", mx.cpu())
    assert caught.value.found == (
        "file does not fit the network; missing: 1.bias, 1.weight, 2.bias, 2.weight, 3.bias, ... (6 in all)"
    )
    with pytest.raises(CheckpointError) as caught:
        load_strictly(network(4, layers=3), values(trained) | {"x": X}, "file", mx.cpu())
    assert caught.value.found.endswith("missing: 1.bias, 1.weight, 2.bias, 2.weight; superfluous: x")


def test_nothing_is_loaded_where_something_differs(trained):
    net = network(4)
    net.initialize(mx.init.Zero())
    arrays = values(trained)
    for wrong in ({"0.bias": nd.ones((4,))}, {"0.bias": nd.ones((3, 1))}, {"0.weight": nd.ones((3, 5))}):
        with pytest.raises(CheckpointError, match=f"differently shaped: {next(iter(wrong))}"):
            load_strictly(net, arrays | wrong, "file", mx.cpu())
    assert not net[0].weight.data().asnumpy().any()
