from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mxnetseg.config import AugmentConfig, DataConfig
from mxnetseg.data.color import gaussian_blur, jitter_color, photometric_distortion
from mxnetseg.data.transforms import (
    MEAN_COLOR,
    Geometry,
    TrainTransform,
    ValTransform,
    apply_geometry,
    denormalize,
    normalize,
    scaled_size,
)

from .conftest import mask, picture


def distance(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(scope="module")
def oracle(shared):
    stem = shared / "oracle" / "data_gluoncv_transform"
    return json.loads(stem.with_suffix(".json").read_text())["cases"], np.load(stem.with_suffix(".npz"))


def test_train_pipeline_equals_gluoncv(oracle):
    cases, arrays = oracle
    for case in (c for c in cases if c["mode"] == "train"):
        flip, long_side, x, y, blur, *radius = [draw[-1] for draw in case["draws"]]
        size, side = scaled_size(case["h"], case["w"], long_side), case["crop_size"]
        geometry = Geometry(size, (side, side), (y, x), flip < 0.5)
        source = [arrays[f"c{case['case']}_{kind}"] for kind in ("image", "label")]
        image, label = apply_geometry(source[0], source[1].astype(np.int32), geometry, (0, 0, 0), 0)
        image = gaussian_blur(image, radius[0]) if blur < 0.5 else image
        stem = f"c{case['case']}_s{case['python_random_seed']}"
        assert np.array_equal(label, arrays[f"{stem}_label"]), stem
        assert distance(image, arrays[f"{stem}_image"]) <= 1, stem


def test_val_pipeline_equals_gluoncv(oracle):
    cases, arrays = oracle
    for case in (c for c in cases if c["mode"] == "val"):
        stem = f"c{case['case']}"
        image, label = ValTransform(case["crop_size"])(arrays[f"{stem}_image"], arrays[f"{stem}_label"])
        assert np.array_equal(label, arrays[f"{stem}_val_label"])
        assert distance(image, arrays[f"{stem}_val_image"]) <= 1


def test_normalisation_equals_gluoncv(oracle):
    arrays = oracle[1]
    assert np.abs(normalize(arrays["c0_val_image"]) - arrays["c0_val_normalised"]).max() < 1e-5
    assert np.array_equal(denormalize(normalize(arrays["c0_val_image"])), arrays["c0_val_image"])


@pytest.mark.parametrize("seed", range(12))
def test_one_resampling_equals_flip_resize_crop(seed):
    rng = np.random.default_rng(seed)
    height, width, out_h, out_w = (int(v) for v in rng.integers(30, 300, 4))
    crop = (int(rng.integers(8, out_h + 1)), int(rng.integers(8, out_w + 1)))
    offset = (int(rng.integers(0, out_h - crop[0] + 1)), int(rng.integers(0, out_w - crop[1] + 1)))
    flip = bool(seed % 2)
    smooth = Image.fromarray(picture(seed, (height, width))).filter(ImageFilter.GaussianBlur(1))
    image, label = np.asarray(smooth), mask(seed, list(range(200)), (height, width))
    got = apply_geometry(image, label, Geometry((out_h, out_w), crop, offset, flip))
    step = -1 if flip else 1
    window = (slice(offset[0], offset[0] + crop[0]), slice(offset[1], offset[1] + crop[1]))
    for mine, source, method, tolerance in ((got[0], image, 2, 1), (got[1], label, 0, 0)):
        mirrored = Image.fromarray(np.ascontiguousarray(source[:, ::step]))
        expected = np.asarray(mirrored.resize((out_w, out_h), method))[window]
        assert distance(mine, expected) <= tolerance


@pytest.mark.parametrize("radius", [0.031, 0.187, 0.527, 0.777, 0.993])
def test_blur_equals_pillow(radius):
    image = np.asarray(Image.fromarray(picture(3, (60, 80))).filter(ImageFilter.GaussianBlur(1)))
    expected = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    assert distance(gaussian_blur(image, radius), expected) <= 1


@pytest.mark.parametrize("kind", [np.int32, np.int16, np.int8])
def test_small_images_are_padded_with_mean_colour_and_void(kind):
    config = DataConfig(base_size=20, crop_size=48, augment=AugmentConfig(scale=(1, 1), blur=0))
    image, label = TrainTransform(config)(picture(0), mask(0, [1, 2]).astype(kind), np.random.default_rng(0))
    assert image.shape == (48, 48, 3)
    assert label.dtype == kind
    assert (label[15:] == -1).all()
    assert set(np.unique(label[:15, :20])) == {1, 2}
    assert (image[15:] == MEAN_COLOR).all()
    assert np.abs(normalize(image)[:, 15:]).max() < 0.02


def test_draws_cover_the_configured_ranges():
    transform = TrainTransform(DataConfig(base_size=64, crop_size=[24, 40]))
    rng, label = np.random.default_rng(1), np.zeros((40, 60), np.int32)
    drawn = [transform.draw(label, rng) for _ in range(2000)]
    assert min(g.size[1] for g in drawn) == 32
    assert max(g.size[1] for g in drawn) == 128
    assert abs(np.mean([g.flip for g in drawn]) - 0.5) < 0.05
    for g in drawn:
        assert 0 <= g.offset[0] <= max(g.size[0] - 24, 0)
        assert 0 <= g.offset[1] <= max(g.size[1] - 40, 0)
    assert {g.offset[1] - (g.size[1] - 40) for g in drawn if g.size[1] > 40} >= {0}


def test_class_uniform_crops_show_rare_classes():
    label = np.zeros((200, 200), np.int32)
    label[150:156, 20:26] = 3
    shares = {}
    for share in (0.0, 1.0):
        config = DataConfig(base_size=200, crop_size=32, augment=AugmentConfig(scale=(1, 1), class_uniform=share))
        transform, rng = TrainTransform(config), np.random.default_rng(0)
        crops = [apply_geometry(picture(0, (200, 200)), label, transform.draw(label, rng))[1] for _ in range(200)]
        shares[share] = np.mean([(c == 3).any() for c in crops])
    assert shares[0.0] < 0.15
    assert 0.35 < shares[1.0] < 0.7


def test_cat_max_ratio_prefers_mixed_crops():
    label = np.zeros((100, 100), np.int32)
    label[:, 90:] = 1
    mixed = {}
    for ratio in (1.0, 0.75):
        config = DataConfig(base_size=100, crop_size=24, augment=AugmentConfig(scale=(1, 1), cat_max_ratio=ratio))
        transform, rng = TrainTransform(config), np.random.default_rng(0)
        crops = [apply_geometry(picture(0, (100, 100)), label, transform.draw(label, rng))[1] for _ in range(100)]
        mixed[ratio] = np.mean([0.25 < c.mean() < 0.75 for c in crops])
    assert mixed[0.75] > mixed[1.0] + 0.2


@pytest.mark.parametrize("change", [lambda x, r: jitter_color(x, (0.4, 0.4, 0.4, 0.1), r), photometric_distortion])
def test_colour_changes_keep_geometry_and_vary(change):
    image = np.asarray(Image.fromarray(picture(0)).filter(ImageFilter.GaussianBlur(2)))
    results = [change(image, np.random.default_rng(seed)) for seed in range(8)]
    assert all(r.shape == image.shape and r.dtype == np.uint8 for r in results)
    assert len({r.tobytes() for r in results}) >= 6
    assert np.array_equal(results[3], change(image, np.random.default_rng(3)))
