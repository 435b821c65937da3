"""Attention of DANet, which is switched off in a fresh network."""

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.models.danet import ChannelAttention, SelfAttentionModule


@pytest.mark.parametrize("attention", [lambda: SelfAttentionModule(8, reduction=2), ChannelAttention])
def test_gradient_of_attention_that_is_on(attention):
    """Every parameter and the input, along the gradient itself, in a static graph."""
    block = attention()
    block.initialize()
    block.gamma.set_data(nd.array([0.5]))
    block.hybridize(static_alloc=True, static_shape=True)
    x = gluon.Parameter("x", shape=(2, 8, 3, 4))
    x.initialize()
    x.set_data(nd.array(np.random.RandomState(0).standard_normal(x.shape)))
    parameters = [x, *block.collect_params().values()]

    def loss():
        return (block(x.data()) ** 2).sum()

    with autograd.record():
        value = loss()
    value.backward()
    start, gradient = [p.data().asnumpy() for p in parameters], [p.grad().asnumpy() for p in parameters]
    assert all(np.abs(g).max() > 0 for p, g in zip(parameters, gradient, strict=True) if "bias" not in p.name)
    slope = sum((g.astype(np.float64) ** 2).sum() for g in gradient)
    values = []
    for step in (1e-3, -1e-3):
        for p, s, g in zip(parameters, start, gradient, strict=True):
            p.set_data(nd.array(s + step * g / np.sqrt(slope)))
        values.append(float(loss().asscalar()))
    assert values[0] - values[1] == pytest.approx(2e-3 * np.sqrt(slope), rel=1e-2)
