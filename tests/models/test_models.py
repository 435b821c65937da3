"""What every registered model must do."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd

from models.networks import (
    CHAOTIC,
    CLASSES,
    EACH,
    GRADIENT_STEP,
    GRADIENT_TOLERANCE,
    OUTPUT_TOLERANCE,
    SMOOTH_NORM,
    bare_model,
    gradients,
    image,
    inference_scores,
    small_model,
)
from mxnetseg.errors import DataError
from mxnetseg.registry import MODELS

STATIC = {"static_alloc": True, "static_shape": True}


def relative(a, b):
    a, b = (np.asarray(x, np.float64) for x in (a, b))  # squares of large scores overflow in float32
    return np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-12)


@pytest.mark.parametrize("name", EACH)
def test_sizes_in_one_graph(name):
    """Main and auxiliary maps have the input's size, at odd sizes and after changes; predict returns the main one."""
    net = small_model(name)
    eager = [y.asnumpy() for y in net(image(33, 50))]
    net.hybridize(**STATIC)
    step, tolerance = net.divisor, OUTPUT_TOLERANCE.get(name, 1e-5)
    for height, width in ((33, 50), (64, 32), (33, 50)):
        x = image(-(-height // step) * step, -(-width // step) * step)
        outputs = net(x)
        assert len(outputs) > 1 or not net.aux
        assert {y.shape for y in outputs} == {(1, CLASSES, *x.shape[2:])}
        assert relative(net.predict(x).asnumpy(), inference_scores(net, outputs)) < tolerance
    assert all(relative(y.asnumpy(), e) < tolerance for y, e in zip(net(image(33, 50)), eager, strict=True))


@pytest.mark.parametrize("name", EACH)
def test_gradients_are_equal_in_all_modes(name):
    """Training mode, c4 of 3x3 and 2x2 pixels: sizes at which a pooled map is resized to itself."""
    net = small_model(name, dropout=False)
    images = [image(side * net.output_stride, side * net.output_stride, batch=3) for side in (3, 2)]
    eager = [gradients(net, x) for x in images]
    net.hybridize(**STATIC)
    for x, wanted in zip(images, eager, strict=True):
        got = gradients(net, x)
        norms = {n: np.linalg.norm(gradient) for n, gradient in wanted.items()}
        least = max(1e-6, 1e-7 * max(norms.values()))  # less is rounding
        worst = max((relative(got[n], wanted[n]), n) for n in wanted if norms[n] > least)
        assert worst[0] < GRADIENT_TOLERANCE.get(name, 1e-3), worst


@pytest.mark.parametrize("name", EACH)
def test_gradient_is_numerical(name):
    """Along the gradient itself, in the static graph; group normalisation keeps the function smooth and bounded."""
    if name in CHAOTIC:
        pytest.skip("rounding outweighs every difference of the outputs")
    net = small_model(name, dropout=False, norm=SMOOTH_NORM.get(name, "gn"))
    net.freeze_bn()
    side = max(32, 2 * net.output_stride)
    x = image(side, side)
    net.hybridize(**STATIC)
    gradient = gradients(net, x)
    parameters = net._collect_params_with_prefix()
    start = {n: parameters[n].data().asnumpy() for n in gradient}
    slope = sum(float((g.astype(np.float64) ** 2).sum()) for g in gradient.values())

    def moved(step):
        """Loss and, in double precision, the weights that float32 makes of the step."""
        for n, g in gradient.items():
            parameters[n].set_data(nd.array(start[n] + step * g))
        loss = sum(float((y.asnumpy().astype(np.float64) ** 2).mean()) for y in net(x))
        return loss, {n: parameters[n].data().asnumpy().astype(np.float64) for n in gradient}

    step = GRADIENT_STEP.get(name, 1e-3) * moved(0)[0] / slope
    (ahead, high), (behind, low) = moved(step), moved(-step)
    predicted = sum(float(((high[n] - low[n]) * g).sum()) for n, g in gradient.items())
    assert ahead - behind == pytest.approx(predicted, rel=5e-2)


@pytest.mark.parametrize("name", MODELS.names())
def test_inference_has_no_auxiliary_operators(name):
    net = bare_model(name)
    names = set(net.symbol().list_inputs())
    every = set(net.collect_params())
    auxiliary = {p for name in net.auxiliary if hasattr(net, name) for p in getattr(net, name).collect_params()}
    assert names == (every - auxiliary) | {"data"} == set(net.inference.collect_params()) | {"data"}
    assert net.symbol().list_outputs() == net.inference(mx.sym.var("data")).list_outputs()
    assert len(net.symbol().list_outputs()) == 1


@pytest.mark.parametrize("name", EACH)
def test_frozen_batch_norm(name):
    """In a static training graph, statistics stay, and are used; released, they move again.

    Only means that are exactly 0 may stay: those of a map that is linear in a normalised one.
    """
    net, x = small_model(name, dropout=False), image(32, 32, batch=2)
    net.hybridize(**STATIC)
    gradients(net, x)
    statistics = {n: p for n, p in net._collect_params_with_prefix().items() if "running" in n}
    before = {n: p.data().asnumpy() for n, p in statistics.items()}
    net.freeze_bn()
    with mx.autograd.record():
        trained = net(x)
    trained[0].backward()
    assert all((p.data().asnumpy() == before[n]).all() for n, p in statistics.items())
    assert relative(inference_scores(net, trained), net.predict(x).asnumpy()) < 1e-5
    net.freeze_bn(False)
    gradients(net, x)
    still = [n for n, p in statistics.items() if (p.data().asnumpy() == before[n]).all()]
    assert all(n.endswith("mean") and not before[n].any() for n in still)
    assert len(still) < len(statistics) / 10


@pytest.mark.parametrize("name", EACH)
def test_exported_graph_needs_no_model_code(name, tmp_path):
    net = small_model(name)
    x, y = image(32, 64), image(64, 96)
    net.predict(x)
    net.inference.export(str(tmp_path / "net"))
    loaded = gluon.SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params"))
    for batch in (x, y):
        assert relative(loaded(batch).asnumpy(), net.predict(batch).asnumpy()) < 1e-6


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("norm", ["gn", "syncbn"])
def test_norms(name, norm):
    """Group normalisation trains in test_gradient_is_numerical."""
    net = small_model(name, norm=norm)
    assert np.isfinite(net.predict(image(32, 32)).asnumpy()).all()
    assert net.parameter_count() == bare_model(name).parameter_count()
    assert any("running" in n for n in net._collect_params_with_prefix()) == (norm == "syncbn")


@pytest.mark.parametrize("name", MODELS.names())
def test_names_are_the_same_in_every_process(name):
    """Parameter names do not depend on what was built before."""
    first, second = (sorted(bare_model(name).collect_params()) for _ in range(2))
    assert first == second


def test_learning_rate_groups_cover_everything_once():
    net = small_model("BiSeNetR")
    groups = net.lr_groups()
    names = [p.name for group in groups.values() for p in group]
    assert sorted(names) == sorted(net.collect_params())
    assert {p.name for p in groups["backbone"]} == set(net.backbone.collect_params())
    assert net.head_parameters() == groups["head"]


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (3, 32, 32)])
def test_wrong_input_is_explained(shape):
    net = small_model("SwiftResNet")
    for call in (net, net.predict):
        with pytest.raises(DataError, match="batch of images"):
            call(nd.zeros(shape))


def test_input_that_is_too_small_or_no_multiple_is_explained():
    net = small_model("SwiftResNet")
    net.min_size, net.divisor = 16, 8
    with pytest.raises(DataError, match="at least 16x16"):
        net(nd.zeros((1, 3, 15, 40)))
    with pytest.raises(DataError, match="pad the image to 24x40"):
        net(nd.zeros((1, 3, 20, 40)))


def test_dropblock_of_resnest():
    """Training works at any crop and drops; inference never drops, even when training ran first."""
    net = small_model("FCNResNet", backbone="resnest26", dropout=False, aux=False)
    net.hybridize()
    for size in ((32, 32), (17, 40)):
        x = image(*size)
        with mx.autograd.record():
            first, second = net(x)[0].asnumpy(), net(x)[0].asnumpy()
        assert relative(first, second) > 1e-3
        assert relative(net.predict(x).asnumpy(), net.predict(x).asnumpy()) == 0
        assert relative(net(x)[0].asnumpy(), net.predict(x).asnumpy()) < 1e-5
