"""All splits of a data set, and what only their comparison shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product

from tqdm import tqdm

from ...config import DataConfig
from ...data.base import Sample, SegmentationDataset
from ...data.labels import IGNORE
from .balance import Balance
from .findings import Finding
from .samples import SampleReport, look_at_sample
from .sources import open_split

__all__ = ["Report", "SplitReport", "check_splits"]


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


@dataclass
class Report:
    """Findings, and the splits that could be opened, by name."""

    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, SplitReport] = field(default_factory=dict)


def check_splits(config: DataConfig, splits: list[str], workers: int = 0, progress: bool = True) -> Report:
    """Read every file of some splits.

    Parameters
    ----------
    config : DataConfig
        ``train_split`` tells in which split every class has to occur.
    splits : list of str
    workers : int
        Threads that decode (decoding releases Python's lock); 0 reads one file after the other.
    progress : bool
        Show a progress bar where the error stream is a terminal.

    Returns
    -------
    Report

    Raises
    ------
    UserError
        If the data set, a split or an option does not exist.
    """
    report = Report()
    for split in splits:
        dataset, findings = open_split(config, split)
        if dataset is not None:
            seen = _read(dataset, workers, progress)
            report.splits[split] = SplitReport(dataset, seen, Balance.of(dataset, seen))
            findings += [finding for sample in seen for finding in sample.findings]
            findings += _labels_from_1(report.splits[split]) or _missing_classes(report.splits[split], config)
            findings += _repetitions(report.splits[split])
        report.findings += [replace(finding, split=split) for finding in findings]
    first = next(iter(report.splits.values()), None)
    report.findings += [*_leaks(report.splits, config.train_split), *(_class_list(first.dataset) if first else ())]
    return report


def _read(dataset: SegmentationDataset, workers: int, progress: bool) -> list[SampleReport]:
    bar = tqdm(
        total=len(dataset), desc=f"{dataset.name} {dataset.split}", unit="img", disable=None if progress else True
    )
    seen = []
    with bar, ThreadPoolExecutor(max(1, workers), "mxnetseg-check") as pool:
        try:
            for sample in pool.map(lambda index: look_at_sample(dataset, index), range(len(dataset))):
                seen.append(sample)
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return seen


def _labels_from_1(split: SplitReport) -> list[Finding]:
    """Finding of masks that hold 1 to K where 0 to K - 1 is due."""
    dataset, last = split.dataset, split.dataset.num_classes
    values = set().union(*(sample.values.keys() for sample in split.samples))
    identity = all(dataset.id_map.get(label) == label for label in range(last))
    if not identity or 0 in values or last not in values or dataset.id_map.get(last) == IGNORE:
        return []
    cause = f"no mask holds 0, but {last} occurs, one more than the last of {last} classes"
    return [Finding("labels-from-1", str(dataset.root), cause, _renumber(dataset))]


def _renumber(dataset: SegmentationDataset) -> str:
    ids = ", ".join(f"{label + 1}: {name}" for label, name in enumerate(dataset.classes))
    return f"subtract 1 from all masks, or tell it: data.options.ids={{{ids}}}"


def _missing_classes(split: SplitReport, config: DataConfig) -> list[Finding]:
    dataset, pixels = split.dataset, split.balance.pixels
    present = [label for label, count in enumerate(pixels) if count]
    absent = [label for label, count in enumerate(pixels) if not count]
    if not split.balance.masks or not present:
        return []
    root = str(dataset.root)
    if len(present) == 1 and dataset.num_classes > 1 and split.balance.masks > 1:
        cause = f"all {split.balance.masks} masks hold {dataset.classes[present[0]]!r} only"
        return [Finding("one-class", root, cause, "look at the masks: they were probably saved empty")]
    if dataset.split != config.train_split or not absent:
        return []
    hint = _shift_hint(dataset, absent, split)
    names = ", ".join(f"{label} ({dataset.classes[label]})" for label in absent)
    remedy = hint or "check the id map, or drop the class; a network cannot learn it"
    return [Finding("absent-class", root, f"no pixel of {names}", remedy)]


def _shift_hint(dataset: SegmentationDataset, absent: list[int], split: SplitReport) -> str:
    """What to look for when just the first or just the last class is absent."""
    if absent == [0] and dataset.id_map.get(0) == 0:
        return "if 0 means no class, the labels start at 1: subtract 1, or add a class or 'ignore' for 0"
    shifted = dataset.id_map.get(0) == IGNORE and dataset.id_map.get(1) == 0
    if absent == [dataset.num_classes - 1] and shifted and any(0 in sample.values for sample in split.samples):
        return "here 0 is ignored and classes start at 1; if the masks hold 0-based classes, add 1 to them"
    return ""


def _repetitions(split: SplitReport) -> Iterator[Finding]:
    """Yield images that occur twice in a split, by name or by content."""
    seen = {}
    for sample, report in _pairs(split):
        path, first = str(sample.image), seen.setdefault(str(sample.image), sample)
        if first is not sample:
            yield Finding("listed-twice", path, "is named more than once", "remove the repeated lines of the list")
        elif report.digest:
            twin = seen.setdefault(report.digest, sample)
            if twin is not sample:
                cause = f"the same pixels as {twin.image}"
                yield Finding("duplicate", path, cause, "keep one of them; repeated images weigh twice")


def _leaks(splits: dict[str, SplitReport], train_split: str) -> Iterator[Finding]:
    """Yield images of evaluation splits that a training split holds too."""
    training = [name for name in splits if name == train_split or name.startswith("train")]
    for first, second in product(training, [name for name in splits if name not in training]):
        if first.startswith("trainval") and second.startswith("val"):
            continue
        known = {r.digest: s.image for s, r in _pairs(splits[first]) if r.digest}
        for sample, report in _pairs(splits[second]):
            if report.digest in known:
                cause = f"is in {first} too: {known[report.digest]}"
                remedy = f"take it out of {first}; otherwise the score of {second} is too good"
                yield Finding("leak", str(sample.image), cause, remedy, second)


def _pairs(split: SplitReport) -> Iterator[tuple[Sample, SampleReport]]:
    return zip(split.dataset.samples, split.samples, strict=True)


def _class_list(dataset: SegmentationDataset) -> Iterator[Finding]:
    """Yield contradictions in the user's description of the classes (published ones do share colours)."""
    if "classes" not in vars(dataset):
        return
    root, classes, colors = str(dataset.root), dataset.classes, [tuple(c) for c in dataset.palette.tolist()]
    for name in sorted({c for c in classes if classes.count(c) > 1}):
        yield Finding("class-list", root, f"two classes are named {name!r}", "give every class its own name")
    for color in sorted({c for c in colors if colors.count(c) > 1}):
        names = ", ".join(n for n, c in zip(classes, colors, strict=True) if c == color)
        yield Finding("class-list", root, f"{names} have the same colour {list(color)}", "give each its own colour")
    for label in set(range(len(classes))) - set(dataset.id_map.values()):
        cause = f"no mask value becomes class {label} ({classes[label]})"
        yield Finding("class-list", root, cause, "do not ignore its value, and name it in the id map")
