"""Classes that do not fit the masks."""

from __future__ import annotations

from collections.abc import Iterator

from ...data.base import SegmentationDataset
from ...data.labels import IGNORE
from .findings import Finding
from .report import SplitReport

__all__ = ["class_list", "labels_from_1", "missing_classes"]


def labels_from_1(split: SplitReport) -> list[Finding]:
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


def missing_classes(split: SplitReport, train_split: str) -> list[Finding]:
    """Finding of classes that the masks of the training split never hold, or of masks with one class only."""
    dataset, pixels = split.dataset, split.balance.pixels
    present = [label for label, count in enumerate(pixels) if count]
    absent = [label for label, count in enumerate(pixels) if not count]
    if not split.balance.masks or not present:
        return []
    root = str(dataset.root)
    if len(present) == 1 and dataset.num_classes > 1 and split.balance.masks > 1:
        cause = f"all {split.balance.masks} masks hold {dataset.classes[present[0]]!r} only"
        return [Finding("one-class", root, cause, "look at the masks: they were probably saved empty")]
    if dataset.split != train_split or not absent:
        return []
    hint = _shift_hint(dataset, absent, split)
    names = ", ".join(f"{label} ({dataset.classes[label]})" for label in absent)
    remedy = (
        hint or "check the id map, or drop the class, which no network can learn; --ignore absent-class if so meant"
    )
    return [Finding("absent-class", root, f"no pixel of {names}", remedy)]


def _shift_hint(dataset: SegmentationDataset, absent: list[int], split: SplitReport) -> str:
    """What to look for when just the first or just the last class is absent."""
    if absent == [0] and dataset.id_map.get(0) == 0:
        return "if 0 means no class, the labels start at 1: subtract 1, or add a class or 'ignore' for 0"
    shifted = dataset.id_map.get(0) == IGNORE and dataset.id_map.get(1) == 0
    if absent == [dataset.num_classes - 1] and shifted and any(0 in sample.values for sample in split.samples):
        return "here 0 is ignored and classes start at 1; if the masks hold 0-based classes, add 1 to them"
    return ""


def class_list(dataset: SegmentationDataset) -> Iterator[Finding]:
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
