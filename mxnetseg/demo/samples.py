"""Pictures to try a page with: generated street scenes, since no photographs are part of this package."""

from __future__ import annotations

from pathlib import Path

from ..data.synthetic import render
from ..visual import write_image

__all__ = ["write_samples"]

SIZE = (288, 576)
_SEED = 2026


def write_samples(folder: Path, count: int = 4) -> list[Path]:
    """Write `count` pictures of 576 x 288 pixels; always the same ones."""
    paths = [folder / f"street_{number}.png" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        write_image(path, render(_SEED, number, SIZE)[0])
    return paths
