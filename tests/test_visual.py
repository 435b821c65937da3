"""Pictures: what is painted where."""

import cv2
import numpy as np
import pytest

from mxnetseg import visual
from mxnetseg.metrics import ConfusionMatrix

PALETTE = np.array([[128, 64, 128], [244, 35, 232], [70, 70, 70], [0, 130, 180]], np.uint8)
CLASSES = ("road", "sidewalk", "building", "sky")


def test_colours_and_ignored_pixels():
    labels = np.array([[0, 3], [-1, 1]])
    painted = visual.colorize(labels, PALETTE)
    assert painted.dtype == np.uint8
    assert (painted[0, 0] == PALETTE[0]).all() and (painted[1, 1] == PALETTE[1]).all()
    assert (painted[1, 0] == 0).all()
    assert (visual.colorize(labels.clip(0).astype(np.uint8), PALETTE)[0, 1] == PALETTE[3]).all()
    with pytest.raises(IndexError):
        visual.colorize(np.array([[9]]), PALETTE)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_overlay_blends_and_leaves_ignored_pixels(alpha):
    image = np.full((2, 2, 3), 200, np.uint8)
    blended = visual.overlay(image, np.array([[0, -1], [3, 3]]), PALETTE, alpha)
    expected = (1 - alpha) * 200 + alpha * PALETTE[0].astype(float)
    np.testing.assert_allclose(blended[0, 0], expected, atol=1)
    assert (blended[0, 1] == 200).all()


def test_areas_are_shares_of_labelled_pixels():
    np.testing.assert_allclose(visual.areas(np.array([[0, 0, 1, -1]]), 4), [2 / 3, 1 / 3, 0, 0])


def test_legend_shows_only_the_classes_present():
    panel = visual.legend(CLASSES, PALETTE, np.array([0.25, 0.0, 0.75, 0.0]))
    colours = {tuple(c) for c in panel.reshape(-1, 3)}
    assert tuple(PALETTE[0]) in colours and tuple(PALETTE[2]) in colours
    assert tuple(PALETTE[1]) not in colours and tuple(PALETTE[3]) not in colours


@pytest.mark.parametrize("height", [24, 90, 400])
def test_legend_fits_any_height(height):
    labels = np.arange(4, dtype=np.uint8).repeat(height * 10).reshape(height, 40)
    picture = visual.with_legend(np.zeros((height, 40, 3), np.uint8), labels, CLASSES, PALETTE)
    assert picture.shape[0] == height and picture.shape[1] > 40
    assert (picture[:, :40] == 0).all()


def test_side_by_side_needs_equal_heights():
    a = np.zeros((10, 5, 3), np.uint8)
    assert visual.side_by_side([a, a, a], gap=2).shape == (10, 19, 3)
    with pytest.raises(ValueError, match="heights"):
        visual.side_by_side([a, a[:5]])


@pytest.mark.parametrize("k", [1, 4, 19, 150])
def test_confusion_and_bars_draw_any_number_of_classes(k):
    metric = ConfusionMatrix(k)
    metric.update(np.arange(k)[None], np.arange(k)[None])
    names = [f"class number {i}" for i in range(k)]
    picture = visual.confusion_picture(metric.counts, names, "a title")
    bars = visual.class_bars(metric.per_class(names), mean=0.5)
    assert picture.dtype == bars.dtype == np.uint8
    assert picture.shape[0] > 15 * k and bars.shape[0] > 20 * k
    assert (picture == (8, 48, 107)).all(axis=2).any(), "a perfect diagonal is in the darkest colour"


def test_pictures_are_written_whole_or_not_at_all(tmp_path):
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0] = 255
    visual.write_image(tmp_path / "new" / "a.png", picture)
    assert (cv2.imread(str(tmp_path / "new" / "a.png"))[..., 2] == 255).all(), "red stays red"
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OSError):
        visual.write_image(tmp_path / "b.png", picture)
    assert not list(tmp_path.glob(".*.tmp"))
