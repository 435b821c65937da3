"""Progressive refinement: its operations and every stage of it against recorded ones."""

import json

import cv2
import numpy as np
import pytest
from mxnet import nd

from mxnetseg.config import RefineConfig
from mxnetseg.convert import build_reference, load_reference
from mxnetseg.data.datasets.cityscapes import LABEL_IDS, Cityscapes
from mxnetseg.data.datasets.deepglobe import DeepGlobe
from mxnetseg.engine.inference import run_together
from mxnetseg.engine.refine import ProgressivePredictor
from mxnetseg.engine.refine.grid import Box, grid
from mxnetseg.engine.refine.maps import certainty, crop, crop_mean, nearest, smooth
from mxnetseg.engine.refine.mosaic import Mosaic
from mxnetseg.engine.refine.points import Points
from mxnetseg.engine.refine.views import Fixed, Resized
from mxnetseg.engine.scores import argmax_classes
from mxnetseg.errors import ConfigError, DataError
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.visual import overlay


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


def error(got, wanted):
    return np.linalg.norm(np.asarray(got, np.float64) - wanted) / (np.linalg.norm(wanted) + 1e-12)


def everywhere(size):
    return tuple(np.arange(n) for n in size)


def resize_nearest(scores, size):
    return scores[np.ix_(*(nearest(n, m) for n, m in zip(scores.shape, size, strict=True)))]


class Case:
    """A recording: what it was made with, and its arrays."""

    def __init__(self, shared, harness, name):
        path = shared / "oracle" / name
        self.meta = json.loads(path.with_suffix(".json").read_text())
        self.arrays, self.formula = dict(np.load(path.with_suffix(".npz"))), harness.formula
        self.settings = self.meta.get("kwargs", self.meta)

    def state(self, prefix):
        """Weights of one of its networks, by official name."""
        gains, state = self.settings["gains"], {}
        for name, shape in self.meta["tensors"]:
            if name.startswith(f"{prefix}."):
                value = self.formula.tensor(name, shape) * np.float32(gains.get(name, 1))
                state[name.removeprefix(f"{prefix}.")] = value
        return state

    def network(self, prefix, model):
        net = build_reference("magnet", model, num_classes=self.settings["nc"])
        assert load_reference(net, self.state(prefix), "magnet").complete
        return net

    def predictor(self, observe=None):
        k = self.settings
        sizes = {name: tuple(k[key][::-1]) for name, key in (("crop_size", "crop"), ("input_size", "inp"))}
        config = RefineConfig(
            scales=[scale[::-1] for scale in k["scales"]],
            n_points=k["n_points"],
            n_patches=k["n_patches"],
            smooth_kernel=k["smooth"],
            sub_batch_size=k["sub_batch_size"],
            selection=k["semantics"],
            **sizes,
        )
        modules = [self.network(f"refine{i}", "RefinementMagNet") for i in range(k["n_ref"])]
        return ProgressivePredictor(self.network("backbone", k["model"]), modules, config, observe=observe)


@pytest.fixture
def case(shared, harness, request):
    return Case(shared, harness, request.param)


def recorded(name):
    return pytest.mark.parametrize("case", [name], indirect=True)


OPS, DATA = recorded("magnet__ops__none__5c_40x72"), recorded("data_magnet_ops")


@OPS
def test_operations(case):
    k, wanted = case.settings, case.arrays
    x = softmax(2 * case.formula.image((1, 5, 40, 72), 101))[0]
    for box, crops in zip(k["boxes"], wanted["roi"], strict=True):
        box = Box(box[1], box[0], box[3], box[2])
        assert error(crop(Fixed(x), box, (20, 32)), crops) < 2e-6
        assert crop_mean(Fixed(x[:1]), box, (20, 32)) == pytest.approx(crops[0].mean(), rel=1e-6)
    assert error(certainty(x), wanted["certainty"][0, 0]) < 1e-6
    small = resize_nearest(wanted["certainty"][0, 0], (20, 32))
    assert (small == wanted["nearest_down"][0, 0]).all()
    median = smooth(small, k["median_kernel"])
    assert (median == wanted["median"][0, 0]).all()
    assert (resize_nearest(median, (40, 72)) == wanted["nearest_up"][0, 0]).all()
    assert error(Resized(Fixed(x), (77, 79)).whole(), wanted["bilinear_false"][0]) < 2e-6
    points = Points(case.formula.image((1, 1, 40, 72), 106)[0, 0], (40, 72), k["points"]["n"])
    assert (points.take(*everywhere((40, 72))) == wanted["points"]).all()


@OPS
@pytest.mark.parametrize("selection", ["official", "fixed"])
def test_overlapping_patches(case, selection):
    boxes, chosen = grid((50, 100), (32, 64)), (0, 2, 3)
    patches = softmax(case.formula.image((4, 5, 20, 32), 102))
    mosaic = Mosaic((50, 100), [boxes[i] for i in chosen], selection == "fixed")
    for i in chosen:
        mosaic.add(patches[i])
    assert error(mosaic.whole(), case.arrays[f"ensemble_{selection}"][0]) < 1e-6
    assert (mosaic.mask(*everywhere((50, 100))) == case.arrays["ensemble_mask"]).all()


@OPS
def test_grids(case):
    for name, boxes in case.settings["grids_x0y0x1y1"].items():
        (width, height), (w, h) = ([int(n) for n in part.split("x")] for part in name.split("/"))
        assert [[b.left, b.top, b.right, b.bottom] for b in grid((height, width), (h, w))] == boxes


@DATA
def test_operations_of_the_other_recording(case):
    wanted = case.arrays
    for entry in case.meta["patch"]:
        boxes = grid(entry["scale"][::-1], entry["crop"][::-1])
        got = [[b.left, b.top, b.right, b.bottom] for b in boxes]
        assert len(got) == entry["n"] and all(box in got for box in entry["boxes"])
    assert error(certainty(wanted["prob"][0]), wanted["certainty"][0, 0]) < 1e-6
    # Recorded of half the uncertainty: a score where the refined map's certainty is 0.5 everywhere.
    assert error(smooth(0.5 * (1 - wanted["certainty"][0, 0]), 5), wanted["median5"][0, 0]) < 1e-6
    uncertain = 1 - wanted["certainty"][0, 0]
    points = Points(uncertain, uncertain.shape, wanted["point_idx"].size).take(*everywhere(uncertain.shape))
    points = np.flatnonzero(points)
    assert set(points) == set(wanted["point_idx"][0])
    assert error(wanted["prob"][0].reshape(5, -1)[:, wanted["point_idx"][0]], wanted["point_sample"][0]) < 1e-5
    corners = np.rint(wanted["ens_ratios"] * (70, 46, 70, 46)).astype(int)
    mosaic = Mosaic((46, 70), [Box(top, left, bottom, right) for left, top, right, bottom in corners], average=False)
    for patch in wanted["ens_patches"]:
        mosaic.add(patch)
    assert error(mosaic.whole(), wanted["ens_out"][0]) < 1e-6
    assert (mosaic.mask(*everywhere((46, 70))) == wanted["ens_mask"]).all()
    image = cv2.resize(wanted["image"], (128, 64))
    patches = [cv2.resize(image[np.ix_(*b.pixels)], (48, 24)) for b in grid((64, 128), (32, 64))]
    assert (np.stack(patches) == wanted["patches_128x64"]).all()


def check_stage(case, number, stage):
    """Everything recorded of one scale; maps are recorded at every `stride`-th pixel."""
    step, wanted = case.meta["stride"], {k[:-1]: v for k, v in case.arrays.items() if k.endswith(str(number))}
    assert [[b.left, b.top, b.right, b.bottom] for b in stage.boxes] == wanted["boxes"].tolist()
    assert error(stage.patch_uncertainty, wanted["patch_uncertainty"]) < 1e-5
    assert stage.selected == wanted["selected"].tolist()
    pixels = everywhere(stage.scale)
    some = tuple(index[::step] for index in pixels)
    assert error(stage.uncertainty.take(*some), wanted["uncertainty"][0]) < 1e-5
    assert error(stage.refined.take(*some), wanted["fine"][0]) < 1e-5
    assert (stage.refined.mask(*pixels) == wanted["mask"]).all()
    # Differences of probabilities: small numbers with the rounding of large ones.
    assert np.abs(stage.points.scores(*some) - wanted["error"][0, 0]).max() < 1e-5
    assert (stage.points.take(*pixels) == wanted["points"]).all()
    assert error(stage.take(*some), wanted["stage"][0]) < 1e-5


E2E = ["hrnet18-ocr__fast_fixed_19c"]
E2E_SLOW = [
    "fpn__overlap_fixed_5c",
    "fpn__overlap_official_5c",
    "hrnet18-ocr__fast_official_19c",
    "hrnet18-ocr__full_19c",
]
E2E += [pytest.param(name, marks=pytest.mark.slow) for name in E2E_SLOW]


@pytest.mark.parametrize("name", E2E)
def test_every_stage(shared, harness, name):
    case, seen = Case(shared, harness, f"magnet__e2e__{name}"), []
    step, wanted = case.meta["stride"], case.arrays

    def observe(_, image, number, stage):
        seen.append(number)
        if number:
            check_stage(case, number, stage)
        else:
            assert error(stage.whole()[:, ::step, ::step], wanted["coarse"][0]) < 1e-5

    predictor, image = case.predictor(observe), wanted["image"].astype(np.uint8)
    scores = predictor.scores(image)
    assert seen == list(range(len(case.settings["scales"])))
    assert error(scores[:, ::step, ::step], wanted["final"][0]) < 1e-5
    labels = argmax_classes(scores)[0]
    assert (labels == wanted["final_pred"]).mean() > 0.9999
    palette = {19: Cityscapes.palette, 5: DeepGlobe.palette}[len(scores)]
    picture = overlay(image, labels, palette)[..., ::-1].astype(int)
    assert (np.abs(picture - wanted["overlay_bgr"]).max(axis=2) <= 1).mean() > 0.9999


@pytest.mark.slow
def test_evaluation(shared, harness):
    case = Case(shared, harness, "magnet__testpy__hrnet18-ocr__full_19c")
    table = np.full(256, -1)
    table[list(LABEL_IDS)] = np.arange(19)
    predictor, totals = case.predictor(), {"coarse": ConfusionMatrix(19), "refined": ConfusionMatrix(19)}
    for i in range(2):
        image, label = (case.arrays[f"{kind}{i}"].astype(np.uint8) for kind in ("image", "label"))
        prediction = run_together([predictor.prediction_steps(image)])[0]
        for kind, labels in (("coarse", prediction.coarse), ("refined", prediction.labels)):
            one = ConfusionMatrix(19)
            one.update(table[label], labels)
            wanted = case.arrays[f"conf_{kind}{i}"]
            assert np.abs(one.counts - wanted).sum() <= 2e-4 * wanted.sum()
            totals[kind].merge(one)
    printed = dict(text.split(": ") for kind, text in case.settings["printed"] if kind == "write" and ": " in text)
    for kind, name in (("coarse", "Coarse IoU"), ("refined", "Refinement IoU")):
        assert f"{100 * totals[kind].miou_all:.2f}" == printed[name]


def stripes(x):
    """A network: classes by brightness."""
    grey = x.mean(axis=1, keepdims=True)
    return nd.concat(grey, -grey, dim=1) * 4


class Sum:
    """A refinement module: the sum of both inputs, twice."""

    _active = True

    def __call__(self, fine, coarse):
        return 2 * (fine + coarse)


SETTINGS = {"scales": [(8, 16), (16, 32), (40, 60)], "crop_size": (8, 16), "input_size": (8, 16), "n_points": 0.5}


def predictor(modules=None, **settings):
    return ProgressivePredictor(
        stripes, [Sum()] if modules is None else modules, RefineConfig(**{**SETTINGS, **settings})
    )


def picture(height=40, width=60):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_sub_batches_do_not_change_the_result():
    one, many = (predictor(sub_batch_size=n).scores(picture()) for n in (1, 5))
    np.testing.assert_allclose(one, many, atol=1e-6)


@pytest.mark.parametrize("n_patches", [-1, 2, 0])
def test_scores_are_probabilities_at_the_size_of_the_image(n_patches):
    scores = predictor(n_patches=n_patches).scores(picture(53, 71))
    assert scores.shape == (2, 53, 71)
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)


def test_all_points_replace_what_patches_cover():
    stages = []
    config = RefineConfig(**{**SETTINGS, "n_points": 1.0})
    net = ProgressivePredictor(stripes, [Sum()], config, observe=lambda *a: stages.append(a[-1]))
    net.scores(picture())
    last = stages[-1]
    after, refined, right = last.whole(), last.refined.whole(), last.boxes[-1].right
    assert (last.scale, right) == ((40, 60), 58)
    assert (after[..., :right] == refined[..., :right]).all()
    assert (refined[..., right:] == 0).all() and (after[..., right:].max(axis=0) >= 0.5).all()


@pytest.mark.parametrize("count", [0, 3])
def test_number_of_modules_is_checked(count):
    with pytest.raises(ConfigError, match="refinement modules for 2 scales"):
        predictor([Sum()] * count)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"smooth_kernel": 16}, "odd"),
        ({"scales": [(16, 32), (40, 60)]}, "one patch"),
        ({"scales": [(8, 16), (40, 12)]}, "smaller than the patch"),
        ({"n_patches": -2}, "n_patches"),
        ({"n_points": 0}, "n_points"),
    ],
)
def test_wrong_settings_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        RefineConfig(**{**SETTINGS, **settings})


def test_scores_that_are_not_finite_are_reported():
    net = ProgressivePredictor(lambda x: stripes(x) * np.nan, [Sum()], RefineConfig(**SETTINGS))
    with pytest.raises(DataError, match="img: the network's scores are not finite"):
        net.labels(picture(), "img")
