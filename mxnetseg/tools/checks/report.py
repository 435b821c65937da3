"""What was seen, split by split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...data.base import Sample, SegmentationDataset
from .balance import Balance
from .findings import Finding
from .samples import SampleReport

__all__ = ["Report", "SplitReport"]


@dataclass
class SplitReport:
    """What was seen in a split.

    Attributes
    ----------
    dataset : SegmentationDataset
    samples : list of SampleReport
        In the order of the data set.
    balance : Balance
    """

    dataset: SegmentationDataset
    samples: list[SampleReport]
    balance: Balance

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths that occur, sorted."""
        return sorted({s.size for s in self.samples if s.digest})

    def pairs(self) -> Iterator[tuple[Sample, SampleReport]]:
        """Every sample with what it told."""
        return zip(self.dataset.samples, self.samples, strict=True)


@dataclass
class Report:
    """Findings, and the splits that could be opened, by name."""

    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, SplitReport] = field(default_factory=dict)
