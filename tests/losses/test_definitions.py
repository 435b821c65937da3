"""Losses against their definitions, written out pixel by pixel in double precision."""

import numpy as np
import pytest
from losses.test_losses import WEIGHTS, K, batch, build

from mxnetseg.losses.distance import distance_maps


def jaccard(truth, wrong):
    """Jaccard loss of a set of mispredicted pixels."""
    hit = (truth & ~wrong).sum()
    return 1 - hit / (truth | wrong).sum()


def lovasz(p, label, weights):
    """Lovasz extension of the Jaccard loss: its growth as pixels become wrong in the order of their errors."""
    losses = []
    for c in np.unique(label):
        truth = label == c
        errors, total, wrong = np.abs(truth - p[:, c]), 0.0, np.zeros(len(label), bool)
        for i in np.argsort(-errors):
            before, wrong[i] = jaccard(truth, wrong), True
            total += errors[i] * (jaccard(truth, wrong) - before)
        losses.append(weights[c] * total)
    return np.mean(losses)


def tversky(p, label, weights, alpha=0.3, beta=0.7):
    losses = []
    for c in np.unique(label):
        truth = label == c
        hit, more, less = p[truth, c].sum(), p[~truth, c].sum(), (1 - p[truth, c]).sum()
        losses.append(weights[c] * (1 - (hit + 1) / (hit + alpha * more + beta * less + 1)))
    return np.mean(losses)


def dice(p, label, weights):
    y = np.eye(K)[label]
    return 1 - (2 * (weights * p * y).sum() + 1) / ((weights * (p**2 + y**2)).sum() + 1)


def smooth(p, label, weights):
    target = 0.9 * np.eye(K)[label] + 0.1 / K
    return (weights[label] * -(target * np.log(p)).sum(1)).mean()


DEFINITIONS = {"LovaszSoftmax": lovasz, "Tversky": tversky, "Dice": dice, "LabelSmoothing": smooth}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_value(name, weights):
    """Mean over images, weighted by their labelled pixels; class 3 is absent from the first image."""
    maps, label = batch(n=3)
    label[0] = label[0] * (label[0] != 3)
    x, y = maps[0].asnumpy().astype(np.float64), label.asnumpy().astype(int)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    factors = np.array(weights or [1.0] * K)
    images = [DEFINITIONS[name](p[i][:, y[i] >= 0].T, y[i][y[i] >= 0], factors) for i in range(3)]
    wanted = np.average(images, weights=(y >= 0).sum((1, 2)))
    assert float(build(name, class_weights=weights)(maps, label).asscalar()) == pytest.approx(wanted, rel=1e-5)


def reference_distances(label):
    """Level sets of one image by comparing every pixel with every other."""
    places = np.argwhere(label == label)
    maps = np.zeros((K, *label.shape))
    for c in range(K):
        inside, outside = (places[m.ravel()] for m in (label == c, (label != c) & (label >= 0)))
        if len(inside) and len(outside):
            to = [np.linalg.norm(places[:, None] - s[None], axis=2).min(1) for s in (inside, outside)]
            maps[c] = np.where((label == c).ravel(), -np.maximum(to[1] - 1, 0), to[0]).reshape(label.shape)
    return maps


def test_distance_maps():
    rng = np.random.default_rng(0)
    label = np.repeat(np.repeat(rng.integers(-1, K, (3, 3, 4)), 4, 1), 4, 2)
    label[2] = 1
    got = distance_maps(label.astype(np.float32), K)
    np.testing.assert_allclose(got, [reference_distances(image) for image in label], atol=1e-4)
    assert (got[:2] < -1).any() and not got[2].any()


def test_boundary_value():
    maps, label = batch()
    x, y = maps[0].asnumpy().astype(np.float64), label.asnumpy().astype(int)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    values = p * [reference_distances(image) for image in y] * (y >= 0)[:, None]
    wanted = values.sum() / K / (y >= 0).sum()
    assert float(build("Boundary")(maps, label).asscalar()) == pytest.approx(wanted, rel=1e-5)


def test_mixed_is_the_sum_of_its_parts():
    maps, label = batch(outputs=2)
    options = {"losses": [{"name": "focal", "options": {"gamma": 1}}, {"name": "dice", "factor": 0.3}]}
    parts = build("focal", options={"gamma": 1})(maps, label) + 0.3 * build("dice")(maps, label)
    np.testing.assert_allclose(build("mixed", options=options)(maps, label).asnumpy(), parts.asnumpy(), rtol=1e-6)
