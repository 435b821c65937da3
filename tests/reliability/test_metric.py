"""The metric against counting pixel by pixel with Python's own integers and fractions."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from mxnetseg.metrics import ConfusionMatrix

CASES = 10_000


def random_case(rng):
    """Classes, label and prediction; often with absent classes, ignored pixels only, one class, nothing at all."""
    classes = int(rng.choice([1, 2, 3, 5, 19]))
    shape = tuple(rng.integers(0 if rng.random() < 0.05 else 1, 7, rng.choice([2, 3])))
    used = rng.integers(-1, classes, rng.integers(1, classes + 2))
    label = np.full(shape, -1) if rng.random() < 0.1 else rng.choice(used, shape)
    prediction = rng.choice(np.maximum(used, 0), shape) if rng.random() < 0.5 else rng.integers(0, classes, shape)
    kinds = rng.choice(["int8", "int16", "int32", "int64"]), rng.choice(["uint8", "int32", "uint16", "int64"])
    return classes, label.astype(kinds[0]), prediction.astype(kinds[1])


def definition(classes, pairs):
    """Metrics by their definitions, exactly; None where undefined."""

    def ratio(a, b):
        return Fraction(a, b) if b else None

    def mean(values):
        known = [v for v in values if v is not None]
        return sum(known) / Fraction(len(known)) if known else None

    hits = [pairs[c, c] for c in range(classes)]
    labelled = [sum(n for (a, _), n in pairs.items() if a == c) for c in range(classes)]
    predicted = [sum(n for (_, b), n in pairs.items() if b == c) for c in range(classes)]
    total = sum(labelled)
    iou = [ratio(h, a + b - h) for h, a, b in zip(hits, labelled, predicted, strict=True)]
    recall = [ratio(h, a) for h, a in zip(hits, labelled, strict=True)]
    precision = [ratio(h, b) for h, b in zip(hits, predicted, strict=True)]
    f_score = [
        None if p is None or r is None or p + r == 0 else 2 * p * r / (p + r)
        for p, r in zip(precision, recall, strict=True)
    ]
    return {
        "PA": ratio(sum(hits), total),
        "mIoU": mean(iou),
        "mIoU_all": sum(v or 0 for v in iou) / Fraction(classes) if total else None,
        "mAcc": mean(recall),
        "FWIoU": ratio(sum((v or 0) * n for v, n in zip(iou, labelled, strict=True)), total) if total else None,
        "mDice": mean([ratio(2 * h, a + b) for h, a, b in zip(hits, labelled, predicted, strict=True)]),
        "mFscore": mean(f_score),
        "mPrecision": mean(precision),
    }


def test_ten_thousand_random_cases_equal_the_definition():
    rng = np.random.default_rng(0)
    sums = {k: (ConfusionMatrix(k), Counter()) for k in (1, 2, 3, 5, 19)}
    kinds = Counter()
    for number in range(CASES):
        classes, label, prediction = random_case(rng)
        metric = ConfusionMatrix(classes)
        metric.update(label, prediction)
        pairs = Counter(
            (a, b) for a, b in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True) if a >= 0
        )
        assert {(a, b): n for (a, b), n in np.ndenumerate(metric.counts) if n} == pairs, number
        if number % 10 == 0:  # fractions take their time
            expected = definition(classes, pairs)
            got = {name: None if np.isnan(value) else value for name, value in metric.summary().items()}
            assert got == {n: v if v is None else pytest.approx(float(v), rel=1e-12) for n, v in expected.items()}
        kinds["ignored only"] += bool(label.size and not pairs)
        kinds["empty"] += not label.size
        kinds["one class"] += len({a for a, _ in pairs}) == 1
        kinds["absent class"] += bool(pairs) and len({a for pair in pairs for a in pair}) < classes
        sums[classes][0].merge(metric)
        sums[classes][1].update(pairs)
    for metric, pairs in sums.values():
        assert {(a, b): n for (a, b), n in np.ndenumerate(metric.counts) if n} == pairs
    assert all(kinds[kind] > 100 for kind in ("ignored only", "empty", "one class", "absent class")), kinds


def test_counts_go_on_beyond_32_bits():
    metric = ConfusionMatrix(2)
    metric.update(np.array([[0, 1]]), np.array([[0, 0]]))
    for _ in range(40):
        metric.merge(metric)
    assert metric.pixels == 2**41
    assert metric.counts.tolist() == [[2**40, 0], [2**40, 0]]
    assert metric.pixel_accuracy == 0.5
    assert metric.iou[0] == 0.5
