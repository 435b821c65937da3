"""The page of a training run, from its log, its evaluation and a few examples."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..visual import colorize, contact_sheet, overlay
from .report import Fact, Report, picture_rows, read_log, series

if TYPE_CHECKING:
    from ..config import Config
    from ..data.base import SegmentationDataset
    from ..engine.evaluator import EvalResult

__all__ = ["Shown", "curves", "examples_sheet", "run_report"]


@dataclass(frozen=True)
class Shown:
    """One example on the page: RGB uint8 image (H, W, 3), int32 label and prediction (H, W)."""

    name: str
    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray


def run_report(
    config: Config,
    dataset: SegmentationDataset,
    result: EvalResult,
    shown: Sequence[Shown],
    run_dir: str | Path,
    *,
    seconds: float,
    speed: dict[str, Any],
    **texts: Any,
) -> Report:
    """Collect what the page shows.

    Parameters
    ----------
    config : Config
        Resolved configuration of the run.
    dataset : SegmentationDataset
        The data it was evaluated on.
    result : EvalResult
        Its evaluation.
    shown : sequence of Shown
        Examples for the pictures.
    run_dir : path
        Folder with ``log.jsonl``.
    seconds : float
        Wall time to show.
    speed : dict
        As :func:`mxnetseg.tools.speed.measure` returns it.
    **texts
        ``title``, ``lead`` and ``steps`` of :class:`Report`.
    """
    run_dir = Path(run_dir)
    machine = f"{speed['protocol']['cpu']}, {speed['protocol']['threads']} threads"
    columns = _columns(shown, dataset.palette)
    return Report(
        facts=_facts(result, seconds, speed),
        columns=list(columns),
        pictures=picture_rows([example.name for example in shown], columns),
        classes=[(name, tuple(map(int, color))) for name, color in zip(dataset.classes, dataset.palette, strict=True)],
        curves=curves(read_log(run_dir / "log.jsonl")),
        table=result.per_class,
        confusion=result.confusion.counts,
        timings=_timings(speed),
        config=config.to_yaml(),
        footer=f"Run {run_dir.name}; Python {platform.python_version()}; {machine}",
        **texts,
    )


def examples_sheet(shown: Sequence[Shown], palette: np.ndarray) -> np.ndarray:
    """Examples in rows of image, label, prediction and overlay, as one RGB picture; they must be of one size."""
    return contact_sheet(list(zip(*_columns(shown, palette).values(), strict=True)))


def _columns(shown: Sequence[Shown], palette: np.ndarray) -> dict[str, list[np.ndarray]]:
    return {
        "image": [e.image for e in shown],
        "label (black: not scored)": [colorize(e.label, palette) for e in shown],
        "prediction": [colorize(e.prediction, palette) for e in shown],
        "overlay": [overlay(e.image, e.prediction, palette) for e in shown],
    }


def _facts(result: EvalResult, seconds: float, speed: dict[str, Any]) -> list[Fact]:
    _, _, height, width = speed["protocol"]["input"]
    threads = os.environ.get("OMP_NUM_THREADS", "?")
    return [
        Fact("mIoU", f"{result.metrics['mIoU']:.3f}", f"{result.images} validation images"),
        Fact("Pixel accuracy", f"{result.metrics['PA']:.3f}", "of the labelled pixels"),
        Fact("Time for everything", f"{seconds:.0f} s", f"{threads} CPU threads"),
        Fact("Speed", f"{speed['fps']:.0f} images/s", f"{width}x{height}, one by one"),
        Fact("Size", f"{speed['parameters'] / 1e6:.2f} M", f"parameters; {speed['macs'] / 1e9:.2f} GMAC per image"),
    ]


def curves(rows: list[dict[str, Any]]) -> list[tuple]:
    """Charts of a run's log, as :class:`Report` takes them."""
    scores = {name: series(rows, "epoch", key) for name, key in (("mIoU", "val/mIoU"), ("pixel accuracy", "val/PA"))}
    charts = [
        ("Training loss", {"loss": series(rows, "step", "train/loss")}, "update", None),
        ("Score on the validation images", scores, "epoch", (0.0, 1.0)),
        ("Learning rate", {"learning rate": series(rows, "step", "train/lr")}, "update", None),
        ("Throughput", {"images/s": series(rows, "step", "train/img_per_s")}, "update", None),
    ]
    return [chart for chart in charts if any(chart[1].values())]


def _timings(speed: dict[str, Any]) -> list[tuple[str, str]]:
    latency, protocol = speed["latency_ms"], speed["protocol"]
    spread = f"{latency['median']:.1f} ms (5 % below {latency['p5']:.1f}, 5 % above {latency['p95']:.1f})"
    return [
        ("Latency, median", spread),
        ("Throughput", f"{speed['fps']:.1f} images/s"),
        ("Input", "x".join(map(str, protocol["input"])) + " float32"),
        ("Protocol", f"{protocol['warmup']} warm-up and {protocol['iterations']} timed runs; {protocol['includes']}"),
    ]
