"""ISPRS Potsdam and Vaihingen: whole scenes to tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...data.images import read_rgb
from ...data.palettes import ISPRS, ids_of_colors
from ...errors import ConfigError, DataError
from .workspace import Workspace

__all__ = ["prepare", "tile_boxes"]

_SPLITS = {
    "Potsdam": {
        "train": "2_10 2_11 2_12 3_10 3_11 3_12 4_10 4_11 4_12 5_10 5_11 5_12 6_10 6_11 6_12 6_7 6_8 6_9 7_10 7_11 "
        "7_12 7_7 7_8 7_9",
        "val": "5_15 6_15 6_13 3_13 4_14 6_14 5_14 2_13 4_15 2_14 5_13 4_13 3_14 7_13",
    },
    "Vaihingen": {
        "train": "area1 area11 area13 area15 area17 area21 area23 area26 area28 area3 area30 area32 area34 area37 "
        "area5 area7",
        "val": "area6 area24 area35 area16 area14 area22 area10 area4 area2 area20 area8 area31 area33 area27 area38 "
        "area12 area29",
    },
}
_LABEL = {"Potsdam": "label", "Vaihingen": "noboundary"}
_COLORS = np.concatenate([np.zeros((1, 3), np.uint8), ISPRS])


def prepare(work: Workspace, tile: int = 512, stride: int = 512) -> None:
    """Write ``img_dir/<split>/<scene>_<x0>_<y0>_<x1>_<y1>.png`` and the same in ``ann_dir``.

    The defaults give the 3456 + 2016 (344 + 398) tiles of the figures that mmsegmentation calls "512/256": its
    origins in fact advance by 512. Masks hold 1-6, and 0 where the colour is that of no class.

    Parameters
    ----------
    work : Workspace
    tile : int
        Side of the tiles, in pixels.
    stride : int
        Distance of their origins; the last ones are moved back to the border.
    """
    if not 0 < stride <= tile:
        raise ConfigError(f"stride={stride}, tile={tile}", "0 < stride <= tile")
    for archive in [p for folder in list(work.folders) for p in sorted(folder.rglob("*.zip"))]:
        work.folders.append(work.unpack(archive))
    scenes = _scenes(work)
    for split, keys in _SPLITS[work.name].items():
        jobs = [job for key in keys.split() if key in scenes for job in _tiles(split, key, scenes[key], tile, stride)]
        work.convert(f"tiles of {split}", jobs)


def _scenes(work: Workspace) -> dict[str, dict[bool, Path]]:
    """Image (False) and mask (True) of every scene that has both."""
    scenes: dict[str, dict[bool, Path]] = {}
    for path in (p for folder in work.folders for p in sorted(folder.rglob("*.tif"))):
        parts = path.stem.split("_")
        is_label = _LABEL[work.name] in path.name.lower()
        wrong_bands = work.name == "Potsdam" and not is_label and parts[-1] != "RGB"
        if len(parts) > 3 and not wrong_bands:
            key = "_".join(parts[2:4]) if work.name == "Potsdam" else parts[3]
            scenes.setdefault(key, {}).setdefault(is_label, path)
    whole = {key: pair for key, pair in scenes.items() if len(pair) == 2}
    if not whole:
        places = ", ".join(map(str, work.folders))
        raise DataError(f"no scene with image and mask (.tif) below {places}", "", work.remedy)
    return whole


def _tiles(
    split: str, key: str, scene: dict[bool, Path], tile: int, stride: int
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    height, width = _read(scene[True]).shape[:2]
    for box in tile_boxes(height, width, tile, stride):
        name = f"{split}/{key}_{'_'.join(map(str, box))}.png"
        yield f"img_dir/{name}", partial(_cut, scene[False], box)
        yield f"ann_dir/{name}", partial(_cut_ids, scene[True], box)


def tile_boxes(height: int, width: int, tile: int, stride: int) -> list[tuple[int, int, int, int]]:
    """Boxes (x0, y0, x1, y1) that cover an image, row by row; those at the far border are moved back into it.

    Parameters
    ----------
    height, width, tile, stride : int
        In pixels, ``stride <= tile``.
    """
    return [
        (x, y, min(x + tile, width), min(y + tile, height))
        for y in _origins(height, tile, stride)
        for x in _origins(width, tile, stride)
    ]


def _origins(length: int, tile: int, stride: int) -> list[int]:
    steps = max(0, math.ceil((length - tile) / stride))
    return [min(i * stride, length - tile) if length > tile else 0 for i in range(steps + 1)]


@lru_cache(maxsize=2)
def _read(path: Path) -> np.ndarray:
    return read_rgb(path)


def _cut(path: Path, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    return _read(path)[y0:y1, x0:x1]


def _cut_ids(path: Path, box: tuple[int, int, int, int]) -> np.ndarray:
    return ids_of_colors(np.ascontiguousarray(_cut(path, box)), _COLORS, 0)
