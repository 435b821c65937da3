"""Properties that hold for all inputs, tried on many drawn ones (MXNETSEG_EXAMPLES sets how many)."""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mxnetseg.config import Config, DataConfig, ScheduleConfig, load_config
from mxnetseg.data.labels import IGNORE
from mxnetseg.data.presets import build_transform
from mxnetseg.data.transforms import Geometry, apply_geometry
from mxnetseg.engine.schedule import Schedule
from mxnetseg.metrics import ConfusionMatrix

EXAMPLES = int(os.environ.get("MXNETSEG_EXAMPLES", "25"))
drawn = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)

sides, seeds = st.integers(4, 70), st.integers(0, 2**32 - 1)
unit = st.floats(0, 1)


def blocks(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of large blocks: class 1 is light, class 0 dark, and void is in between."""
    coarse = np.random.default_rng(seed).integers(-1, 2, (2, 3)).astype(np.int8)
    label = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.repeat((120 + 80 * np.where(label < 0, 0, 2 * label - 1))[..., None], 3, 2).astype(np.uint8), label


@st.composite
def augmentations(draw) -> DataConfig:
    """Any configuration of the geometric steps of the three transforms."""
    low = draw(st.floats(0.5, 1.5))
    kind = draw(st.sampled_from(["gluon", "semseg", "mmseg"]))
    augment = {"scale": (low, low + draw(unit)), "flip": draw(unit), "blur": 0}
    if kind != "semseg":
        augment["cat_max_ratio"] = draw(st.floats(0.3, 1))
    if kind == "gluon":
        augment["class_uniform"] = draw(unit)
    crop = (draw(sides), draw(sides))
    return DataConfig(transform=kind, base_size=draw(sides), crop_size=crop, augment=augment)


@drawn
@given(augmentations(), sides, sides, seeds)
def test_transforms_keep_sizes_values_and_alignment(config, height, width, seed):
    image, label = blocks(seed, height, width)
    before = image.copy(), label.copy()
    transform = build_transform(config)
    pixels, ids = transform(image, label, np.random.default_rng(seed))
    again = build_transform(config)(image, label, np.random.default_rng(seed))
    assert (image == before[0]).all() and (label == before[1]).all(), "the arguments stay as they are"
    assert pixels.shape == (*config.crop_size, 3) and ids.shape == config.crop_size
    assert np.array_equal(pixels, again[0]) and np.array_equal(ids, again[1])
    assert set(np.unique(ids)) <= set(np.unique(label)) | {IGNORE}
    assert np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 255
    # Away from borders, where images are interpolated and labels are not.
    reach = 2 * math.ceil(2.5 * max(1, config.base_size / max(height, width))) + 3
    for value, color in ((0, 40), (1, 200)):
        inside = cv2.erode((ids == value).astype(np.uint8), np.ones((reach, reach)), borderValue=0) > 0
        assert (np.abs(pixels[inside].astype(int) - color) <= 2).all()


@drawn
@given(sides, sides, sides, sides, unit, unit, seeds)
def test_mirroring_commutes_with_resizing_and_cropping(height, width, out_h, out_w, y, x, seed):
    rng = np.random.default_rng(seed)
    image, label = (
        rng.integers(0, 256, (height, width, 3), np.uint8),
        rng.integers(-1, 5, (height, width)).astype(np.int8),
    )
    crop = max(1, out_h // 2), max(1, out_w // 3)
    offset = int(y * (out_h - crop[0])), int(x * (out_w - crop[1]))
    inside = apply_geometry(image, label, Geometry((out_h, out_w), crop, offset, flip=True))
    mirrored = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(label[:, ::-1])
    outside = apply_geometry(*mirrored, Geometry((out_h, out_w), crop, offset))
    assert np.abs(inside[0].astype(int) - outside[0]).max() <= 1
    assert (inside[1] == outside[1]).all()


@st.composite
def labelled(draw) -> tuple[int, np.ndarray, np.ndarray]:
    """Classes, label and prediction."""
    classes, seed, shape = draw(st.integers(1, 30)), draw(seeds), (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    rng = np.random.default_rng(seed)
    return classes, rng.integers(-1, classes, shape), rng.integers(0, classes, shape)


def counted(classes, label, prediction):
    metric = ConfusionMatrix(classes)
    metric.update(label, prediction)
    return metric


def same(a, b):
    return all(a[k] == pytest.approx(b[k], nan_ok=True) for k in a)


@drawn
@given(labelled(), seeds)
def test_the_metric_does_not_depend_on_order_names_or_ignored_pixels(case, seed):
    classes, label, prediction = case
    metric, rng = counted(*case), np.random.default_rng(seed)
    order = rng.permutation(label.size)
    shuffled = counted(classes, label.ravel()[order], prediction.ravel()[order])
    assert (shuffled.counts == metric.counts).all()
    cut = int(rng.integers(label.size + 1))
    parts = [counted(classes, label.ravel()[p], prediction.ravel()[p]) for p in (slice(cut), slice(cut, None))]
    assert (parts[1].merge(parts[0]).counts == metric.counts).all()
    names = rng.permutation(classes)
    renamed = counted(classes, np.where(label < 0, -1, names[label]), names[prediction])
    assert np.allclose(renamed.iou[names], metric.iou, equal_nan=True) and same(renamed.summary(), metric.summary())
    metric.update(np.full(9, -1), rng.integers(0, classes, 9))
    assert (shuffled.counts == metric.counts).all()


@drawn
@given(labelled())
def test_the_metric_is_bounded_and_a_perfect_prediction_scores_1(case):
    classes, label, _ = case
    metric, perfect = counted(*case), counted(classes, label, np.maximum(label, 0))
    assert all(math.isnan(v) or 0 <= v <= 1 for v in metric.summary().values())
    assert math.isnan(metric.miou) or metric.miou_all <= metric.miou + 1e-12
    if (label >= 0).any():
        scores = perfect.summary()
        assert {scores[k] for k in ("PA", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision")} == {1.0}
        assert scores["FWIoU"] == pytest.approx(1)


rates = st.floats(1e-6, 10)


@drawn
@given(
    st.sampled_from(["poly", "cosine", "step", "linear", "constant"]),
    rates,
    unit,
    st.floats(0, 4),
    st.integers(1, 400),
    st.integers(1, 30),
    st.floats(0.1, 3),
)
def test_the_schedule_warms_up_then_never_rises(name, base, share, warmup, steps, per_epoch, power):
    target, start = base * share, base * share / 2
    values = {"name": name, "target_lr": target, "warmup_lr": start, "warmup_epochs": warmup, "power": power}
    schedule = Schedule(ScheduleConfig(**values, step_epochs=[1, 3]), base, steps, per_epoch)
    rates = [schedule(i) for i in range(steps + 1)]
    assert all(math.isfinite(rate) and 0 <= rate <= base * (1 + 1e-9) for rate in rates)
    warm, rest = rates[: schedule.warmup], rates[schedule.warmup :]
    assert warm == sorted(warm)
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(rest))
    assert schedule(-5) == rates[0] and schedule(steps + 5) == rates[-1]
    if schedule.warmup < steps and name not in ("step", "constant"):
        assert rates[schedule.warmup] == pytest.approx(base)
        assert rates[-1] == pytest.approx(target, abs=1e-12)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "yes",
        "no",
        "null",
        "~",
        "1e3",
        "0x1F",
        "1_000",
        "12:30",
        "2026-01-05",
        "- a",
        "a: b",
        "#",
        "'",
        '"',
        " x ",
        "=",
        "<<",
    ]
)
leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


@st.composite
def configurations(draw) -> Config:
    """A configuration with values in every section."""
    low = draw(st.floats(0.01, 5))
    return Config.model_validate(
        {
            "description": draw(texts),
            "aliases": draw(st.lists(texts, max_size=2)),
            "model": {"backbone": draw(st.none() | texts), "options": draw(st.dictionaries(texts, values, max_size=3))},
            "data": {
                "root": draw(st.none() | texts),
                "options": draw(st.dictionaries(texts, values, max_size=3)),
                "crop_size": draw(st.integers(1, 10**6) | st.tuples(st.integers(1, 999), st.integers(1, 999))),
                "augment": {"scale": (low, low + draw(unit)), "flip": draw(unit)},
            },
            "loss": {"class_weights": draw(st.none() | st.lists(unit, max_size=4)), "aux_weight": draw(st.lists(unit))},
            "optimizer": {"lr": draw(st.floats(1e-300, 1e300)), "clip_norm": draw(st.none() | rates)},
            "train": {"seed": draw(st.integers(0, 2**63)), "weights_dir": draw(texts)},
            "eval": {"scales": draw(st.lists(rates, max_size=4)), "flip": draw(st.booleans())},
            "log": {"name": draw(st.none() | texts), "tags": draw(st.lists(texts, max_size=3))},
        }
    )


@drawn
@given(configurations())
def test_a_configuration_survives_its_file(config):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        path.write_text(config.to_yaml(), encoding="utf-8", newline="")
        assert load_config(path) == config


@drawn
@given(texts)
def test_quoted_overrides_are_taken_literally(text):
    assume(text.isprintable())
    assert load_config(None, [f"log.name={json.dumps(text)}"]).log.name == text
