"""Boundary IoU and boundary F-score against their definitions."""

import cv2
import numpy as np
import pytest

from mxnetseg.boundary import BoundaryCounts, border_band, contours
from mxnetseg.errors import DataError


def blocks(seed, size=(40, 60), classes=3):
    small = np.random.default_rng(seed).integers(0, classes, (5, 6)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.int32)


def eroded(mask, times):
    """Pixels whose neighbourhoods stay inside of mask and image after repeated erosion by 3x3."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=times)[1:-1, 1:-1] > 0


@pytest.mark.parametrize("width", [1, 3])
def test_bands_are_what_erosion_takes_away(width):
    labels = blocks(0)
    band = border_band(labels, width)
    for k in range(3):
        mask = labels == k
        assert ((band & mask) == (mask & ~eroded(mask, width))).all()


def test_boundary_iou_by_definition():
    label, prediction = blocks(1), blocks(2)
    counts = BoundaryCounts(3, distance=0.03)
    counts.update(label, prediction)
    width = round(0.03 * np.hypot(40, 60))
    for k in range(3):
        true, found = ((m == k) & ~eroded(m == k, width) for m in (label, prediction))
        assert counts.iou[k] == pytest.approx((true & found).sum() / (true | found).sum())


def test_f_score_by_definition():
    label, prediction = blocks(1), np.roll(blocks(1), 2, axis=1)
    counts = BoundaryCounts(3, tolerance=1.5 / np.hypot(40, 60))
    counts.update(label, prediction)
    for k in range(3):
        points = [np.argwhere(contours(m) & (m == k)) for m in (label, prediction)]
        distance = np.sqrt(((points[0][:, None] - points[1][None]) ** 2).sum(axis=2))
        recall, precision = (distance.min(axis=axis) <= 1.5 for axis in (1, 0))
        wanted = 2 * recall.mean() * precision.mean() / (recall.mean() + precision.mean())
        assert counts.f_score[k] == pytest.approx(wanted)


def test_a_perfect_prediction_scores_one_and_a_shift_is_forgiven_within_the_tolerance():
    label = blocks(3)
    exact, shifted = BoundaryCounts(4), BoundaryCounts(4, tolerance=1.1 / np.hypot(40, 60))
    exact.update(label, label)
    shifted.update(label[:, :-1], label[:, 1:])
    assert exact.summary() == {"mBIoU": 1.0, "mBF": 1.0} and np.isnan(exact.iou[3]) and np.isnan(exact.f_score[3])
    assert shifted.summary()["mBF"] > 0.99 > shifted.summary()["mBIoU"]


def test_what_is_predicted_in_ignored_pixels_does_not_matter():
    label, one = blocks(4), blocks(5)
    label[10:30, 20:40] = -1
    other = one.copy()
    other[10:30, 20:40] = 2
    results = [BoundaryCounts(3) for _ in range(2)]
    for counts, prediction in zip(results, (one, other), strict=True):
        counts.update(label, prediction)
    assert (results[0].bands == results[1].bands).all() and (results[0].edges == results[1].edges).all()


def test_counts_add_up_and_classes_can_be_left_out():
    whole, parts = BoundaryCounts(3, left_out=[0]), [BoundaryCounts(3), BoundaryCounts(3)]
    for seed in range(2):
        for counts in (whole, parts[seed]):
            counts.update(blocks(seed), blocks(seed + 7))
    merged = parts[0].merge(parts[1])
    assert (merged.bands == whole.bands).all() and (merged.edges == whole.edges).all()
    assert whole.summary()["mBIoU"] == pytest.approx(merged.iou[1:].mean())


def test_different_shapes_are_refused():
    with pytest.raises(DataError, match="equal shapes"):
        BoundaryCounts(3).update(blocks(0), blocks(0)[:-1])
