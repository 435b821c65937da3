"""The best and worst images are found, kept small, and read again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mxnetseg.engine.examples import SIDE, ExampleKeeper, read_examples

CLASSES, PALETTE = ["a", "b"], np.array([[255, 0, 0], [0, 0, 255]], np.uint8)


def keeper(scores, size=(10, 20), count=2, labelled=True):
    """Images whose share of right pixels is given, named after it."""
    made = ExampleKeeper(CLASSES, PALETTE, count)
    for score in scores:
        label = np.zeros(size, np.int32)
        label[:, -1] = -1
        wrong = np.zeros(size, np.uint8)
        wrong[: round(size[0] * (1 - score))] = 1
        image = np.full((*size, 3), 90, np.uint8)
        made(SimpleNamespace(name=f"{score}", image=image, label=label if labelled else None), wrong)
    return made


def kept(made):
    return [(one.kind, one.name) for one in made.chosen()]


def test_best_and_worst_are_kept_in_order():
    made = keeper([0.5, 0.9, 0.1, 0.7, 0.3, 1.0])
    assert kept(made) == [("worst", "0.1"), ("worst", "0.3"), ("best", "1.0"), ("best", "0.9")]
    assert [one.score for one in made.chosen()][-2:] == pytest.approx([1.0, 0.9 / 2])


def test_no_image_is_kept_twice():
    assert kept(keeper([0.5, 0.9, 0.1])) == [("worst", "0.1"), ("worst", "0.5"), ("best", "0.9")]


def test_without_labels_the_first_are_kept():
    made = keeper([0.1, 0.2, 0.3], labelled=False)
    assert kept(made) == [("some", "0.1"), ("some", "0.2")]
    assert made.chosen()[0].label is None


def test_files_give_back_what_was_kept(tmp_path):
    made = keeper([0.2, 0.8])
    made.write(tmp_path / "examples")
    images, classes = read_examples(tmp_path / "examples")
    assert classes == [("a", (255, 0, 0)), ("b", (0, 0, 255))]
    for read, own in zip(images, made.chosen(), strict=True):
        assert (read.name, read.kind, read.score) == (own.name, own.kind, own.score)
        assert np.array_equal(read.label, own.label)
        assert np.array_equal(read.prediction, own.prediction)
        assert np.abs(read.image.astype(int) - own.image).max() <= 2


def test_writing_again_replaces_everything(tmp_path):
    keeper([0.2, 0.8, 0.5, 0.6]).write(tmp_path)
    keeper([0.3]).write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "0_image.jpg",
        "0_label.png",
        "0_prediction.png",
        "examples.json",
    ]


def test_large_images_are_kept_small():
    one = keeper([0.5], size=(400, 1600)).chosen()[0]
    assert one.image.shape == (160, SIDE, 3)
    assert one.label.shape == one.prediction.shape == (160, SIDE)


def test_a_folder_without_examples_has_none(tmp_path):
    assert read_examples(tmp_path) == ([], [])
