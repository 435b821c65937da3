"""DFN's loss against its definition."""

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import LossConfig
from mxnetseg.errors import ConfigError
from mxnetseg.losses import build_loss
from mxnetseg.losses.smooth_border import thick_border

LABEL = np.zeros((2, 20, 24), np.float32)
LABEL[0, :, 12:] = 2
LABEL[1, 5, 5] = -1


def scores(channels, seed):
    return np.random.default_rng(seed).normal(size=(2, channels, *LABEL.shape[1:])).astype(np.float32)


def test_borders_are_as_thick_as_the_window():
    """Three pixels on each side; pixels without class count as class 0."""
    border = thick_border(nd, nd.array(LABEL)).asnumpy()
    wanted = np.zeros_like(LABEL)
    wanted[0, :, 9:15] = 1
    assert (border == wanted).all()


@pytest.mark.parametrize("hybrid", [False, True])
def test_value_and_gradient(hybrid):
    """Cross-entropies of all scores, and a tenth of the mean focal loss of each border map."""
    loss, plain = build_loss(LossConfig(name="SmoothBorder", aux_weight=1.0), 3), build_loss(LossConfig(name="ce"), 3)
    if hybrid:
        loss.hybridize()
    label, border = nd.array(LABEL), thick_border(nd, nd.array(LABEL)).asnumpy()
    main, aux, edge = nd.array(scores(3, 0)), nd.array(scores(3, 1)), nd.array(2 * scores(1, 2))
    edge.attach_grad()
    with autograd.record():
        value = loss([main, aux, edge], label)
    value.backward()

    def focal(logits):
        p = 1 / (1 + np.exp(-logits))
        of_class = np.where(border == 1, p, 1 - p)
        return -np.where(border == 1, 0.25, 0.75) * (1 - of_class) ** 2 * np.log(of_class + 1e-4) * (LABEL >= 0)

    logits = edge.asnumpy()[:, 0].astype(np.float64)
    wanted = plain([main], label).asscalar() + plain([aux], label).asscalar() + 0.1 * focal(logits).mean()
    assert value.asscalar() == pytest.approx(wanted, rel=1e-5)
    slope = 0.1 * (focal(logits + 1e-4) - focal(logits - 1e-4)) / 2e-4 / LABEL.size
    np.testing.assert_allclose(edge.grad.asnumpy()[:, 0], slope, rtol=1e-3, atol=1e-9)


def test_reduction_is_refused():
    with pytest.raises(ConfigError, match="valid"):
        build_loss(LossConfig(name="SmoothBorder", options={"reduction": "pixels"}), 3)
