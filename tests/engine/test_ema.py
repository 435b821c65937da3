"""The averaged weights follow their definition, and are only lent to the network."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd

from mxnetseg.engine.ema import WeightAverage


@pytest.fixture
def net():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(2, in_units=2, use_bias=False), gluon.nn.BatchNorm(in_channels=2))
    net.initialize(mx.init.One(), ctx=[mx.cpu(0), mx.cpu(1)])
    return net


def weight(net):
    return [array.asnumpy() for array in net[0].weight.list_data()]


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_average_is_that_of_the_definition(net, decay):
    average, expected = WeightAverage(net, decay), 1.0
    for update in range(1, 6):
        net[0].weight.set_data(nd.full((2, 2), update**2))
        average.update(update)
        d = min(decay, (1 + update) / (10 + update))
        expected = d * expected + (1 - d) * update**2
        np.testing.assert_allclose(average.arrays["0.weight"].asnumpy(), expected, rtol=1e-6)


def test_statistics_are_the_networks_own(net):
    assert set(WeightAverage(net, 0.5).arrays) == {"0.weight", "1.gamma", "1.beta"}


@pytest.mark.parametrize("error", [None, KeyError])
def test_network_has_the_averages_for_a_while(net, error):
    average = WeightAverage(net, 0.5)
    net[0].weight.set_data(nd.full((2, 2), 5))
    try:
        with average.applied():
            assert all((array == 1).all() for array in weight(net))
            if error:
                raise error
    except KeyError:
        pass
    assert all((array == 5).all() for array in weight(net)) and len(weight(net)) == 2
    assert (average.arrays["0.weight"].asnumpy() == 1).all()


def test_stored_averages_are_copied(net):
    average = WeightAverage(net, 0.5)
    stored = {name: array + 3 for name, array in average.arrays.items()}
    average.load(stored)
    stored["0.weight"][:] = 0
    assert (average.arrays["0.weight"].asnumpy() == 4).all()
