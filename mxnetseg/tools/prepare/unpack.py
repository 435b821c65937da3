"""Data sets that are used as they are distributed: unpacking only."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError
from ...registry import DATASETS
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Put everything below the root, without the folders that only wrap it.

    Raises
    ------
    DataError
        If a given folder holds the root.
    """
    for folder in work.folders[:-1]:
        if work.root.resolve() != folder.resolve() and work.root.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{folder} holds {work.root}", "a source beside the root", "give the data's own folder")
        work.place_folder(_unwrapped(folder, DATASETS.get(work.name).layout), "")


def _unwrapped(folder: Path, layout: str) -> Path:
    """Go down while there is a single folder that the layout does not name."""
    known = set(re.findall(r"[\w.]+", layout))
    while True:
        inside = [p for p in folder.iterdir() if not p.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in known:
            return folder
        folder = inside[0]
