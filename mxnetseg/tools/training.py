"""The table of docs/training.md, made from the records of benchmarks/synthetic_zoo.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..registry import MODELS
from .listing import markdown_table

__all__ = ["GOAL", "training_table"]

GOAL = 0.85
_TITLES = {
    "model": ":--",
    "backbone": ":--",
    "parameters": "--:",
    "images seen": "--:",
    "processor time": "--:",
    "mIoU": "--:",
    "hardest classes": ":--",
    "seed": "--:",
    "command": ":--",
}


def training_table(path: Path) -> str:
    """How many networks were trained and reached the goal, and one row for each that was.

    Parameters
    ----------
    path : Path
        Records by model name, as JSON.
    """
    records = json.loads(path.read_text(encoding="utf-8"))
    names = [name for name in MODELS.names() if name in records]
    return _summary(names, records) + "\n" + markdown_table(_TITLES, [_row(name, records[name]) for name in names])


def _summary(names: list[str], records: dict[str, dict[str, Any]]) -> str:
    missed = [name for name in names if records[name]["mIoU"] < GOAL]
    absent = [name for name in MODELS.names() if name not in records]
    hours = sum(records[name]["cpu_seconds"] for name in names) / 3600
    text = f"{len(names) - len(missed)} of {len(MODELS.names())} networks reach {GOAL}. "
    for what, which in (("Below", missed), ("Not trained yet", absent)):
        text += f"{what}: {', '.join(f'`{name}`' for name in which)}. " if which else ""
    return f"{text}Processor time in all: {hours:.1f} hours.\n"


def _row(name: str, record: dict[str, Any]) -> list[str]:
    hardest = sorted(record["IoU"].items(), key=lambda item: item[1])[:2]
    score = f"{record['mIoU']:.3f}"
    return [
        f"`{name}`",
        f"`{record['backbone']}`" if record["backbone"] else "",
        f"{record['parameters'] / 1e6:.2f} M",
        str(record["images"]),
        f"{record['cpu_seconds']} s",
        score if record["mIoU"] >= GOAL else f"**{score}**",
        ", ".join(f"{kind} {value:.2f}" for kind, value in hardest),
        str(record["seed"]),
        f"`{record['command']}`",
    ]
