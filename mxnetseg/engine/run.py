"""Where a run writes, what it is called, and which run to resume."""

from __future__ import annotations

import datetime
import functools
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np

from .. import __version__
from ..config import Config
from ..errors import CheckpointError, ConfigError
from ..registry import MODELS
from .checkpoint import load_checkpoint, read_meta

__all__ = [
    "RunPaths",
    "check_resumable",
    "differences",
    "environment",
    "find_state",
    "intact_state",
    "new_run",
    "run_paths",
]

# What a state cannot be continued with when it changes.
_FIXED = (
    "model.",
    "data.name",
    "optimizer.name",
    "optimizer.accumulate",
    "train.batch_size",
    "train.seed",
    "train.ema",
    "train.refines",
)
# What does not change the run's numbers.
_FREE = (
    *("description", "published", "log.", "data.root", "data.workers", "data.check", "data.allow"),
    *("train.weights_dir", "train.runs_dir"),
)


@dataclass(frozen=True)
class RunPaths:
    """Names of a run's files.

    Attributes
    ----------
    stem : str
        ``<model>_<backbone>_<data>_<time>``, with ``refinement`` before the time for refinement modules; or
        ``<log.name>_<time>``.
    weights : Path
        Folder of the checkpoints.
    folder : Path
        Run folder: config.yaml, log.jsonl, pictures.
    """

    stem: str
    weights: Path
    folder: Path

    @property
    def best(self) -> Path:
        """Weights of the best validation."""
        return self.weights / f"{self.stem}_best.params"

    @property
    def final(self) -> Path:
        """Weights at the end of training."""
        return self.weights / f"{self.stem}.params"

    @property
    def state(self) -> Path:
        """Everything needed to resume."""
        return self.weights / f"{self.stem}_last.state"

    @property
    def previous(self) -> Path:
        """The state before that, which is used when the newer one turns out to be damaged."""
        return previous_state(self.state)

    @property
    def log(self) -> Path:
        """JSON lines."""
        return self.folder / "log.jsonl"


def previous_state(state: Path) -> Path:
    """Where the state before `state` is kept."""
    return state.with_name(state.name.removesuffix("_last.state") + "_previous.state")


def intact_state(state: Path) -> tuple[Path, str]:
    """The state itself, or the one before it where it is damaged or gone.

    Returns
    -------
    path : Path
        State whose checksum is right.
    note : str
        What is wrong with `state`; empty when nothing is.

    Raises
    ------
    CheckpointError
        If neither can be used.
    """
    try:
        _check(state)
        return state, ""
    except CheckpointError as error:
        previous = previous_state(state)
        if previous == state or not previous.is_file():
            raise
        _check(previous)
        return previous, f"{error.found}; going on from the state before it, {previous}"


def _check(state: Path) -> None:
    if not load_checkpoint(state).meta:
        raise CheckpointError(f"{state} has neither metadata nor checksum", "a state written by `mxnetseg train`")


def _weights_folder(config: Config) -> Path:
    return Path(config.train.weights_dir) / MODELS.entry(config.model.name).short_name


def run_paths(config: Config, stem: str) -> RunPaths:
    """Files of the run of this name."""
    return RunPaths(stem, _weights_folder(config), Path(config.train.runs_dir) / stem)


def new_run(config: Config) -> RunPaths:
    """Name a new run after the present second and make its folders.

    Raises
    ------
    CheckpointError
        If a folder cannot be made.
    """
    entry = MODELS.entry(config.model.name)
    backbone = config.model.backbone or entry.meta.get("default_backbone")
    parts = [entry.short_name, backbone, config.data.name, "refinement" if config.train.refines else None]
    named = config.log.name and re.sub(r"[^\w.-]+", "-", config.log.name)
    prefix = named or "_".join(str(part).lower() for part in parts if part)
    while True:
        stem = f"{prefix}_{datetime.datetime.now():%Y%m%d_%H%M%S}"
        paths = run_paths(config, stem)
        try:
            paths.folder.mkdir(parents=True)
            paths.weights.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            time.sleep(0.2)  # another run began in this second
            continue
        except OSError as error:
            raise CheckpointError(
                f"cannot make {error.filename}: {error.strerror}", "writable train.weights_dir and train.runs_dir"
            ) from error
        return paths


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            result.update(_flat(value, f"{prefix}{key}."))
        else:
            result[prefix + key] = value
    return result


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys of two configurations (as dictionaries) whose values differ and matter to the numbers: (old, new)."""
    # Through JSON: tuples and lists are the same there.
    a, b = (_flat(json.loads(json.dumps(values))) for values in (old, new))
    keys = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k) and not k.startswith(_FREE))
    return {k: (a.get(k), b.get(k)) for k in keys}


def check_resumable(path: Path, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Say how the configuration differs from that of the state it is to continue.

    Returns
    -------
    list of str
        One line per difference that is allowed.

    Raises
    ------
    ConfigError
        If a difference contradicts the state.
    """
    changed = differences(old, new)
    wrong = {k: v for k, v in changed.items() if k.startswith(_FIXED)}
    if wrong:
        listed = "; ".join(f"{k} was {a!r}, is {b!r}" for k, (a, b) in wrong.items())
        raise ConfigError(
            f"the configuration contradicts {path.name}: {listed}",
            "the configuration that the run began with",
            "leave these settings out (the state knows them), or start a new run from its weights with model.init=FILE",
        )
    return [f"{k} was {a!r}, is now {b!r}" for k, (a, b) in changed.items()]


def find_state(resume: str | Path, config: Config) -> Path | None:
    """State file for the value of ``--resume``.

    Parameters
    ----------
    resume : str or path
        A ``.state`` file, a run folder, or ``auto``: the newest state with this configuration.
    config : Config
        Used by ``auto``.

    Returns
    -------
    Path or None
        None when ``auto`` finds nothing.

    Raises
    ------
    CheckpointError
        If the file or the run's state does not exist.
    """
    if str(resume) == "auto":
        return _newest(config)
    path = Path(resume)
    if path.is_dir():
        return _of_run(path)
    if not path.is_file() and not previous_state(path).is_file():
        raise CheckpointError(
            f"{path} does not exist", "a _last.state file, a run folder, or auto", "--resume auto takes the newest run"
        )
    if path.suffix == ".params":
        raise CheckpointError(
            f"{path} holds weights only",
            "a _last.state file, which also holds optimizer and position",
            f"--resume {path.with_name(path.stem.removesuffix('_best') + '_last.state')}, or model.init={path}",
        )
    return path


def _of_run(folder: Path) -> Path:
    pointer = folder / "state"
    state = Path(pointer.read_text().strip()) if pointer.exists() else None
    candidates = [state, folder / state.name] if state else []
    candidates += sorted(folder.glob("*_last.state"), key=os.path.getmtime, reverse=True)
    for path in candidates:
        if path.is_file():
            return path
    raise CheckpointError(f"{folder} belongs to no saved state", "a run folder whose run saved a state")


def _newest(config: Config) -> Path | None:
    states = sorted(_weights_folder(config).glob("*_last.state"), key=os.path.getmtime, reverse=True)
    for path in states:
        try:
            meta = read_meta(intact_state(path)[0])
        except CheckpointError as error:
            print(f"passing over {error.found}", file=sys.stderr, flush=True)
            continue
        if meta.get("config") and not differences(meta["config"], config.model_dump(mode="json")):
            return path
    return None


def environment() -> dict[str, Any]:
    """Versions and settings that numbers depend on."""
    facts = {
        "mxnetseg": __version__,
        "mxnet": mx.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }
    commit = _commit()
    return {**facts, "commit": commit} if commit else facts


@functools.cache
def _commit() -> str:
    """Commit of the source tree that this package runs from; empty outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        return ""
