"""The transforms of semseg and mmsegmentation against recorded ones."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from mxnetseg.config import DataConfig
from mxnetseg.data import build_transform, normalize
from mxnetseg.data.color import photometric_distortion

from .conftest import mask, picture


class Recorded:
    """Draws in their recorded order."""

    def __init__(self, draws):
        self.draws = list(draws)

    def random(self):
        kind, value = self.draws.pop(0)
        assert kind == "random"
        return value

    def integers(self, low, high):
        assert self.draws[0][:3] == ["randint", low, high - 1]
        return self.draws.pop(0)[3]


class Legacy:
    """NumPy's older generator, which the original drew from."""

    def __init__(self, seed):
        state = np.random.RandomState(seed)
        self.random, self.integers, self.uniform = state.random_sample, state.randint, state.uniform


def load(shared, name):
    stem = shared / "oracle" / name
    return json.loads(stem.with_suffix(".json").read_text()), np.load(stem.with_suffix(".npz"))


def close(got, wanted, tolerance):
    """Relative to the range of the values."""
    assert np.abs(normalize(got) - wanted).max() <= tolerance * np.ptp(wanted.astype(np.float32))


def test_semseg_equals_the_original(shared):
    meta, arrays = load(shared, "data_semseg_transform")
    label = arrays["label"].astype(np.int16)
    label[label == 255] = -1
    for case in (c for c in meta["cases"] if "draws" in c):
        own = {"blur": 0.5} if case["pipeline"] == "mlmsnet" else {"blur": 0.0}
        resize = None if case["pipeline"] == "mlmsnet" else case["crop"]
        config = DataConfig(
            transform="semseg", crop_size=case["crop"], resize=resize, augment={"rotate": 10.0, "flip": 0.5, **own}
        )
        rng, stem = Recorded(case["draws"]), f"{case['pipeline']}_s{case['seed']}"
        got = build_transform(config)(arrays["image"], label, rng)
        assert not rng.draws
        assert np.array_equal(np.where(got[1] == -1, 255, got[1]), arrays[f"{stem}_label"]), stem
        close(got[0], arrays[f"{stem}_image"], 2e-3)


def test_mmsegmentation_equals_the_original(shared):
    meta, arrays = load(shared, "data_mmseg_transform")
    image = np.ascontiguousarray(arrays["image_bgr"][..., ::-1])
    label = arrays["label"].astype(np.int16)
    label[label == 255] = -1
    augment = {"cat_max_ratio": 0.75, "photometric": True, "blur": 0.0}
    transform = build_transform(DataConfig(transform="mmseg", base_size=96, crop_size=96, augment=augment))
    for case in meta["cases"]:
        stem = f"s{case['seed']}"
        crop, _ = transform.cropped(image, label, Legacy(case["numpy_seed"]))
        assert np.abs(crop[..., ::-1].astype(int) - arrays[f"{stem}_crop"]).max() <= 1, stem
        got = transform(image, label, Legacy(case["numpy_seed"]))
        assert np.array_equal(np.where(got[1] == -1, 255, got[1]), arrays[f"{stem}_label"]), stem
        close(got[0], arrays[f"{stem}_image"].transpose(2, 0, 1), 1e-3)


def test_photometric_distortion_equals_the_original(shared):
    arrays = load(shared, "data_mmseg_transform")[1]
    image = np.ascontiguousarray(arrays["image_bgr"][..., ::-1])
    names = [name for name in arrays if name.startswith("photo_only_s")]
    assert names
    for name in names:
        got = photometric_distortion(image, Legacy(int(name.rpartition("s")[2])))
        assert np.abs(got[..., ::-1].astype(int) - arrays[name]).max() <= 1, name


@pytest.mark.parametrize("transform", ["semseg", "mmseg"])
@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("crop", [(24, 40), (200, 90)])
def test_any_label_type_and_size(transform, kind, crop):
    """Types and sizes are kept, ignored pixels stay so, and what lies outside is ignored and of the mean colour."""
    augment = {"rotate": 10.0} if transform == "semseg" else {"cat_max_ratio": 0.75, "photometric": True}
    config = DataConfig(transform=transform, base_size=64, crop_size=crop, augment=augment)
    for seed in range(6):
        label = mask(seed, [0, 1, 2]).astype(kind) - kind(1)
        image, label = build_transform(config)(picture(seed), label, np.random.default_rng(seed))
        assert image.shape == (*crop, 3) and label.shape == crop and label.dtype == kind
        assert set(np.unique(label)) <= {-1, 0, 1}
        if crop[0] > 180:
            assert np.abs(normalize(image)[:, -1, -1]).max() < 1e-5 and label[-1, -1] == -1


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"augment": {"rotate": 10}}, "augment.rotate"),
        ({"resize": [10, 20]}, "resize"),
        ({"transform": "semseg", "augment": {"photometric": True}}, "augment.photometric"),
        ({"transform": "mmseg", "augment": {"class_uniform": 0.5}}, "augment.class_uniform"),
    ],
)
def test_steps_that_a_transform_lacks_are_refused(values, missing):
    with pytest.raises(ValidationError, match=f"has no {missing}"):
        DataConfig(**values)


@pytest.mark.parametrize("transform", ["gluon", "semseg", "mmseg"])
def test_scales_to_draw_from(transform):
    """The columns that a crop spans tell the scale: 32 pixels show 32, 64 or all 128 columns."""
    augment = {"scale_choices": [1.0, 0.5, 0.25], "flip": 0.0, "blur": 0.0}
    build = build_transform(DataConfig(transform=transform, base_size=128, crop_size=(16, 32), augment=augment))
    image, columns = np.zeros((64, 128, 3), np.uint8), np.tile(np.arange(128, dtype=np.int16), (64, 1))
    labels = [build(image, columns, np.random.default_rng(seed))[1] for seed in range(60)]
    spans = [int(label[0, -1] - label[0, 0]) for label in labels]
    found = [sum(abs(span - 31 * zoom) <= zoom for span in spans) for zoom in (1, 2, 4)]
    assert sum(found) == 60 and min(found) > 10
