"""Several runs side by side: which is better at what, and in which settings they differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from .records import RunRecord
from .report import Report, series
from .run_page import duration, percent

__all__ = ["MOST", "comparison_page", "differing_settings", "summary_rows"]

MOST = 8  # runs whose curves can be told apart
SUMMARY = ("", "run", "model", "data", "mIoU", "pixel acc.", "epoch", "updates", "time")
# Settings that do not change a run's numbers.
_FREE = ("description", "aliases", "published", "log.", "data.root", "data.workers", "train.weights_", "train.runs_")
_CURVES = (
    ("Training loss", "step", "train/loss", "update", None),
    ("mIoU on the validation images", "epoch", "val/mIoU", "epoch", (0.0, 1.0)),
    ("Learning rate", "step", "train/lr", "update", None),
    ("Throughput, images/s", "step", "train/img_per_s", "update", None),
)


def summary_rows(records: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """A row of texts, as :data:`SUMMARY` names them, for each run."""
    names = _names(records)
    return [(letter, *_summary(*pair)) for letter, *pair in zip(ascii_uppercase, names, records, strict=False)]


def _summary(name: str, record: RunRecord) -> tuple[str, ...]:
    facts, parts = record.facts, (record.setting("model", "name"), record.setting("model", "backbone"))
    epoch, step, seconds = facts.get("epoch"), facts.get("step"), facts.get("seconds")
    return (
        name,
        ", ".join(filter(None, parts)) or "-",
        record.setting("data", "name", "-"),
        percent(record.metrics.get("mIoU")),
        percent(record.metrics.get("PA")),
        f"{epoch:g}" if epoch is not None else "-",
        f"{step:,}" if step else "-",
        duration(seconds) if seconds else "-",
    )


def _names(records: Sequence[RunRecord]) -> list[str]:
    """Names of the folders; the paths where names are equal."""
    names = [record.name for record in records]
    return [n if names.count(n) == 1 else str(r.folder) for n, r in zip(names, records, strict=True)]


def differing_settings(records: Sequence[RunRecord]) -> dict[str, list[Any]]:
    """Keys of the configurations whose values are not the same in all runs: a value for each run."""
    flat = [_flat(json.loads(json.dumps(record.config))) for record in records]
    keys = sorted(key for key in set().union(*flat) if not key.startswith(_FREE))
    rows = {key: [values.get(key) for values in flat] for key in keys}
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result = {}
    for key, value in values.items():
        result |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return result


def comparison_page(records: Sequence[RunRecord]) -> Report:
    """Collect what the page shows: results, curves in common charts, IoU per class, differing settings.

    Runs are called A, B, C, ... on it: their names are long.
    """
    names = list(ascii_uppercase[: len(records)])
    curves = []
    for title, x, y, label, limits in _CURVES:
        lines = {name: series(r.rows, x, y) for name, r in zip(names, records, strict=True)}
        if lines := {name: points for name, points in lines.items() if points}:
            curves.append((title, lines, label, limits))
    tables: list[Any] = [("Results", SUMMARY, summary_rows(records))]
    if classes := _class_rows(records):
        tables.append(("IoU per class in percent (* the best)", ("class", *names), classes))
    settings = differing_settings(records)
    rows = [(key, *map(_text, row)) for key, row in settings.items()]
    tables.append(("Settings that differ", ("key", *names), rows or [("none", *("" for _ in names))]))
    return Report(
        title=f"{len(records)} runs compared",
        lead="Scores of trainings are those of their best validations.",
        tables=tables,
        curves=curves,
    )


def _text(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _class_rows(records: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """Rows of a table over the classes of all runs, in their order."""
    scores = [{row["class"]: row["IoU"] for row in record.per_class} for record in records]
    rows = []
    for name in dict.fromkeys(name for run in scores for name in run):
        values = [run.get(name) for run in scores]
        known = [v for v in values if v is not None]
        marks = [" *" if len(known) > 1 and v == max(known) else "" for v in values]
        cells = ("-" if v is None else f"{100 * v:.2f}{mark}" for v, mark in zip(values, marks, strict=True))
        rows.append((name, *cells))
    return rows
