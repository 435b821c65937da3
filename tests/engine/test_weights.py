"""Strict loading: whatever state parameters are in, they get exactly the tensors, where they are wanted."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from mxnetseg.engine.weights import load_strictly, values
from mxnetseg.errors import CheckpointError

ARRAYS = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.array([7, 8], np.float32)}


def network():
    """One dense layer whose inputs are not known."""
    net = nn.HybridSequential()
    net.add(nn.Dense(2))
    return net


def arrays(**changes):
    return {name: mx.nd.array(value) for name, value in {**ARRAYS, **changes}.items()}


def never_initialized(net):
    pass


def waiting_for_a_shape(net):
    net.initialize(ctx=mx.cpu(1))


def on_another_device(net):
    net.initialize(ctx=mx.cpu(1))
    net(mx.nd.ones((1, 3), ctx=mx.cpu(1)))


@pytest.mark.parametrize("prepare", [never_initialized, waiting_for_a_shape, on_another_device])
@pytest.mark.parametrize("contexts", [mx.cpu(0), [mx.cpu(0), mx.cpu(2)]], ids=["one", "two"])
def test_parameters_in_any_state_are_loaded_where_they_are_wanted(prepare, contexts):
    net = network()
    prepare(net)
    load_strictly(net, arrays(), "FILE", contexts)
    wanted = [contexts] if isinstance(contexts, mx.Context) else contexts
    for param in net.collect_params().values():
        assert param.list_ctx() == wanted
    for name, value in values(net).items():
        assert (value.asnumpy() == ARRAYS[name]).all()
    for ctx in wanted:
        assert net(mx.nd.ones((1, 3), ctx=ctx)).asnumpy().tolist() == [[10.0, 20.0]]


def test_what_does_not_fit_is_named_and_nothing_is_loaded():
    net = nn.HybridSequential()
    net.add(nn.Dense(2, in_units=3))
    net.initialize(mx.init.One())
    wrong = arrays(**{"0.weight": np.zeros((2, 4)), "1.weight": np.zeros(1)})
    del wrong["0.bias"]
    with pytest.raises(CheckpointError) as caught:
        load_strictly(net, wrong, "FILE", mx.cpu())
    found = "missing: 0.bias; superfluous: 1.weight; differently shaped: 0.weight"
    assert caught.value.found == f"FILE does not fit the network; {found}"
    assert (values(net)["0.weight"].asnumpy() == 1).all()


def test_one_row_does_not_fit_two():
    net = nn.HybridSequential()
    net.add(nn.Dense(1, in_units=3))
    with pytest.raises(CheckpointError, match=r"differently shaped: 0\.bias, 0\.weight"):
        load_strictly(net, arrays(), "FILE", mx.cpu())


@pytest.mark.parametrize(("count", "listed"), [(5, "a, b, c, d, e"), (6, "a, b, c, d, e, ... (6 in all)")])
def test_at_most_five_names_are_listed(count, listed):
    extra = dict.fromkeys("abcdef"[:count], np.zeros(1))
    with pytest.raises(CheckpointError) as caught:
        load_strictly(network(), arrays(**extra), "FILE", mx.cpu())
    assert caught.value.found == f"FILE does not fit the network; superfluous: {listed}"
