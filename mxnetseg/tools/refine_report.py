"""The page of progressive refinement: scores and pictures before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..visual import colorize, repairs
from .report import Fact, Report, picture_rows

if TYPE_CHECKING:
    from ..data import SegmentationDataset
    from ..engine.counts import Counts

__all__ = ["Compared", "Pair", "format_comparison", "refine_columns", "refine_report"]


@dataclass(frozen=True)
class Compared:
    """One way to segment the images, and what was counted of it."""

    name: str
    counts: Counts

    @property
    def scores(self) -> tuple[float, float]:
        """mIoU and mean boundary IoU, in percent."""
        metrics = self.counts.summary()
        return 100 * metrics["mIoU"], 100 * metrics["mBIoU"]


@dataclass(frozen=True)
class Pair:
    """An example: RGB uint8 image (H, W, 3), label (H, W), predictions (H, W) before and after."""

    name: str
    image: np.ndarray
    label: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def detail(self, size: tuple[int, int]) -> Pair:
        """Part of that size (height, width) in which most pixels were repaired."""
        repaired = (self.after == self.label) & (self.before != self.label)
        # Sums over all windows, from the running sums along both axes.
        total = cv2.integral(repaired.astype(np.uint8))
        (h, w), (height, width) = size, repaired.shape
        h, w = min(h, height), min(w, width)
        sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
        y, x = np.unravel_index(np.argmax(sums), sums.shape)
        window = np.s_[y : y + h, x : x + w]
        parts = (part[window] for part in (self.image, self.label, self.before, self.after))
        return Pair(f"{self.name}, part", *parts)


def refine_columns(pairs: Sequence[Pair], palette: np.ndarray, size: tuple[int, int]) -> dict[str, list[np.ndarray]]:
    """Pictures of every example, and below it of the part of it that gained most, all of one size (height, width).

    Returns
    -------
    dict of str to list of ndarray of uint8, (*size, 3)
        Image, label, prediction before and after, and what changed.
    """
    rows = [row for pair in pairs for row in (pair, pair.detail(size))]
    columns = {
        "image": [row.image for row in rows],
        "label (black: not scored)": [colorize(row.label, palette) for row in rows],
        "before": [colorize(row.before, palette) for row in rows],
        "refined": [colorize(row.after, palette) for row in rows],
        "changes (green: repaired, red: spoiled, grey: still wrong)": [
            repairs(row.label, row.before, row.after) for row in rows
        ],
    }
    return {title: [_reduced(picture, size) for picture in column] for title, column in columns.items()}


def _reduced(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


def format_comparison(compared: Sequence[Compared]) -> str:
    """Table for the terminal, percent."""
    width = max(len(line.name) for line in compared)
    lines = [f"{'':{width}}   mIoU   boundary IoU"]
    lines += [f"{line.name:{width}}  {line.scores[0]:5.1f}          {line.scores[1]:5.1f}" for line in compared]
    return "\n".join(lines)


def refine_report(
    dataset: SegmentationDataset,
    compared: Sequence[Compared],
    pairs: Sequence[Pair],
    size: tuple[int, int],
    **parts: Any,
) -> Report:
    """Collect what the page shows.

    Parameters
    ----------
    dataset : SegmentationDataset
        What was scored.
    compared : sequence of Compared
        All ways; the last one is the refined one.
    pairs : sequence of Pair
        Examples.
    size : (int, int)
        Height and width of their pictures.
    **parts
        Further attributes of :class:`.report.Report`.
    """
    columns = refine_columns(pairs, dataset.palette, size)
    names = [name for pair in pairs for name in (pair.name, f"{pair.name}, enlarged part")]
    facts = [
        Fact(line.name, f"{line.scores[0]:.1f} %", f"mIoU; boundary IoU {line.scores[1]:.1f} %") for line in compared
    ]
    return Report(
        facts=facts,
        columns=list(columns),
        pictures=picture_rows(names, columns),
        classes=[(name, tuple(map(int, color))) for name, color in zip(dataset.classes, dataset.palette, strict=True)],
        table=_per_class(dataset, compared),
        confusion=compared[-1].counts.confusion.counts,
        **parts,
    )


def _per_class(dataset: SegmentationDataset, compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """IoU of the refined way, then of the others, then boundary IoU."""
    last = compared[-1].counts.per_class(dataset.classes)
    others = [line.counts.per_class(dataset.classes) for line in compared[:-1]]
    table = []
    for k, row in enumerate(last):
        cells = {"class": row["class"], "IoU": row["IoU"]}
        cells |= {line.name: other[k]["IoU"] for line, other in zip(compared, others, strict=False)}
        table.append({**cells, "boundary IoU": row["BIoU"]})
    return table
