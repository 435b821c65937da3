"""Normalisation, activations, DropBlock."""

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.errors import ConfigError
from mxnetseg.models.layers import Activation, ConvModule2d, DepthwiseSeparableConv2d, GroupNorm, PReLU, make_norm
from mxnetseg.models.layers.dropblock import DropBlock
from mxnetseg.models.layers.mode import inference_graph


def group_norm(x, gamma, beta, groups, epsilon=1e-5):
    grouped = x.reshape(len(x), groups, -1).astype(np.float64)
    normal = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + epsilon)
    return normal.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (728, 28), (4, 4), (37, 1), (48, 24)])
def test_group_norm(channels, groups, hybridize):
    random = np.random.RandomState(0)
    x, gamma, beta = random.randn(2, channels, 5, 3), random.rand(channels), random.randn(channels)
    layer = GroupNorm(in_channels=channels)
    layer.initialize()
    layer.gamma.set_data(nd.array(gamma))
    layer.beta.set_data(nd.array(beta))
    if hybridize:
        layer.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_allclose(layer(nd.array(x)).asnumpy(), group_norm(x, gamma, beta, groups), atol=1e-5)


@pytest.mark.parametrize("hybridize", [False, True])
def test_group_norm_finds_its_channels(hybridize):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(12, 3), GroupNorm())
    net.initialize()
    if hybridize:
        net.hybridize()
    assert net(nd.ones((1, 3, 8, 8))).shape == (1, 12, 6, 6)
    assert net[1].gamma.shape == (12,)


def test_group_norm_without_channels_says_so():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Activation("relu"), GroupNorm())
    net.initialize()
    net.hybridize()
    with pytest.raises(ConfigError, match="in_channels"):
        net(nd.ones((1, 3, 8, 8)))


def test_group_norm_gradient():
    """Through the normalisation, against central differences."""
    random = np.random.RandomState(0)
    layer, x, weight = (
        GroupNorm(num_groups=2, in_channels=6),
        nd.array(random.randn(2, 6, 3, 3)),
        random.randn(2, 6, 3, 3),
    )
    layer.initialize()
    x.attach_grad()
    with autograd.record():
        loss = (layer(x) * nd.array(weight)).sum()
    loss.backward()
    ones, step = np.ones(6), np.zeros((2, 6, 3, 3))
    step[1, 4, 2, 0] = 1e-4
    ahead, behind = ((group_norm(x.asnumpy() + s, ones, 0 * ones, 2) * weight).sum() for s in (step, -step))
    assert x.grad[1, 4, 2, 0].asscalar() == pytest.approx((ahead - behind) / 2e-4, rel=1e-3)


@pytest.mark.parametrize("hybridize", [False, True])
def test_prelu_slope_gradient(hybridize):
    """Right in hybridized graphs, between other layers: the trap of MXNet's own operator."""
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(4, 3, in_channels=3), PReLU(), gluon.nn.Conv2D(3, 1, in_channels=4))
    net.initialize(init="xavier")
    if hybridize:
        net.hybridize()
    x, slope = nd.array(np.random.RandomState(0).randn(5, 3, 6, 7)), net[1].alpha

    def loss():
        return (net(x) ** 2).sum()

    with autograd.record():
        value = loss()
    value.backward()
    gradient = slope.grad().asscalar()
    values = []
    for alpha in (0.26, 0.24):
        slope.set_data(nd.array([alpha]))
        values.append(loss().asscalar())
    assert gradient == pytest.approx((values[0] - values[1]) / 0.02, rel=1e-3)


@pytest.mark.parametrize("hybridize", [False, True])
def test_dropblock_drops_in_training_only(hybridize):
    """Whichever of the two runs first decides nothing."""
    layer = DropBlock(0.3)
    if hybridize:
        layer.hybridize()
    for shape in ((2, 4, 31, 20), (2, 4, 9, 9)):
        x = nd.ones(shape)
        with autograd.record():
            y = layer(x).asnumpy()
        assert 0 < (y == 0).mean() < 0.6
        assert y.mean() == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(layer(x).asnumpy(), x.asnumpy())


def test_dropblock_leaves_no_trace_in_inference_graphs():
    with inference_graph():
        x = nd.ones((1, 2, 3, 3))
        assert DropBlock().hybrid_forward(nd, x) is x


def test_unknown_names_are_refused():
    for build in (
        lambda: Activation("rleu"),
        lambda: make_norm("batchnorm"),
        lambda: DepthwiseSeparableConv2d(4, 4, 3, pattern="inception"),
    ):
        with pytest.raises(ConfigError):
            build()


@pytest.mark.parametrize("name", ["bn", "syncbn", "gn"])
def test_norms_are_called_bn(name):
    """Whatever the layer, its tensors carry the official names."""
    block = ConvModule2d(8, 1, norm_layer=make_norm(name, num_devices=2))
    assert {"bn.gamma", "bn.beta"} <= set(block._collect_params_with_prefix())
