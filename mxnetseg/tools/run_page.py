"""The page of a training or an evaluation, from the files in its folder."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..engine.examples import Kept, read_examples
from ..visual import colorize, overlay
from .records import RunRecord, read_run
from .report import Fact, Report, picture_rows, write_report
from .run_report import curves

__all__ = ["PAGE", "run_page", "write_run_page"]

PAGE = "report.html"
_KINDS = {"worst": "worst", "best": "best", "some": "example"}


def write_run_page(folder: str | Path) -> Path:
    """Write ``report.html`` into the folder of a training or an evaluation.

    Raises
    ------
    DataError
        If there is no run in it.
    """
    record = read_run(folder)
    return write_report(record.folder / PAGE, run_page(record))


def run_page(record: RunRecord) -> Report:
    """Collect what the page shows."""
    kept, classes = read_examples(record.folder / "examples")
    columns, pictures, captions = _pictures(kept, classes)
    training = record.kind == "training"
    return Report(
        title=f"{record.setting('model', 'name', 'Network')} on {record.setting('data', 'name', 'its data')}",
        lead=_training_lead(record) if training else _evaluation_lead(record),
        facts=_scores(record) + (_training_facts(record) if training else _evaluation_facts(record)),
        columns=columns,
        pictures=pictures,
        captions=captions,
        pictures_title="Worst and best images" if record.per_class else "Predictions",
        classes=classes,
        curves=curves(record.rows),
        table=record.per_class,
        confusion=record.confusion,
        timings=_training_speed(record) if training else _evaluation_speed(record),
        environment=[(key, str(value)) for key, value in record.environment.items() if value != ""],
        config=yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True),
        footer=f"{'Run' if training else 'Evaluation'} {record.name}",
    )


def _pictures(kept: Sequence[Kept], classes: Sequence[tuple[str, tuple[int, int, int]]]) -> tuple[Any, Any, Any]:
    """Titles of the columns, rows of pictures, and a caption for each row."""
    palette = [color for _, color in classes]
    columns = {"image": [k.image for k in kept]}
    if kept and all(k.label is not None for k in kept):
        columns["label (black: not scored)"] = [colorize(k.label, palette) for k in kept]
    columns["prediction"] = [colorize(k.prediction, palette) for k in kept]
    columns["overlay"] = [overlay(k.image, k.prediction, palette) for k in kept]
    scores = ["" if k.score is None else f", mIoU {percent(k.score)}" for k in kept]
    captions = [f"{_KINDS[k.kind]}: {k.name}{score}" for k, score in zip(kept, scores, strict=True)]
    return list(columns), picture_rows([k.name for k in kept], columns), captions


def percent(share: float | None) -> str:
    """A share as percent, two decimals; a dash where it is unknown."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """Time span in words."""
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 2 else f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.1f} s"


def _scores(record: RunRecord) -> list[Fact]:
    metrics, facts = record.metrics, record.facts
    if not metrics:
        return []
    where = f"{facts.get('images')} images"
    at = f"best validation, epoch {facts['epoch']:g}" if record.kind == "training" else where
    shown = [
        Fact("mIoU", percent(metrics.get("mIoU")), at),
        Fact("Pixel accuracy", percent(metrics.get("PA")), f"mean accuracy {percent(metrics.get('mAcc'))}"),
    ]
    if "mBIoU" in metrics:
        shown.append(Fact("Boundary IoU", percent(metrics["mBIoU"]), f"F-score {percent(metrics.get('mBF'))}"))
    return shown


def _training_facts(record: RunRecord) -> list[Fact]:
    facts, speeds = record.facts, _values(record, "train/img_per_s")
    shown = [Fact("Updates", f"{facts['step']:,}", f"of {facts['total_steps']:,}; {facts['train_images']} images")]
    if facts["seconds"]:
        shown.append(Fact("Time", duration(facts["seconds"]), " ".join(facts["contexts"] or [])))
    if speeds:
        shown.append(Fact("Speed", f"{statistics.median(speeds):.3g}", "images/s, median while training"))
    return shown


def _evaluation_facts(record: RunRecord) -> list[Fact]:
    facts = record.facts
    images, seconds = facts["images"], facts["seconds"]
    shown = [Fact("Images", f"{images:,}", f"{facts['data']} {facts['split']}"), Fact("Time", duration(seconds))]
    return shown + ([Fact("Speed", f"{images / seconds:.3g}", "images/s, reading included")] if seconds else [])


def _training_lead(record: RunRecord) -> str:
    backbone, ended = record.setting("model", "backbone"), record.facts["interrupted"]
    text = f"Training {record.name}" + (f", backbone {backbone}" if backbone else "")
    return f"{text}. Ended early: {ended}." if ended else f"{text}."


def _evaluation_lead(record: RunRecord) -> str:
    facts = record.facts
    return f"Evaluation of {facts['checkpoint']} on {facts['data']} {facts['split']}; {facts['protocol']}."


def _training_speed(record: RunRecord) -> list[tuple[str, str]]:
    speeds, waits = _values(record, "train/img_per_s"), _values(record, "train/data_wait")
    seconds = [row["val/seconds"] for row in record.rows if row["event"] == "val"]
    pairs = []
    if speeds:
        low, _, high = statistics.quantiles(speeds, n=4) if len(speeds) > 1 else speeds * 3
        median = statistics.median(speeds)
        pairs.append(("Training", f"{median:.3g} images/s (half of the time between {low:.3g} and {high:.3g})"))
        pairs.append(("Waiting for data", f"{100 * statistics.fmean(waits):.1f} % of the time"))
    if seconds and record.facts["images"]:
        each = 1e3 * statistics.median(seconds) / record.facts["images"]
        pairs.append(("Validation", f"{statistics.median(seconds):.1f} s, {each:.0f} ms per image, reading included"))
    return pairs


def _evaluation_speed(record: RunRecord) -> list[tuple[str, str]]:
    images, seconds = record.facts["images"], record.facts["seconds"]
    each = f"{1e3 * seconds / images:.0f} ms per image" if images else "no image"
    return [("Evaluation", f"{seconds:.1f} s, {each}, reading included"), ("Protocol", record.facts["protocol"])]


def _values(record: RunRecord, key: str) -> list[float]:
    """Different successive values of a key of the log: several updates share one measurement."""
    values = [row[key] for row in record.rows if isinstance(row.get(key), int | float)]
    return [value for i, value in enumerate(values) if not i or value != values[i - 1]]
