"""Average pooling to a size read at run time."""

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.models.layers import adaptive_avg_pool_like, shrunken_size
from mxnetseg.models.layers.mode import inference_graph
from mxnetseg.models.layers.pool import global_mean, weigh

SIZES = [(16, 33), (9, 4), (5, 5), (1, 3), (2, 1)]


class Pool(gluon.HybridBlock):
    """Pooling to an even fraction of the input's size."""

    def __init__(self, factor):
        super().__init__()
        self._factor = factor

    def hybrid_forward(self, F, x):
        return adaptive_avg_pool_like(F, x, shrunken_size(F, x, self._factor))


def bins(size, out):
    """Weights (out, size) of every pixel, bin by bin."""
    weights = np.zeros((out, size))
    for i in range(out):
        first, end = i * size // out, -(-(i + 1) * size // out)
        weights[i, first:end] = 1 / (end - first)
    return weights


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_shrunken_size(factor):
    for side in range(1, 200):
        got = shrunken_size(nd, nd.zeros((2, 3, side, side + 7)), factor).shape
        assert got == (2, 1, max(1, side // factor), max(1, (side + 7) // factor))


@pytest.mark.parametrize(
    "flags", [None, {}, {"static_alloc": True, "static_shape": True}], ids=["eager", "hybrid", "static"]
)
@pytest.mark.parametrize("factor", [2, 4])
def test_values_and_gradient(factor, flags):
    """One graph serves all sizes; the gradient is the transposed map."""
    net, random = Pool(factor), np.random.RandomState(0)
    if flags is not None:
        net.hybridize(**flags)
    for height, width in SIZES:
        x = nd.array(random.randn(2, 3, height, width))
        rows, columns = (bins(side, max(1, side // factor)) for side in (height, width))
        upstream = random.randn(2, 3, len(rows), len(columns))
        x.attach_grad()
        with autograd.record():
            y = net(x)
        y.backward(nd.array(upstream))
        np.testing.assert_allclose(y.asnumpy(), np.einsum("Hh,nchw,Ww->ncHW", rows, x.asnumpy(), columns), atol=1e-6)
        np.testing.assert_allclose(x.grad.asnumpy(), np.einsum("Hh,ncHW,Ww->nchw", rows, upstream, columns), atol=1e-6)


def test_bins_are_those_of_mxnet():
    """Also where there are more bins than pixels."""
    x = nd.array(np.random.RandomState(0).randn(2, 3, 11, 5))
    for out in ((4, 3), (11, 5), (7, 9)):
        got = adaptive_avg_pool_like(nd, x, nd.zeros((1, 2, *out)))
        np.testing.assert_allclose(
            got.asnumpy(), nd.contrib.AdaptiveAvgPooling2D(x, output_size=out).asnumpy(), atol=1e-6
        )


def test_global_mean_and_its_gradient():
    x = nd.random.normal(2, 1, shape=(2, 3, 7, 9))
    x.attach_grad()
    with autograd.record():
        mean = global_mean(nd, x)
    upstream = nd.random.normal(shape=mean.shape)
    mean.backward(upstream)
    np.testing.assert_allclose(mean.asnumpy(), x.asnumpy().mean((2, 3), keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(x.grad.asnumpy(), np.broadcast_to(upstream.asnumpy() / 63, x.shape), rtol=1e-6)
    with inference_graph():
        np.testing.assert_allclose(global_mean(nd, x).asnumpy(), mean.asnumpy(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 1, 4, 5), (2, 3, 4, 5)], ids=["channels", "pixels", "all"])
def test_weigh_and_its_gradients(shape):
    x, weight = nd.random.normal(shape=(2, 3, 4, 5)), nd.random.normal(shape=shape)
    for array in (x, weight):
        array.attach_grad()
    with autograd.record():
        product = weigh(nd, x, weight)
    upstream = nd.random.normal(shape=x.shape)
    product.backward(upstream)
    axes = tuple(axis for axis, length in enumerate(shape) if length != x.shape[axis])
    expected = (upstream * x).asnumpy().sum(axes, keepdims=True)
    np.testing.assert_allclose(product.asnumpy(), x.asnumpy() * weight.asnumpy(), rtol=1e-6)
    np.testing.assert_allclose(x.grad.asnumpy(), upstream.asnumpy() * weight.asnumpy(), rtol=1e-6)
    np.testing.assert_allclose(weight.grad.asnumpy(), expected, rtol=1e-4, atol=1e-5)
    with inference_graph():
        np.testing.assert_array_equal(weigh(nd, x, weight).asnumpy(), product.asnumpy())
