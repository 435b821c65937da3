"""Images that occur more than once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .findings import Finding
from .report import SplitReport

__all__ = ["leaks", "repetitions"]


def repetitions(split: SplitReport) -> Iterator[Finding]:
    """Yield images that occur twice in a split, by name or by content."""
    seen = {}
    for sample, report in split.pairs():
        path, first = str(sample.image), seen.setdefault(str(sample.image), sample)
        if first is not sample:
            yield Finding("listed-twice", path, "is named more than once", "remove the repeated lines of the list")
        elif report.digest:
            twin = seen.setdefault(report.digest, sample)
            if twin is not sample:
                cause = f"the same pixels as {twin.image}"
                yield Finding("duplicate", path, cause, "keep one of them; repeated images weigh twice")


def leaks(splits: dict[str, SplitReport], train_split: str) -> Iterator[Finding]:
    """Yield images of evaluation splits that a training split holds too."""
    training = [name for name in splits if name == train_split or name.startswith("train")]
    for first, second in product(training, [name for name in splits if name not in training]):
        if first.startswith("trainval") and second.startswith("val"):
            continue
        known = {r.digest: s.image for s, r in splits[first].pairs() if r.digest}
        for sample, report in splits[second].pairs():
            if report.digest in known:
                cause = f"is in {first} too: {known[report.digest]}"
                remedy = f"take it out of {first}; otherwise the score of {second} is too good"
                yield Finding("leak", str(sample.image), cause, remedy, second)
