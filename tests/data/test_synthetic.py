from __future__ import annotations

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import build_dataset, generate_synthetic
from mxnetseg.data import synthetic as module
from mxnetseg.data.scenery import CAR, CLASSES, PERSON, VOID, View
from mxnetseg.data.synthetic import render
from mxnetseg.errors import DataError

SIZE = (96, 192)


@pytest.fixture(scope="module")
def scenes():
    return [render(0, i, SIZE) for i in range(24)]


def tree(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_scenes_hold_all_classes_and_void_borders(scenes):
    assert len(CLASSES) >= 7
    shares = np.mean([np.bincount(label.ravel(), minlength=256) / label.size for _, label in scenes], 0)
    assert set(np.flatnonzero(shares)) == {*range(len(CLASSES)), VOID}
    assert (shares[: len(CLASSES)] > 0.004).all()
    assert 0.005 < shares[VOID] < 0.15


def test_scenes_are_a_function_of_seed_and_index(scenes):
    image, label = render(0, 3, SIZE)
    assert np.array_equal(image, scenes[3][0])
    assert np.array_equal(label, scenes[3][1])
    assert not np.array_equal(image, render(1, 3, SIZE)[0])
    assert len({image.tobytes() for image, _ in scenes}) == len(scenes)


def linear_score(scenes):
    """mIoU of the best linear classifier on RGB (least squares, all pixels weighted by class)."""
    pixels = np.concatenate([image[label != VOID][::3] for image, label in scenes]).astype(float) / 255
    labels = np.concatenate([label[label != VOID][::3] for _, label in scenes])
    features = np.column_stack([pixels, np.ones(len(pixels))])
    best = 0.0
    for power in (0, 0.5, 1):
        weight = np.bincount(labels).astype(float)[labels] ** -power
        targets = np.eye(len(CLASSES))[labels]
        solution = np.linalg.lstsq(features * weight[:, None] ** 0.5, targets * weight[:, None] ** 0.5, rcond=None)[0]
        guess = (features @ solution).argmax(1)
        confusion = np.bincount(labels * len(CLASSES) + guess, minlength=len(CLASSES) ** 2).reshape(len(CLASSES), -1)
        union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
        best = max(best, (np.diag(confusion) / union).mean())
    return best


def test_colour_does_not_tell_the_class(scenes):
    assert 0.05 < linear_score(scenes) < 0.35


def share(scenes, *kinds):
    return np.mean([np.isin(label, kinds) for _, label in scenes])


def test_easier_views_have_larger_things_wider_borders_and_steadier_colours(scenes):
    large = [render(0, i, SIZE, View(enlarge=2.0)) for i in range(24)]
    assert share(large, PERSON) > 1.5 * share(scenes, PERSON)
    assert share(large, CAR) > 1.5 * share(scenes, CAR)
    wide = [render(0, i, SIZE, View(border=3)) for i in range(24)]
    assert share(wide, VOID) > 2 * share(scenes, VOID)
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(wide, scenes, strict=True))
    steady = [render(0, i, SIZE, View(variety=0.2)) for i in range(24)]
    assert linear_score(steady) > linear_score(scenes) + 0.1


def test_generation_is_reproducible_and_repairs_itself(tmp_path):
    options = {"train": 3, "val": 2, "size": (48, 96), "progress": False}
    first = tree(generate_synthetic(tmp_path / "a", **options))
    assert tree(generate_synthetic(tmp_path / "b", **options)) == first
    assert len(first) == 11
    stamp = (tmp_path / "a").stat().st_mtime_ns
    generate_synthetic(tmp_path / "a", **options)
    assert (tmp_path / "a").stat().st_mtime_ns == stamp
    assert tree(generate_synthetic(tmp_path / "a", **options, seed=1)) != first
    assert tree(generate_synthetic(tmp_path / "a", **options, enlarge=1.5)) != first
    assert tree(generate_synthetic(tmp_path / "a", **options)) == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render", fail)
    with pytest.raises(KeyboardInterrupt):
        generate_synthetic(tmp_path / "a", 2, 1, (48, 96), progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["_write_splits", "os.replace"])
def test_of_two_generations_at_once_the_first_is_kept(tmp_path, monkeypatch, moment):
    root, options, first = tmp_path / "a", {"train": 1, "val": 1, "size": (48, 96), "progress": False}, []
    owner, name = (module.os, "replace") if moment == "os.replace" else (module, moment)
    original = getattr(owner, name)

    def while_another_finishes(*args):
        monkeypatch.undo()
        first.append(generate_synthetic(root, **options).stat().st_ino)
        return original(*args)

    monkeypatch.setattr(owner, name, while_another_finishes)
    assert generate_synthetic(root, **options).stat().st_ino == first[0]
    assert list(tmp_path.iterdir()) == [root]


def test_foreign_folders_are_not_touched(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(DataError, match="was not generated"):
        generate_synthetic(tmp_path, 1, 1, (48, 96), progress=False)
    assert (tmp_path / "precious").exists()


def test_building_the_data_set_generates_it(tmp_path):
    options = {"train": 2, "val": 2, "size": [48, 96], "enlarge": 1.5, "variety": 0.5, "border": 2}
    config = DataConfig(name="Synthetic", root=str(tmp_path / "s"), options=options)
    train, val = build_dataset(config, "train"), build_dataset(config, "val")
    assert (len(train), len(val)) == (2, 2)
    image, label = val.read(0)
    assert image.shape == (48, 96, 3)
    assert -1 in label
    assert label.max() < len(CLASSES)
