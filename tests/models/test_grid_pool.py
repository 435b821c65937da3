"""Pooling over square cells, and enlargement by repetition."""

import numpy as np
import pytest
from mxnet import gluon, nd

from mxnetseg.models.layers import double_like
from mxnetseg.models.layers.grid_pool import square_grid_pool

# The last two have 2.5 and 3.5 columns at two rows.
SIZES = [(2, 3), (3, 5), (16, 33), (1, 3), (9, 2), (4, 5), (4, 7)]


class Pool(gluon.HybridBlock):
    """Pooling with a function of the cells that is not linear."""

    def __init__(self, rows):
        super().__init__()
        self._rows = rows

    def hybrid_forward(self, F, x):
        return square_grid_pool(F, x, self._rows, F.tanh)


def averages(size, cells):
    """Matrix (cells, size) of adaptive average pooling."""
    weights = np.zeros((cells, size))
    for i in range(cells):
        first, end = i * size // cells, -(-(i + 1) * size // cells)
        weights[i, first:end] = 1 / (end - first)
    return weights


def interpolation(size, out):
    """Matrix (out, size) of bilinear resizing between the centres of pixels."""
    position = np.clip((np.arange(out) + 0.5) * size / out - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(size)))


@pytest.mark.parametrize("rows", [8, 4, 2])
@pytest.mark.parametrize("hybrid", [False, True])
def test_square_grid_pool(rows, hybrid):
    net, random = Pool(rows), np.random.RandomState(0)
    if hybrid:
        net.hybridize(static_alloc=True, static_shape=True)
    for height, width in SIZES:
        x = random.randn(2, 3, height, width)
        columns = max(1, round(rows * width / height))
        cells = np.tanh(averages(height, rows) @ x @ averages(width, columns).T)
        wanted = interpolation(rows, height) @ cells @ interpolation(columns, width).T
        np.testing.assert_allclose(net(nd.array(x)).asnumpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 10), (5, 10), (6, 9), (5, 9)])
def test_double_like_takes_the_nearest_pixel(size):
    x = nd.random.normal(shape=(2, 3, 3, 5))
    rows, columns = (np.arange(out) * n // out for n, out in zip((3, 5), size, strict=True))
    wanted = x.asnumpy()[:, :, rows][..., columns]
    np.testing.assert_array_equal(double_like(nd, x, nd.zeros((1, 1, *size))).asnumpy(), wanted)
