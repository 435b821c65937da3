"""Properties that every loss has."""

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import LossConfig
from mxnetseg.errors import ConfigError
from mxnetseg.losses import build_loss
from mxnetseg.registry import LOSSES

K = 4
OPTIONS = {
    "OHEM": {"thresh": 0.5, "min_kept": 20},
    "Bootstrapped": {"loss_thresh": 0.7, "min_kept": 20},
    "JointEdge": {"segmentation": {"name": "ohem", "options": {"thresh": 0.5, "min_kept": 20}}},
    "Mixed": {"losses": [{"name": "ce"}, {"name": "lovasz", "factor": 0.5}, {"name": "boundary", "factor": 0.1}]},
}
# They choose pixels on each device alone, and a step may move a pixel across their threshold.
HARD = ("OHEM", "Bootstrapped", "JointEdge")
WEIGHTS = [1.0, 2.0, 0.0, 0.5]
STATIC = {"static_alloc": True, "static_shape": True}


def build(name, ignore=-1, **arguments):
    loss = build_loss(LossConfig(name=name, **{"options": OPTIONS.get(name, {}), **arguments}), K, ignore)
    loss.initialize()
    return loss


def batch(seed=0, n=2, outputs=1, scale=2.0):
    rng = np.random.default_rng(seed)
    maps = [nd.array(scale * rng.normal(size=(n, K, 5, 6))) for _ in range(outputs)]
    for x in maps:
        x.attach_grad()
    return maps, nd.array(rng.integers(-1, K, (n, 5, 6)))


def backward(loss, maps, label, normalizer=None):
    with autograd.record():
        value = loss(maps, label, normalizer)
    value.backward()
    return value.asnumpy(), [x.grad.asnumpy() for x in maps]


@pytest.mark.parametrize("class_weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", LOSSES.names())
def test_numerical_gradient(name, class_weights):
    loss, (maps, label) = build(name, class_weights=class_weights), batch()
    _, (gradient,) = backward(loss, maps, label)
    x = maps[0].asnumpy()
    rng = np.random.default_rng(1)
    for _ in range(5):
        direction = rng.normal(size=x.shape)
        step = 1e-2
        ends = [float(loss([nd.array(x + s * direction)], label).asscalar()) for s in (step, -step)]
        measured = (ends[0] - ends[1]) / (2 * step)
        tolerance = 0.1 if name in HARD else 5e-3
        assert measured == pytest.approx(float((gradient * direction).sum()), rel=tolerance, abs=2e-3)


@pytest.mark.parametrize("class_weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", LOSSES.names())
def test_static_graph_equals_eager(name, class_weights):
    """One graph for all sizes, numbers of images and outputs."""
    eager, static = (build(name, class_weights=class_weights) for _ in range(2))
    static.hybridize(**STATIC)
    for n in (2, 3, 1):
        maps, label = batch(n=n, seed=n, outputs=2)
        wanted, got = backward(eager, maps, label), backward(static, maps, label)
        np.testing.assert_allclose(got[0], wanted[0], rtol=1e-5)
        for a, b in zip(got[1], wanted[1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybrid"])
@pytest.mark.parametrize("name", LOSSES.names())
def test_batch_without_labels_gives_zero(name, hybridize):
    loss, (maps, label) = build(name, class_weights=WEIGHTS), batch(outputs=2)
    if hybridize:
        loss.hybridize(**STATIC)
    value, gradients = backward(loss, maps, nd.full(label.shape, -1))
    assert value == 0
    assert all((g == 0).all() for g in gradients)


@pytest.mark.parametrize("name", LOSSES.names())
def test_ignored_pixels_get_no_gradient(name):
    loss, (maps, label) = build(name), batch()
    _, (gradient,) = backward(loss, maps, label)
    ignored = np.broadcast_to(label.asnumpy()[:, None] == -1, gradient.shape)
    assert (gradient[ignored] == 0).all()
    assert np.abs(gradient[~ignored]).sum() > 0


@pytest.mark.parametrize("name", LOSSES.names())
def test_any_ignore_label(name):
    maps, label = batch()
    wanted, (gradient,) = backward(build(name), maps, label)
    got, (same,) = backward(build(name, ignore=255), maps, nd.where(label == -1, nd.full(label.shape, 255), label))
    assert got == wanted and (gradient == same).all()


@pytest.mark.parametrize("name", LOSSES.names())
def test_auxiliary_gradient_is_proportional_to_its_weight(name):
    maps, label = batch(outputs=3)
    results = [backward(build(name, aux_weight=w), maps, label) for w in ([0.2, 0.3], [0.4, 0.3])]
    (_, once), (_, twice) = results
    np.testing.assert_allclose(twice[1], 2 * once[1], rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(twice[2], once[2])
    np.testing.assert_array_equal(twice[0], once[0])
    assert np.abs(once[1]).sum() > 0


@pytest.mark.parametrize("name", [n for n in LOSSES.names() if n not in HARD])
def test_shares_of_a_batch_add_up(name):
    """Two devices with one sample each give the loss and the gradients of one device with both."""
    loss, (maps, label) = build(name, aux_weight=0.5, class_weights=WEIGHTS), batch(outputs=2)
    count = int((label.asnumpy() >= 0).sum())
    whole, gradients = backward(loss, maps, label)
    total = 0.0
    for i in range(2):
        share = [x[i : i + 1].copy() for x in maps]
        for x in share:
            x.attach_grad()
        value, parts = backward(loss, share, label[i : i + 1], count)
        total += value
        for part, gradient in zip(parts, gradients, strict=True):
            np.testing.assert_allclose(part, gradient[i : i + 1], rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(total, whole, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES.names())
def test_huge_logits_stay_finite(name):
    loss, (maps, label) = build(name), batch(scale=1e4)
    value, gradients = backward(loss, maps, label)
    assert np.isfinite(value).all()
    assert all(np.isfinite(g).all() for g in gradients)


def test_saturated_wrong_pixel_keeps_its_gradient():
    """A wrong class that is certain to float precision still has gradient softmax - onehot."""
    x = nd.zeros((1, K, 1, 1))
    x[0, 0] = 500
    x.attach_grad()
    _, (gradient,) = backward(build("CrossEntropy"), [x], nd.full((1, 1, 1), 2))
    np.testing.assert_allclose(gradient.ravel(), [1, 0, -1, 0], atol=1e-5)


def test_integer_and_float_labels_agree():
    loss, (maps, label) = build("CrossEntropy"), batch()
    assert loss(maps, label.astype("int32")).asscalar() == loss(maps, label).asscalar()


def reference_ohem(ce, valid, thresh, count):
    losses = np.sort(ce[valid])[::-1]
    hard = losses[losses > -np.log(thresh)]
    kept = hard if len(hard) >= count else losses[:count]
    return kept.mean() if len(kept) else 0.0


@pytest.mark.parametrize("min_kept", [0, 5, 20, 1000, 0.0625, 0.5, 1e-4])
@pytest.mark.parametrize("thresh", [0.7, 0.05, 1e-9])
def test_ohem_keeps_the_hard_pixels(thresh, min_kept):
    maps, label = batch(n=3)
    x, y = maps[0].asnumpy().astype(np.float64), label.asnumpy().astype(int)
    ce = np.log(np.exp(x).sum(1)) - np.take_along_axis(x, np.maximum(y, 0)[:, None], 1)[:, 0]
    count = min_kept if min_kept >= 1 else int(np.float32((y >= 0).sum()) * min_kept)
    value, _ = backward(build("OHEM", options={"thresh": thresh, "min_kept": min_kept}), maps, label)
    assert float(value[0]) == pytest.approx(reference_ohem(ce, y >= 0, thresh, count), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["CrossEntropy", "LabelSmoothing", "Focal", *HARD])
def test_class_weights_scale_their_pixels(name):
    maps, label = batch()
    _, (plain,) = backward(build(name), maps, label)
    _, (weighted,) = backward(build(name, class_weights=WEIGHTS), maps, label)
    factor = np.array(WEIGHTS)[np.maximum(label.asnumpy().astype(int), 0)][:, None]
    np.testing.assert_allclose(weighted, plain * factor, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES.names())
def test_class_weights_of_one_change_nothing(name):
    maps, label = batch()
    wanted, (gradient,) = backward(build(name), maps, label)
    got, (same,) = backward(build(name, class_weights=[1.0] * K), maps, label)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    np.testing.assert_allclose(same, gradient, rtol=1e-5, atol=1e-9)
    assert backward(build(name, class_weights=WEIGHTS), maps, label)[0] != wanted


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("ce", {"class_weights": [1.0, 2.0]}, "class_weights"),
        ("ce", {"class_weights": [1.0, -1.0, 1.0, 1.0]}, "class_weights"),
        ("ce", {"options": {"gama": 1}}, "gama"),
        ("focal", {"options": {"gamma": -1}}, "gamma"),
        ("ohem", {"options": {"thresh": 0}}, "thresh"),
        ("smoothce", {"options": {"smoothing": 1}}, "smoothing"),
        ("bootstrappedce", {"options": {"loss_thresh": -1}}, "loss_thresh"),
        ("bootstrapped", {"options": {"reduction": "pixels"}}, "Bootstrapped with reduction"),
        ("dice", {"options": {"smooth": 0}}, "smooth"),
        ("tversky", {"options": {"beta": 0}}, "beta"),
        ("mixed", {"options": {"losses": []}}, "empty"),
        ("mixed", {"options": {"losses": ["ce"]}}, "a mapping with the name"),
        ("mixed", {"options": {"losses": [{"factor": 2}]}}, "a mapping with the name"),
        ("mixed", {"options": {"losses": [{"name": "ce", "options": {"class_weights": [1.0] * K}}]}}, "class_weights"),
        ("mixed", {"options": {"losses": [{"name": "dise"}]}}, "did you mean 'Dice"),
    ],
)
def test_wrong_settings_are_named(name, arguments, word):
    with pytest.raises(ConfigError, match=word):
        build(name, **arguments)


def test_number_of_auxiliary_weights_must_fit():
    loss, (maps, label) = build("ce", aux_weight=[0.4]), batch(outputs=3)
    with pytest.raises(ConfigError, match="2 auxiliary outputs"):
        loss(maps, label)
