"""Modulated deformable convolution written from differentiable operators."""

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.models.layers import ModulatedDeformableConv2d
from mxnetseg.models.layers.mode import inference_graph

MODES = {"eager": None, "hybrid": {}, "static": {"static_alloc": True, "static_shape": True}}
SIZES = [(5, 7), (1, 1), (1, 6), (4, 1), (9, 3)]


def layer(spread=1.0, mode=None):
    """Two deformable groups, shifts of about `spread` pixels, also beyond the border."""
    random, net = np.random.RandomState(0), ModulatedDeformableConv2d(4, 6, groups=2)
    net.initialize()
    for parameter in net.collect_params().values():
        parameter.set_data(nd.array(random.standard_normal(parameter.shape) / 4))
    net.offset_bias.set_data(nd.array(random.standard_normal(net.offset_bias.shape) * spread))
    if MODES.get(mode) is not None:
        net.hybridize(**MODES[mode])
    return net


def image(height, width):
    return nd.array(np.random.RandomState(1).standard_normal((2, 6, height, width)))


@pytest.mark.parametrize("spread", [0, 1, 30])
@pytest.mark.parametrize("mode", MODES)
def test_equals_the_operator(mode, spread):
    """One graph serves all sizes, single pixels included."""
    net = layer(spread, mode)
    for size in SIZES:
        x = image(*size)
        with inference_graph():
            wanted = layer(spread)(x).asnumpy()
        np.testing.assert_allclose(net(x).asnumpy(), wanted, atol=2e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(5, 7), (1, 4)])
def test_gradient_is_numerical(mode, size):
    """With respect to the input and every parameter; the differences are those of MXNet's operator."""
    net, reference, x = layer(mode=mode), layer(), image(*size)
    upstream = nd.array(np.random.RandomState(2).standard_normal((2, 4, *size)))
    x.attach_grad()
    with autograd.record():
        loss = (net(x) * upstream).sum()
    loss.backward()
    gradients = [x.grad, *(p.grad() for p in net.collect_params().values())]
    x = x.detach()
    values = [x, *(p.data() for p in reference.collect_params().values())]

    def moved(value, index, step):
        """Loss after a step of one element; small, because the function has kinks where a shift is a whole number."""
        start, value[index] = value[index].copy(), value[index] + step
        with inference_graph():
            loss = (reference(x) * upstream).sum().asscalar()
        value[index] = start
        return loss

    for value, gradient in zip(values, gradients, strict=True):
        index = np.unravel_index(np.abs(gradient.asnumpy()).argmax(), gradient.shape)
        slope = (moved(value, index, 1e-3) - moved(value, index, -1e-3)) / 2e-3
        assert gradient[index].asscalar() == pytest.approx(slope, rel=1e-2)
