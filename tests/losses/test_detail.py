"""Guidance by details."""

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import LossConfig
from mxnetseg.errors import ConfigError
from mxnetseg.losses import build_loss
from mxnetseg.losses.detail import detail_map


def wanted_map(label):
    """Laplacian of the label map at strides 1 and 2, in plain loops."""
    value = np.where(label == -1, 255, label)
    height, width = value.shape
    padded = np.pad(value, 1)
    response = np.array(
        [[9 * value[y, x] - padded[y : y + 3, x : x + 3].sum() for x in range(width)] for y in range(height)]
    )
    full = response > 0
    half = full[::2, ::2].repeat(2, 0).repeat(2, 1)[:height, :width]
    return (full | half).astype(np.float32)


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_map(size):
    label = np.random.RandomState(0).randint(-1, 4, (3, *size)).repeat(3, 2)
    got = detail_map(nd, nd.array(label)).asnumpy()
    np.testing.assert_array_equal(got, [wanted_map(one) for one in label])
    assert 0 < got.mean() < 1


@pytest.mark.parametrize("hybrid", [False, True])
def test_value_and_gradient(hybrid):
    """The scores' part is that of OHEM; the detail maps' part is cross-entropy plus Dice, as written in the paper."""
    random = np.random.RandomState(1)
    label = random.randint(-1, 4, (2, 8, 10))
    scores, logits = nd.array(random.randn(2, 2, 4, 8, 10)), nd.array(random.randn(2, 1, 8, 10))
    options = {"min_kept": 20}
    loss = build_loss(LossConfig(name="DetailGuided", aux_weight=1.0, options={**options, "detail_weight": 0.5}), 4)
    plain = build_loss(LossConfig(name="OHEM", aux_weight=1.0, options=options), 4)
    if hybrid:
        loss.hybridize()
    logits.attach_grad()
    with autograd.record():
        value = loss([*scores, logits], nd.array(label))
    value.backward()
    target = np.stack([wanted_map(one) for one in label])
    p = 1 / (1 + np.exp(-logits.asnumpy()[:, 0].astype(np.float64)))
    entropy = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
    common, both = (p * target).sum((1, 2)), (p + target).sum((1, 2))
    dice = (1 - (2 * common + 1) / (both + 1)).mean()
    expected = plain(list(scores), nd.array(label)).asscalar() + 0.5 * (entropy + dice)
    assert value.asscalar() == pytest.approx(expected, rel=1e-5)
    assert np.linalg.norm(logits.grad.asnumpy()) > 0
    assert loss([*scores], nd.array(label)).asscalar() == pytest.approx(plain(list(scores), nd.array(label)).asscalar())


def test_order_of_outputs_is_explained():
    loss = build_loss(LossConfig(name="DetailGuided"), 4)
    scores, detail = nd.zeros((1, 4, 4, 4)), nd.zeros((1, 1, 4, 4))
    with pytest.raises(ConfigError, match="1 channel"):
        loss([scores, detail, scores], nd.zeros((1, 4, 4)))
