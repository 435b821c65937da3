"""The one resize of feature maps: values, gradients, sizes."""

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.models.layers import resize_like
from mxnetseg.models.layers.mode import inference_graph

SIZES = [((4, 5), (9, 17)), ((9, 17), (4, 5)), ((6, 7), (6, 7)), ((1, 1), (5, 3)), ((5, 3), (1, 1)), ((1, 6), (4, 1))]


class Resize(gluon.HybridBlock):
    def __init__(self, align_corners=True, inference=False):
        super().__init__()
        self._align_corners, self._inference = align_corners, inference

    def hybrid_forward(self, F, x, like):
        if self._inference:
            with inference_graph():
                return resize_like(F, x, like, self._align_corners)
        return resize_like(F, x, like, self._align_corners)


def matrix(size, out, align_corners):
    """Interpolation weights (out, size), pixel by pixel, in double precision."""
    weights = np.zeros((out, size))
    for i in range(out):
        if align_corners:
            position = i * (size - 1) / max(out - 1, 1)
        else:
            position = min(max((i + 0.5) * size / out - 0.5, 0), size - 1) if out > 1 else 0.0
        low = min(int(position), size - 1)
        weights[i, low] += 1 - (position - low)
        weights[i, min(low + 1, size - 1)] += position - low
    return weights


def expected(x, out, align_corners=True):
    rows, columns = (matrix(n, m, align_corners) for n, m in zip(x.shape[2:], out, strict=True))
    return np.einsum("Hh,nchw,Ww->ncHW", rows, x, columns)


@pytest.mark.parametrize("inference", [False, True], ids=["training", "inference"])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_values(size, out, align_corners, inference):
    x = np.random.RandomState(0).standard_normal((2, 3, *size)).astype(np.float32)
    got = Resize(align_corners, inference)(nd.array(x), nd.zeros((2, 7, *out))).asnumpy()
    np.testing.assert_allclose(got, expected(x, out, align_corners), atol=2e-6)


@pytest.mark.parametrize(
    "flags", [None, {}, {"static_alloc": True, "static_shape": True}], ids=["eager", "hybrid", "static"]
)
@pytest.mark.parametrize("align_corners", [True, False])
def test_gradient_is_the_transposed_map(align_corners, flags):
    """One graph serves all sizes, identity included, and `like` receives no gradient."""
    net, random = Resize(align_corners), np.random.RandomState(0)
    if flags is not None:
        net.hybridize(**flags)
    for size, out in SIZES:
        x, like, upstream = nd.array(random.randn(2, 3, *size)), nd.ones((2, 7, *out)), random.randn(2, 3, *out)
        x.attach_grad()
        like.attach_grad()
        with autograd.record():
            y = net(x, like)
        y.backward(nd.array(upstream))
        rows, columns = (matrix(n, m, align_corners) for n, m in zip(size, out, strict=True))
        np.testing.assert_allclose(x.grad.asnumpy(), np.einsum("Hh,ncHW,Ww->nchw", rows, upstream, columns), atol=1e-5)
        assert not like.grad.asnumpy().any()


def test_gradient_is_numerical():
    x, like = nd.array(np.random.RandomState(0).randn(1, 2, 3, 4)), nd.zeros((1, 1, 5, 6))
    x.attach_grad()
    with autograd.record():
        loss = (resize_like(nd, x, like) ** 2).sum()
    loss.backward()
    step = nd.zeros_like(x)
    step[0, 1, 2, 1] = 0.01
    ahead, behind = ((resize_like(nd, x + s, like) ** 2).sum().asscalar() for s in (step, -step))
    assert (ahead - behind) / 0.02 == pytest.approx(x.grad[0, 1, 2, 1].asscalar(), rel=1e-3)
