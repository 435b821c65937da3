"""Where a checkpoint is, and what it says about itself against what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, ConfigError, suggest
from ..ready import find_ready, ready_weights
from ..registry import MODELS

if TYPE_CHECKING:
    from ..data import SegmentationDataset

__all__ = ["find_checkpoint", "refuse_contradictions", "refuse_other_classes"]


def find_checkpoint(name: str | Path, model: str | None = None, weights: str | Path = "weights") -> Path:
    """Path of a checkpoint given by path, by the name of ready weights, or by its bare name in ``weights/<model>/``.

    Parameters
    ----------
    name : str or path
        Path, or file name with or without ``.params``.
    model : str, optional
        Look in this model's folder (official or short name) before the others.
    weights : path
        Folder of the models' folders.

    Raises
    ------
    CheckpointError
        If there is no such file, or several; similar names are proposed. If ready weights are missing or damaged.
    """
    weights, path = Path(weights), Path(name)
    if path.is_file():
        return path
    names = [path.name, f"{path.name}.params"] if path.parent == Path() else []
    if names and (ready := find_ready(path.name, weights)):
        return ready
    own = [weights / MODELS.entry(model).short_name] if model else []
    folders = own + [folder for folder in [weights, *sorted(weights.glob("*/"))] if folder not in own]
    found = [folder / n for folder in folders for n in names if (folder / n).is_file()]
    if len(found) == 1 or (found and found[0].parent in own):
        return found[0]
    if found:
        raise CheckpointError(f"{name} is in several folders: {', '.join(map(str, found))}", "its path")
    there = [str(p) for folder in folders for p in sorted(folder.glob("*.params"))]
    looked = ", ".join(map(str, [path, *(folder / path.name for folder in folders)][:4]))
    ready = list(ready_weights())
    hint = suggest(path.name, [*(Path(p).name for p in there), *ready])
    raise CheckpointError(
        f"no checkpoint {name}",
        f"a weights file; looked for {looked}",
        hint or (f"known: {', '.join(there[-3:])}" if there else f"train first, or take {' or '.join(ready)}"),
    )


def refuse_contradictions(recorded: Mapping[str, Any], typed: Mapping[str, Any], source: str) -> None:
    """Compare what was typed with what the checkpoint records; None stands for "not given" on both sides.

    Raises
    ------
    ConfigError
        Naming every flag with both values.
    """
    wrong = [
        f"--{key} {value} was typed, {source} was trained with {key} = {recorded[key]}"
        for key, value in typed.items()
        if value is not None and recorded.get(key) is not None and not _same(recorded[key], value)
    ]
    if wrong:
        raise ConfigError("\n".join(wrong), "the checkpoint's own values", "leave these flags away")


def refuse_other_classes(checkpoint: str, meta: Mapping[str, Any], dataset: SegmentationDataset) -> None:
    """Refuse a data set whose classes are not those of a checkpoint, as far as its metadata name them.

    Raises
    ------
    ConfigError
        Naming both data sets.
    """
    trained = list(meta.get("classes") or [])
    if trained and trained != list(dataset.classes):
        raise ConfigError(
            f"{checkpoint} was trained for {meta.get('data')} ({len(trained)} classes), "
            f"{dataset.name} has {'other' if len(trained) == len(dataset.classes) else len(dataset.classes)} classes",
            "a data set with the classes of the checkpoint",
            f"use --data {meta.get('data')}, or another checkpoint",
        )


def _same(a: Any, b: Any) -> bool:
    """Equality; words without regard to case."""
    return a.lower() == b.lower() if isinstance(a, str) and isinstance(b, str) else a == b
