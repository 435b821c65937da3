"""Whether a network of lower precision is worth having: what it loses and what it gains, measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from ..metrics import ConfusionMatrix
from .calibration import CalibrationImages

__all__ = ["AGREEMENT", "POINTS", "Judgement", "Say", "Segment", "first_that_holds", "judge"]

# Largest loss of mIoU in points; smallest share of labels equal to those in float32 where there is nothing to score.
POINTS, AGREEMENT = 0.5, 0.99
# Numbers of convolutions, from the first and from the last on, that stay in float32: tried in this order.
EXCLUSIONS = ((0, 0), (0, 1), (1, 1), (2, 2))

Segment = Callable[[np.ndarray], np.ndarray]
Say = Callable[[str], object]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Judgement:
    """Comparison of a network with the same one in float32.

    Attributes
    ----------
    images : int
        Number of images.
    source : str
        Where they come from.
    agreement : float
        Share of pixels with the same class.
    miou : (float, float) or None
        Mean IoU in float32 and in the lower precision; None without labels.
    milliseconds : (float, float)
        Median time of an image, from pixels to labels: float32, lower precision.
    speedup : float
        Median of the images' ratios of the two, which run in turn.
    """

    images: int
    source: str
    agreement: float
    miou: tuple[float, float] | None
    milliseconds: tuple[float, float]
    speedup: float

    @property
    def accurate(self) -> bool:
        """Whether little enough is lost."""
        if self.miou is None:
            return self.agreement >= AGREEMENT
        return 100 * (self.miou[0] - self.miou[1]) <= POINTS

    @property
    def holds(self) -> bool:
        """Whether the lower precision is worth having."""
        return self.accurate and self.speedup > 1

    def as_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        score = ""
        if self.miou:
            before, after = (100 * value for value in self.miou)
            score = f"mIoU {after:.2f} instead of {before:.2f} ({after - before:+.2f} points), "
        before, after = self.milliseconds
        return (
            f"{score}{self.agreement:.2%} equal labels on {self.images} images ({self.source}); "
            f"{self.speedup:.2f} times as fast ({after:.0f} instead of {before:.0f} ms)"
        )


def judge(reference: Segment, candidate: Segment, images: CalibrationImages) -> Judgement:
    """Run both on every held-out image, one after the other, in alternating order.

    Parameters
    ----------
    reference, candidate : callable
        Labels (H, W) of an image, uint8 (H, W, 3): in float32, and in the lower precision.
    images : CalibrationImages
        What to run them on.
    """
    scores = [ConfusionMatrix(images.classes) for _ in range(2)]
    seconds, equal, labelled = [], [], False
    for number, (image, label) in enumerate(_warmed_up(images, reference, candidate)):
        results, times = _both(reference, candidate, image, swapped=number % 2 == 1)
        seconds.append(times)
        equal.append(float((results[0] == results[1]).mean()))
        if label is not None:
            labelled = True
            for matrix, result in zip(scores, results, strict=True):
                matrix.update(label, result)
    before, after = np.array(seconds).T
    return Judgement(
        len(equal),
        images.source,
        float(np.mean(equal)),
        (scores[0].miou, scores[1].miou) if labelled else None,
        (1e3 * float(np.median(before)), 1e3 * float(np.median(after))),
        float(np.median(before / after)),
    )


def _warmed_up(images: CalibrationImages, *segments: Segment) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Held-out images, after every network has seen the first one."""
    for number, read in enumerate(images.held_out):
        image, label = read()
        if number == 0:
            for segment in segments:
                segment(image)
        yield image, label


def _both(
    reference: Segment, candidate: Segment, image: np.ndarray, swapped: bool
) -> tuple[list[np.ndarray], list[float]]:
    """Results and seconds of both, the candidate's first where swapped."""
    results, times = [], []
    for segment in (candidate, reference) if swapped else (reference, candidate):
        start = time.perf_counter()
        results.append(segment(image))
        times.append(time.perf_counter() - start)
    return (results[::-1], times[::-1]) if swapped else (results, times)


def first_that_holds(
    make: Callable[[int, int], tuple[Made, Segment]],
    count: int,
    reference: Segment,
    images: CalibrationImages,
    say: Say,
) -> tuple[Made, Judgement] | None:
    """Leave more and more convolutions in float32 until the loss is small; None if no attempt is worth having.

    Parameters
    ----------
    make : callable
        Takes the numbers of convolutions, from the first and from the last on, that stay in float32; returns
        anything, and the network as a function from images to labels.
    count : int
        Number of convolutions; at most half of them stay in float32.
    reference : callable
        The network in float32.
    images : CalibrationImages
        What to judge by.
    say : callable
        Told the figures of every attempt.
    """
    for first, last in EXCLUSIONS:
        if 2 * (first + last) > count:
            return None
        made, segment = make(first, last)
        judgement = judge(reference, segment, images)
        kept = f"first {first} and last {last} convolutions in float32" if first or last else "every convolution"
        say(f"{kept}: {judgement}")
        if judgement.holds:
            return made, judgement
        if judgement.speedup <= 1:
            return None
    return None
