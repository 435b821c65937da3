"""Inference protocols against the reference outputs, and the properties every protocol has."""

import importlib.util
import json
import math
import re
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from mxnetseg.config import EvalConfig
from mxnetseg.engine.forward import MEAN, STD, host_view
from mxnetseg.engine.inference import Predictor, run_together
from mxnetseg.engine.protocols import PROTOCOLS, describe, historical_scales
from mxnetseg.engine.scores import argmax_classes
from mxnetseg.errors import DataError


class Toy(gluon.HybridBlock):
    """Stride-4 convolution, 1x1 convolution, resize to the input."""

    def __init__(self, classes, gain=1.0):
        super().__init__()
        self.gain = gain
        self.conv1 = gluon.nn.Conv2D(8, 3, 4, 1, in_channels=3, activation="relu")
        self.conv2 = gluon.nn.Conv2D(classes, 1, in_channels=8)

    def hybrid_forward(self, F, x):
        y = self.conv2(self.conv1(x)) * self.gain
        return F.contrib.BilinearResize2D(y, F.BlockGrad(x), mode="like")


def toy(classes, tensor=None, gain=1.0):
    net = Toy(classes, gain)
    net.initialize(mx.init.Normal(0.4))
    if tensor:
        for layer, name in ((net.conv1, "toy.conv1"), (net.conv2, "toy.conv2")):
            layer.weight.set_data(mx.nd.array(tensor(f"{name}.weight", layer.weight.shape)))
            layer.bias.set_data(mx.nd.array(tensor(f"{name}.bias", layer.bias.shape)))
    return net


@pytest.fixture
def oracle(shared):
    spec = importlib.util.spec_from_file_location("formula", shared / "oracle" / "formula.py")
    formula = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(formula)

    def load(name):
        folder = shared / "oracle"
        return json.loads((folder / f"{name}.json").read_text()), dict(np.load(folder / f"{name}.npz")), formula

    return load


def raw(normalised):
    """RGB in 0..255 whose normalisation is the given (3, h, w) array."""
    return ((normalised.transpose(1, 2, 0) * STD + MEAN) * 255).astype(np.float32)


def image(h=50, w=70, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3)).astype(np.uint8)


def config(**values):
    return EvalConfig(**values)


def same_labels(got, expected, scores):
    """Equal wherever the two best scores differ by more than 1e-4."""
    best = np.sort(scores, axis=0)[-2:]
    clear = best[1] - best[0] > 1e-4 * best[1]
    return (got == expected)[clear].all() and clear.mean() > 0.9


@pytest.mark.parametrize("case", ["land_msflip", "port_ss", "pad_ss", "city_msflip"])
def test_gluon_protocol(oracle, case):
    meta, data, formula = oracle(f"data_multieval_{case}")
    settings = config(
        protocol="gluon",
        base_size=meta["base_size"],
        crop_size=meta["crop_size"],
        scales=meta["scales"],
        flip=meta["flip"],
    )
    predictor = Predictor(toy(meta["nclass"], formula.tensor), settings, (8, 8), batch=3)
    x = raw(formula.image((3, meta["h"], meta["w"]), meta["seed"]))
    scores = predictor.scores(x)
    np.testing.assert_allclose(np.log(scores), np.log(data["scores"][0]), atol=1e-4)
    assert same_labels(predictor.labels(x), data["argmax"], data["scores"][0])


@pytest.mark.parametrize("case", ["ss", "ms_pad"])
def test_slide_protocol_equals_semseg(oracle, case):
    meta, data, formula = oracle(f"data_slide_semseg_{case}")
    settings = config(
        protocol="slide", base_size=meta["base_size"], crop_size=tuple(meta["crop"]), scales=meta["scales"], flip=True
    )
    predictor = Predictor(toy(meta["nclass"], formula.tensor), settings, (8, 8))
    scores = predictor.scores(data["image"])
    np.testing.assert_allclose(scores.transpose(1, 2, 0), data["prob"], atol=1e-4)
    assert same_labels(predictor.labels(data["image"]), data["argmax"], scores)


@pytest.mark.parametrize("case", ["base", "city"])
def test_hrnet_protocols(oracle, case):
    meta, data, formula = oracle(f"data_slide_hrnet_{case}")
    settings = config(
        base_size=meta["base_size"], crop_size=tuple(meta["crop"]), scales=meta["scales"], flip=meta["flip"]
    )
    protocol = PROTOCOLS["hrnet" if case == "base" else "hrnet_city"]
    predictor = Predictor(toy(meta["nclass"], formula.tensor), settings, (8, 8), protocol=protocol)
    scores = predictor.scores(raw(formula.image((1, 3, meta["h"], meta["w"]), meta["seed"])[0]))
    np.testing.assert_allclose(scores, data["scores"][0], rtol=1e-4)


@pytest.mark.parametrize("protocol", ["whole", "slide", "gluon", "mmseg", "mmseg_slide"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [[1.0], [0.75, 1.5]])
@pytest.mark.parametrize("size", [(50, 70), (70, 50), (9, 120)])
def test_labels_are_the_argmax_of_the_scores(protocol, flip, scales, size):
    predictor = Predictor(toy(4), config(protocol=protocol, flip=flip, scales=scales), (32, 40), divisor=16)
    x = image(*size)
    scores = predictor.scores(x)
    assert scores.shape == (4, *size)
    # Softmax rounds: pixels whose best two logits are within an ulp may fall either way.
    assert (predictor.labels(x) == scores.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("protocol", ["whole", "slide", "gluon", "mmseg", "mmseg_slide"])
@pytest.mark.parametrize("batch", [2, 5])
def test_batches_of_windows_change_nothing(protocol, batch):
    net, x = toy(4), image(60, 90)
    one, many = (Predictor(net, config(protocol=protocol, flip=True), (24, 32), batch=b) for b in (1, batch))
    np.testing.assert_allclose(one.scores(x), many.scores(x), rtol=1e-5)


def test_whole_image_without_resize_is_the_plain_network():
    net, x = toy(5), image(37, 61)
    plain = net(mx.nd.array(((x / 255.0 - MEAN) / STD).transpose(2, 0, 1)[None]))[0]
    predictor = Predictor(net, config(), (8, 8))
    assert (predictor.labels(x) == plain.asnumpy().argmax(0)).mean() > 0.999
    np.testing.assert_allclose(predictor.scores(x), plain.softmax(axis=0).asnumpy(), atol=1e-5)


@pytest.mark.parametrize("channels", [7, 8, 16])
def test_outputs_of_convolutions_are_read_in_order(channels):
    """oneDNN keeps some of them in blocks of channels."""
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(32, 3, in_channels=3), gluon.nn.Conv2D(channels, 1, in_channels=32))
    net.initialize()
    net.hybridize()
    image = mx.nd.array(np.random.default_rng(0).random((1, 3, 16, 16)))
    with mx.autograd.pause(train_mode=False):
        assert (host_view(net(image)) == net(image).asnumpy()).all()


def test_argmax_on_the_device_equals_the_one_on_the_host():
    """The branch that GPUs take, on the CPU."""
    net = toy(4)
    host, device = (Predictor(net, config(), (8, 8), divisor=16) for _ in range(2))
    device.ctx = SimpleNamespace(device_type="gpu")
    x = image(37, 61)
    labels = device.labels(x)
    assert labels.dtype == np.uint8 and (labels == host.labels(x)).all()
    device._forward.network = lambda x: x * float("inf")
    with pytest.raises(DataError):
        device.labels(x)


@pytest.mark.parametrize("size", [(200, 40), (61, 62), (10, 90)])
@pytest.mark.parametrize("flip", [False, True])
def test_labels_of_windows_need_one_row_of_windows_and_equal_the_scores(monkeypatch, size, flip):
    from mxnetseg.engine import inference

    heights = []
    original = inference.argmax_classes
    predictor = Predictor(toy(4), config(protocol="slide", flip=flip), (24, 32), batch=2)
    x = image(*size)
    expected = predictor.scores(x).argmax(0)
    monkeypatch.setattr(inference, "argmax_classes", lambda rows: heights.append(rows.shape[1]) or original(rows))
    assert (predictor.labels(x) == expected).all()
    assert sum(heights) == size[0] and max(heights) <= 24


def test_divisor_fills_up_and_cuts_back():
    seen = []

    def network(x):
        seen.append(x.shape)
        return mx.nd.concat(x, x * 2, dim=1)

    predictor = Predictor(network, config(), (8, 8), divisor=32, min_size=70)
    x = image(33, 100)
    assert predictor.labels(x).shape == (33, 100)
    assert seen == [(1, 3, 96, 128)]
    np.testing.assert_allclose(predictor.scores(x).sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize("protocol", ["whole", "slide", "mmseg", "mmseg_slide"])
@pytest.mark.parametrize("divisor", [1, 16])
def test_mirroring_is_undone(protocol, divisor):
    """A pointwise network gives the same scores with and without mirroring."""
    plain, flipped = (
        Predictor(lambda x: mx.nd.concat(x, -x, dim=1), config(protocol=protocol, flip=f), (24, 30), divisor=divisor)
        for f in (False, True)
    )
    x = image(41, 53)
    np.testing.assert_allclose(flipped.scores(x), plain.scores(x), atol=1e-6)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("size", [1, 7, 24, 25, 40, 41, 100])
@pytest.mark.parametrize("overlap", [0.0, 1 / 3, 0.9])
def test_windows_cover_every_pixel(name, size, overlap):
    windows = PROTOCOLS[name].windows(size, 24, overlap)
    assert windows.counts().min() >= 1
    assert all(a.stop - a.start == b.stop - b.start > 0 for a, b in windows.spans())
    assert windows.counts().shape == (size,)
    if PROTOCOLS[name].padding == "none":
        assert all(b == slice(0, min(size, 24)) for _, b in windows.spans())
    if PROTOCOLS[name].last_window == "shift" and size >= 24:
        assert all(b == slice(0, 24) for _, b in windows.spans())


@pytest.mark.parametrize(
    ("name", "size", "base", "scale", "expected"),
    [
        ("gluon", (100, 151), 101, 1.25, (84, 127)),
        ("gluon", (151, 100), 101, 1.25, (127, 84)),
        ("gluon", (64, 128), 2048, 1.0, (1024, 2048)),
        ("hrnet", (100, 151), 101, 1.25, (83, 126)),
        ("hrnet", (101, 202), 101, 0.5, (26, 51)),
        ("slide", (101, 202), 101, 0.5, (25, 50)),
        ("whole", (100, 150), None, 1.0, (100, 150)),
        ("whole", (100, 150), None, 0.75, (75, 112)),
        ("whole", (1, 1000), None, 0.25, (1, 250)),
    ],
)
def test_scaled_sizes_round_as_the_originals(name, size, base, scale, expected):
    assert PROTOCOLS[name].scaled(*size, base, scale) == expected


def test_strides_are_the_originals():
    assert all(
        PROTOCOLS["gluon"].windows(10 * crop, crop, 1 / 3).starts[1] == int(crop * 2 / 3) for crop in range(3, 1200)
    )
    assert PROTOCOLS["mmseg_slide"].windows(640, 64, 1 / 3).starts[1] == 42
    assert all(
        PROTOCOLS["slide"].windows(10 * crop, crop, 1 / 3).starts[1] == math.ceil(crop * 2 / 3)
        for crop in range(3, 1200)
    )


def test_overflow_of_exp_keeps_the_argmax_or_names_the_image():
    x = image(48, 64)
    settings = config(protocol="gluon")
    net = toy(4)
    plain = Predictor(net, settings, (48, 64)).labels(x)
    for gain in (40.0, 100.0):
        net.gain, net._active = gain, False
        net.hybridize(False)
        net.hybridize()
        logits = Predictor(net, config(), (48, 64)).labels(x)
        assert (logits == plain).mean() > 0.999
    net.gain = 1e9
    net.hybridize(False)
    with pytest.raises(DataError, match=r"street\.png.*overflow"):
        Predictor(net, settings, (48, 64)).labels(x, "street.png")


@pytest.mark.parametrize("offset", [-150.0, 150.0])
def test_exp_of_logits_far_from_zero_keeps_the_argmax(offset):
    plain, moved = (
        Predictor(lambda x, o=o: mx.nd.concat(x, -x, dim=1) + o, config(protocol="gluon"), (24, 24))
        for o in (0.0, offset)
    )
    x = image()
    assert (plain.labels(x) == moved.labels(x)).mean() > 0.999


@pytest.mark.parametrize("protocol", ["whole", "slide", "gluon", "mmseg", "mmseg_slide"])
def test_scores_that_are_no_numbers_name_the_image(protocol):
    predictor = Predictor(lambda x: x * float("nan"), config(protocol=protocol), (24, 24))
    with pytest.raises(DataError, match=r"a\.png"):
        predictor.labels(image(), "a.png")


def test_two_predictions_together_equal_each_alone():
    net, images = toy(4), [image(60, 90, 1), image(30, 40, 2), image(80, 20, 3)]
    predictor = Predictor(net, config(protocol="slide"), (24, 32))
    together = run_together([predictor.labels_steps(x) for x in images])
    for x, labels in zip(images, together, strict=True):
        assert (predictor.labels(x) == labels).all()


@pytest.mark.parametrize("k", [1, 2, 19, 300])
def test_argmax_takes_the_first_of_equals(k):
    scores = np.random.default_rng(0).integers(0, 4, (k, 33, 47)).astype(np.float32)
    labels, lowest = argmax_classes(scores)
    assert lowest == scores.max(0).min() and (labels == scores.argmax(0)).all()
    for value in (np.nan, np.inf):
        scores[0, 3, 4] = value
        assert np.isnan(argmax_classes(scores)[1])


def test_historical_scales_and_description():
    assert historical_scales("Cityscapes")[0] == historical_scales("CamVid")[0] == 0.75
    assert historical_scales("PascalVOC")[-1] == 1.75
    assert historical_scales("GATECH") == [0.5, 0.8, 1.0, 1.2, 1.4]
    text = describe(config(protocol="gluon", base_size=2048, scales=[0.75, 1.0], flip=True), (768, 768))
    assert text == "gluon, long side 2048, window 768x768, overlap 0.333, scales 0.75 1, mirrored too"
    assert describe(config(), (768, 768)) == "whole, image size, scales 1, not mirrored"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "all refined, 75% of their points, median 5, fixed selection"),
        ({"n_patches": 3, "n_points": 1000}, "3 refined per scale, 1000 points, median 5, fixed selection"),
        ({"input_size": (32, 64), "selection": "official"}, "seen at 32x64, all refined, .* official selection"),
        ({"n_patches": 0}, "coarse view alone"),
    ],
)
def test_description_of_refinement(changes, words):
    sizes = {"scales": [(64, 128), (128, 256)], "crop_size": (64, 128), "input_size": (64, 128)}
    text = describe(config(refine=sizes | changes), (1, 1))
    assert re.fullmatch(f"progressive, scales 64x128 128x256, patches 64x128, {words}", text)


@pytest.mark.parametrize("protocol", ["whole", "slide", "mmseg_slide"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_forwards_are_counted_before_they_are_made(protocol, flip, batch):
    calls = []

    def network(x):
        calls.append(x.shape[0])
        return x[:, :2]

    subject = Predictor(network, config(protocol=protocol, flip=flip, scales=[0.5, 1.5]), (24, 40), batch=batch)
    subject.labels(image())
    assert subject.forwards(50, 70) == len(calls)
