"""Sampling at displaced positions."""

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.models.layers import warp

SIZES = [(5, 6), (4, 1), (1, 3), (1, 1)]


class Warp(gluon.HybridBlock):
    def hybrid_forward(self, F, x, flow):
        return warp(F, x, flow)


def expected(x, flow):
    """Pixel by pixel; a side of one pixel has no displacement."""
    out, (height, width) = np.zeros(x.shape), x.shape[2:]
    for n, i, j in np.ndindex(len(x), height, width):
        row = i + (flow[n, 1, i, j] if height > 1 else 0)
        column = j + (flow[n, 0, i, j] if width > 1 else 0)
        for r, c in np.ndindex(height, width):
            out[n, :, i, j] += x[n, :, r, c] * max(0, 1 - abs(r - row)) * max(0, 1 - abs(c - column))
    return out


@pytest.mark.parametrize(
    "flags", [None, {}, {"static_alloc": True, "static_shape": True}], ids=["eager", "hybrid", "static"]
)
def test_values_and_gradients(flags):
    """One graph serves all sizes; gradients against central differences."""
    net, random = Warp(), np.random.RandomState(0)
    if flags is not None:
        net.hybridize(**flags)
    for size in SIZES:
        inputs = [random.randn(2, 3, *size), random.uniform(-2, 2, (2, 2, *size))]
        x, flow = (nd.array(i) for i in inputs)
        upstream = random.randn(2, 3, *size)
        for array in (x, flow):
            array.attach_grad()
        with autograd.record():
            y = net(x, flow)
        y.backward(nd.array(upstream))
        np.testing.assert_allclose(y.asnumpy(), expected(*inputs), atol=1e-5)
        for i, array in enumerate((x, flow)):
            direction = random.randn(*array.shape)
            ends = []
            for step in (1e-6, -1e-6):
                moved = [v + step * direction if j == i else v for j, v in enumerate(inputs)]
                ends.append((expected(*moved) * upstream).sum())
            slope = (array.grad.asnumpy() * direction).sum()
            assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-3)


def test_directions():
    """Channel 0 looks to the right, channel 1 downwards."""
    x = nd.arange(12).reshape((1, 1, 3, 4))
    flow = nd.zeros((1, 2, 3, 4))
    flow[0, 0, 0, 0], flow[0, 1, 0, 1] = 1, 2
    assert warp(nd, x, flow)[0, 0, 0].asnumpy()[:2].tolist() == pytest.approx([1, 9], abs=1e-5)
