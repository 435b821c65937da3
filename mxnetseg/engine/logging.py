"""Numbers of a run: a progress bar or plain lines, JSON lines always, wandb when asked for."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from .evaluator import EvalResult
    from .wandb_sink import WandbSink

__all__ = ["JsonLines", "RunLogger", "StepRow", "plain"]


# On 80 columns the bar itself gives way, and no value.
_BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {remaining} left{postfix}"


def plain(value: Any) -> Any:
    """Value as JSON and wandb take it: plain Python scalars, lists and dictionaries; NaN and Inf become None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | bool | str | None) else str(value)


@dataclass(frozen=True)
class StepRow:
    """Numbers of one update.

    Attributes
    ----------
    step : int
        Updates done, this one included.
    epoch : float
        Epochs done.
    loss, lr : float
        Loss of its batch (mean over labelled pixels, auxiliary terms included) and its learning rate.
    img_per_s : float
        Images per second since the last logged values.
    data_wait : float
        Share of that time spent waiting for data.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    img_per_s: float
    data_wait: float

    def as_dict(self) -> dict[str, float]:
        """Under the names used in logs."""
        row = asdict(self)
        return {k if k in ("step", "epoch") else f"train/{k}": v for k, v in row.items()}


class JsonLines:
    """Append-only file of one JSON object per line, whole after a crash (a cut last line is mended on reopening).

    Parameters
    ----------
    path : Path or None
        File; continued when it exists. None writes nowhere.
    """

    def __init__(self, path: Path | None):
        self.path, self._failed = path, False
        if path is None:
            self._file = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        cut = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        self._file = path.open("a", encoding="utf-8")
        if cut:
            self._file.write("\n")

    def write(self, event: str, row: dict[str, Any]) -> None:
        """Append one event."""
        with self._tolerated():
            self._file.write(json.dumps({"event": event, "time": round(time.time(), 3), **plain(row)}) + "\n")

    def flush(self) -> None:
        """Hand everything to the operating system."""
        with self._tolerated():
            self._file.flush()

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        """A log that cannot be written (disk full) is said once, and does not stop a training."""
        try:
            yield
        except OSError as error:
            if not self._failed:
                print(f"cannot write {self.path}: {error.strerror}; going on", file=sys.stderr, flush=True)
            self._failed = True

    def close(self) -> None:
        """Force everything to disk and close."""
        if not self._file.closed:
            self.flush()
            with self._tolerated():
                if self.path:
                    os.fsync(self._file.fileno())
                self._file.close()


class RunLogger:
    """Everything a run reports goes through here; nothing here may stop a training.

    Parameters
    ----------
    path : Path or None
        JSON-lines file; None keeps nothing.
    total : int
        Updates of the whole run.
    initial : int
        Updates done before (resumed runs).
    sink : WandbSink, optional
        Receives the same numbers.
    progress : bool
        Show a bar or lines on `stream`.
    stream : file, optional
        standard error when empty.
    """

    def __init__(
        self,
        path: Path | None,
        total: int,
        initial: int = 0,
        sink: WandbSink | None = None,
        progress: bool = True,
        stream: TextIO | None = None,
    ):
        self.json, self.total, self.sink = JsonLines(path), total, sink
        self.stream, self.progress = stream or sys.stderr, progress
        self._bar = tqdm(
            total=total,
            initial=initial,
            file=self.stream,
            dynamic_ncols=True,
            bar_format=_BAR,
            disable=not (progress and self.stream.isatty()),
        )
        self._began, self._initial = time.perf_counter(), initial

    def message(self, text: str) -> None:
        """Say something; also kept in the JSON lines."""
        self.json.write("message", {"text": text})
        self.json.flush()
        if self.progress:
            self._bar.clear()
            print(text, file=self.stream, flush=True)

    def start(self, facts: dict[str, Any]) -> None:
        """Record configuration, environment and position at the start or resumption of a run."""
        self.json.write("start", facts)
        self.json.flush()

    def advance(self) -> None:
        """One update was dispatched."""
        self._bar.update()

    def steps(self, rows: Sequence[StepRow]) -> None:
        """Record the updates since the last call, in order."""
        for row in rows:
            self.json.write("step", row.as_dict())
            if self.sink:
                self.sink.log(plain(row.as_dict()), row.step)
        self.json.flush()
        if rows:
            self._show(rows[-1], sum(row.loss for row in rows) / len(rows))

    def _show(self, row: StepRow, loss: float) -> None:
        facts = {
            "loss": f"{loss:.4f}",
            "lr": f"{row.lr:.2e}",
            "img_s": f"{row.img_per_s:.2f}",
            "data": f"{100 * row.data_wait:.0f}%",
        }
        if not self._bar.disable:
            self._bar.set_postfix(facts)
        elif self.progress:
            done = row.step - self._initial
            left = (time.perf_counter() - self._began) / max(1, done) * (self.total - row.step)
            words = " ".join(f"{k} {v}" for k, v in facts.items())
            print(f"step {row.step}/{self.total} epoch {row.epoch:.2f} {words} ETA {_clock(left)}", file=self.stream)
            self.stream.flush()

    def epoch(self, step: int, epoch: int, loss: float) -> None:
        """Record the mean training loss of an epoch."""
        row = {"step": step, "epoch": epoch, "train/loss_epoch": loss}
        self.json.write("epoch", row)
        self.json.flush()
        if self.sink:
            self.sink.log(plain({**row, "train_loss_epoch": loss}), step)

    def validation(self, step: int, epoch: float, result: EvalResult, best: bool, pictures: Sequence[Any] = ()) -> None:
        """Record an evaluation: metrics, per-class values, confusion matrix, pictures."""
        metrics = {f"val/{name}": value for name, value in result.metrics.items()}
        row = {"step": step, "epoch": epoch, **metrics, "val/seconds": result.seconds, "best": best}
        counts = result.confusion.counts.tolist()
        self.json.write("val", {**row, "per_class": result.per_class, "confusion": counts, "images": result.images})
        self.json.flush()
        shown = " ".join(f"{k} {100 * result.metrics[k]:.2f}%" for k in ("PA", "mIoU", "mAcc") if k in result.metrics)
        self.message(
            f"epoch {epoch:.4g}: {shown} ({result.images} images, {result.seconds:.1f} s){' *best*' if best else ''}"
        )
        if self.sink:
            aliases = {f"val_{k}": result.metrics.get(k) for k in ("PA", "mIoU")}
            self.sink.validation(plain({**row, **aliases}), step, result, pictures)

    def end(self, facts: dict[str, Any]) -> None:
        """Record how the run ended."""
        self.json.write("end", facts)
        self.json.flush()
        if self.sink:
            self.sink.summary(plain(facts))

    def close(self, exit_code: int = 0) -> None:
        """Close everything; safe to repeat."""
        self._bar.close()
        self.json.close()
        if self.sink:
            self.sink.finish(exit_code)
            self.sink = None


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
