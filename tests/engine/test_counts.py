"""Confusion and borders together; what is undefined is null in JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mxnetseg.boundary import BoundaryCounts
from mxnetseg.engine.counts import Counts
from mxnetseg.metrics import ConfusionMatrix

NAMES = ["a", "b", "c", "d"]


def pair(seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(-1, 3, (20, 30)), draw.integers(0, 3, (20, 30))


@pytest.mark.parametrize("boundary", [True, False])
def test_figures_are_those_of_their_parts(boundary):
    counts, own, borders = Counts.start(4, [1], boundary), ConfusionMatrix(4, [1]), BoundaryCounts(4, left_out=[1])
    for one in (counts, own, borders):
        one.update(*pair())
    rows = counts.per_class(NAMES)
    if not boundary:
        assert counts.boundary is None and len(counts.arrays()) == 1
        assert counts.summary() == own.summary() and rows == own.per_class(NAMES)
        return
    assert counts.summary() == own.summary() | borders.summary()
    assert [row["BIoU"] for row in rows[:3]] == borders.iou[:3].tolist()
    assert [row["BF"] for row in rows[:3]] == borders.f_score[:3].tolist()
    assert (rows[3]["BIoU"], rows[3]["BF"]) == (None, None)


def test_arrays_hold_everything():
    """Filling them with sums gives the counts of both images: this is how workers merge."""
    parts, whole = [Counts.start(4, (), True) for _ in range(2)], Counts.start(4, (), True)
    for seed, part in enumerate(parts):
        part.update(*pair(seed))
        whole.update(*pair(seed))
    for mine, other in zip(parts[0].arrays(), parts[1].arrays(), strict=True):
        mine[...] = mine + other
    assert parts[0].as_dict(NAMES) == whole.as_dict(NAMES)


@pytest.mark.parametrize("boundary", [True, False])
def test_json_has_no_numbers_that_are_none(boundary):
    counts = Counts.start(4, (), boundary)
    text = json.dumps(counts.as_dict(NAMES), allow_nan=False)
    assert json.loads(text)["mIoU"] is None and ("mBIoU" in text) == boundary
