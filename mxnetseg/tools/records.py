"""What a run left behind, read from its folder: the log of a training, or the JSON file of an evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .report import read_log

__all__ = ["RunRecord", "read_run"]

LOG = "log.jsonl"
_MODES = ("val", "testval", "test")


@dataclass(frozen=True)
class RunRecord:
    """A training or an evaluation.

    Attributes
    ----------
    folder : Path
    kind : {"training", "evaluation"}
    config : dict
        Resolved configuration.
    environment : dict
        Versions and settings.
    metrics : dict of str to float
        Of the evaluation, or of the training's best validation; empty without one.
    per_class : list of dict
        Rows of the same.
    confusion : ndarray of int, (K, K), optional
    rows : list of dict
        Log of a training.
    facts : dict
        Of a training ``train_images``, ``total_steps``, ``contexts``, ``step``, ``seconds``, ``interrupted``,
        ``images`` and ``epoch`` (of the best validation); of an evaluation what its JSON file says.
    """

    folder: Path
    kind: str
    config: dict[str, Any]
    environment: dict[str, Any]
    metrics: dict[str, float]
    per_class: list[dict[str, Any]]
    confusion: np.ndarray | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    def setting(self, section: str, key: str, default: Any = "") -> Any:
        """A value of the configuration."""
        return (self.config.get(section) or {}).get(key) or default


def read_run(folder: str | Path) -> RunRecord:
    """Read what is in a run's folder.

    Parameters
    ----------
    folder : path
        Folder that ``train`` or ``eval`` wrote, or the log or JSON file in it.

    Raises
    ------
    DataError
        If there is no run in it.
    """
    path = Path(folder)
    found = [path] if path.is_file() else [path / LOG, *(path / f"{mode}.json" for mode in _MODES)]
    found = sorted((p for p in found if p.is_file()), key=lambda p: (p.name != LOG, -p.stat().st_mtime))
    if not found:
        raise DataError(
            f"{path} holds no run" if path.exists() else f"{path} does not exist",
            f"a folder with {LOG} (of train) or {' or '.join(f'{mode}.json' for mode in _MODES)} (of eval)",
            "runs are in runs/, evaluations in predictions/<data>/<checkpoint>/",
        )
    try:
        return _training(found[0]) if found[0].name == LOG else _evaluation(found[0])
    except (AttributeError, KeyError, IndexError, ValueError, TypeError) as error:
        raise DataError(f"{found[0]} is not what a run writes ({error!r})", "a file of `train` or `eval`") from error


def _training(path: Path) -> RunRecord:
    rows = _continued(read_log(path))
    start = [row for row in rows if row["event"] == "start"][-1]
    ends = [row for row in rows if row["event"] == "end"]
    validations = [row for row in rows if row["event"] == "val"]
    best = next((row for row in reversed(validations) if row.get("best")), {})
    metrics = {key.removeprefix("val/"): value for key, value in best.items() if key.startswith("val/")}
    steps = [row["step"] for row in rows if row["event"] == "step"]
    facts = {key: start.get(key) for key in ("train_images", "total_steps", "contexts")}
    facts |= {key: best.get(key) for key in ("images", "epoch")} | {"step": steps[-1] if steps else 0}
    facts |= {"seconds": sum(row.get("seconds", 0) for row in ends), "validations": len(validations)}
    facts["interrupted"] = ends[-1].get("error") or ends[-1].get("interrupted") if ends else "no end in the log"
    confusion = np.array(best["confusion"]) if best.get("confusion") else None
    return RunRecord(
        path.parent,
        "training",
        start["config"],
        start.get("environment", {}),
        metrics,
        best.get("per_class", []),
        confusion,
        rows,
        facts,
    )


def _continued(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without those that a resumed run did again."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if row.get("event") == "start":
            kept = [old for old in kept if old["event"] in ("start", "end") or old.get("step", 0) <= row["step"]]
        kept.append(row)
    return kept


def _evaluation(path: Path) -> RunRecord:
    values = json.loads(path.read_text(encoding="utf-8"))
    scored = bool(values.get("pixels"))
    metrics = {key: value for key, value in values.items() if isinstance(value, float) and key != "seconds"}
    return RunRecord(
        path.parent,
        "evaluation",
        values.get("config") or {"eval": values["eval"], "data": {"name": values["data"]}},
        values.get("environment", {}),
        metrics if scored else {},
        values["per_class"] if scored else [],
        np.array(values["confusion"]) if scored else None,
        facts=values,
    )
