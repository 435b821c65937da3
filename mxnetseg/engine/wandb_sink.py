"""wandb, when asked for: the same numbers as the JSON lines, plus tables and pictures. It never stops a training."""

from __future__ import annotations

import functools
import logging
import netrc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np

from ..visual import confusion_picture
from .logging import plain

if TYPE_CHECKING:
    from ..config import Config
    from .evaluator import EvalResult
    from .run import RunPaths

__all__ = ["WandbSink", "choose_mode", "open_wandb", "sweep_overrides"]

_log = logging.getLogger(__name__)

# Longer side of logged pictures, in pixels.
_PICTURE = 512


def _has_login() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname
    try:
        return path.exists() and netrc.netrc(str(path)).authenticators(host) is not None
    except (netrc.NetrcParseError, OSError):
        return False


def choose_mode(wanted: str | None) -> str:
    """Mode in which wandb never asks: what was asked for, else WANDB_MODE, else offline without a login.

    Parameters
    ----------
    wanted : {"online", "offline", "disabled"}, optional
        Configured mode.
    """
    if mode := wanted or os.environ.get("WANDB_MODE"):
        # Without a login, online would ask for a key.
        return "offline" if mode == "online" and not _has_login() else mode
    return "online" if _has_login() else "offline"


def _harmless(method: Callable[..., None]) -> Callable[..., None]:
    """After the first failure of wandb, say so once and go on without it."""

    @functools.wraps(method)
    def guarded(self: WandbSink, *args: Any, **kwargs: Any) -> None:
        if self.broken:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # a logging service must not cost a training
            self.broken = True
            _log.warning("wandb failed (%s: %s); going on without it", type(error).__name__, error)

    return guarded


class WandbSink:
    """One wandb run.

    Parameters
    ----------
    wandb : module
        The imported package.
    run : wandb.Run
        Started run.
    dataset : SegmentationDataset
        Names of classes.
    mode : str
        Mode it was started in.

    Attributes
    ----------
    id : str
        Run id, with which a resumed training continues the same run.
    where : str
        Where the run is shown, or how to send it there.
    """

    def __init__(self, wandb: Any, run: Any, dataset: Any, mode: str):
        self._wandb, self._run, self.broken = wandb, run, False
        self.id = str(run.id)
        self._classes = {i: str(name) for i, name in enumerate(dataset.classes)}
        self.where = f"wandb: {run.url}" if mode == "online" else f"wandb: {mode}"
        if mode == "offline":
            self.where += f"; send it later with `wandb sync {Path(run.dir).parent}`"
        self._define()

    @_harmless
    def _define(self) -> None:
        define = self._run.define_metric
        define("step")
        define("epoch")
        for pattern in ("train/*", "train_loss_epoch"):
            define(pattern, step_metric="step")
        for pattern in ("val/*", "val_PA", "val_mIoU", "val_iou/*"):
            define(pattern, step_metric="epoch")
        define("val/mIoU", step_metric="epoch", summary="max")

    @_harmless
    def log(self, row: dict[str, Any], step: int) -> None:
        """Log plain scalars at an update; steps never decrease."""
        self._run.log({k: v for k, v in row.items() if v is not None}, step=step)

    @_harmless
    def validation(self, row: dict[str, Any], step: int, result: EvalResult, pictures: Sequence[Any]) -> None:
        """Log an evaluation: scalars, per-class table, confusion matrix, overlays."""
        per_class = plain(result.per_class)
        values = {k: v for k, v in row.items() if v is not None}
        values.update({f"val_iou/{r['class']}": r["IoU"] for r in per_class if r["IoU"] is not None})
        values["val/per_class"] = self._table(per_class)
        values["val/confusion"] = self._wandb.Image(
            confusion_picture(result.confusion.counts, list(self._classes.values()))
        )
        if pictures:
            values["val/pictures"] = [self._overlay(*pair) for pair in pictures]
        self._run.log(values, step=step)

    def _table(self, rows: list[dict[str, Any]]) -> Any:
        columns = list(rows[0])
        return self._wandb.Table(columns=columns, data=[[row[c] for c in columns] for row in rows])

    def _overlay(self, example: Any, prediction: np.ndarray) -> Any:
        step = max(1, -(-max(prediction.shape) // _PICTURE))
        masks = {"prediction": prediction}
        if example.label is not None:
            # Unlabelled pixels get no colour: an id without a name.
            masks["ground_truth"] = np.where(example.label < 0, 255, example.label)
        layers = {
            name: {
                "mask_data": np.ascontiguousarray(mask[::step, ::step]).astype(np.int64),
                "class_labels": self._classes,
            }
            for name, mask in masks.items()
        }
        return self._wandb.Image(
            np.ascontiguousarray(example.image[::step, ::step]), masks=layers, caption=example.name
        )

    @_harmless
    def summary(self, facts: dict[str, Any]) -> None:
        """Record how the run ended and its best figures."""
        self._run.summary.update({k: v for k, v in facts.items() if v is not None and not isinstance(v, list)})

    @_harmless
    def finish(self, exit_code: int = 0) -> None:
        """End the run."""
        self._run.finish(exit_code=exit_code)


def open_wandb(
    config: Config, paths: RunPaths, run_id: str | None, environment: dict[str, Any], dataset: Any
) -> WandbSink | None:
    """Start (or, with an id, continue) a wandb run without ever asking.

    Returns
    -------
    WandbSink or None
        None when wandb cannot be used; a warning says why.
    """
    log = config.log
    mode = choose_mode(log.wandb_mode)
    try:
        import wandb

        run = wandb.run or wandb.init(
            project=log.wandb,
            entity=log.entity,
            name=log.name or paths.stem,
            group=log.group,
            tags=log.tags or None,
            dir=str(paths.folder),
            mode=mode,
            id=run_id,
            resume="allow" if run_id else None,
            job_type="train",
            settings=wandb.Settings(silent=True),
        )
        # A sweep's own values stay what the agent chose.
        settings = {**config.model_dump(mode="json"), "environment": environment, "run": paths.stem}
        run.config.update(plain(settings), allow_val_change=True)
    except Exception as error:  # not installed, no network, no disk: training goes on
        _log.warning("wandb cannot be used (%s: %s); going on without it", type(error).__name__, error)
        return None
    return WandbSink(wandb, run, dataset, mode)


def sweep_overrides() -> dict[str, Any]:
    """Parameters that ``wandb agent`` chose for this process, by the names in the sweep; empty outside of a sweep."""
    if not os.environ.get("WANDB_SWEEP_ID"):
        return {}
    try:
        import wandb

        run = wandb.run or wandb.init(job_type="train", settings=wandb.Settings(silent=True))
        return {k: v for k, v in dict(run.config).items() if not isinstance(v, dict)}
    except Exception as error:  # see open_wandb
        _log.warning("wandb's sweep parameters cannot be read (%s: %s)", type(error).__name__, error)
        return {}
