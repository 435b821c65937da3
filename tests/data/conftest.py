"""Tiny data sets written to disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg.config import DataConfig


def write(path: Path, array: np.ndarray) -> Path:
    """Write an RGB image or a mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)
    return path


def picture(seed: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Random uint8 RGB image."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def mask(seed: int, values: list[int], size: tuple[int, int] = (24, 32), dtype: type = np.uint8) -> np.ndarray:
    """Random mask holding all `values`."""
    flat = np.random.default_rng(seed).choice(values, size[0] * size[1])
    flat[: len(values)] = values
    return flat.astype(dtype).reshape(size)


@pytest.fixture
def own(tmp_path):
    """Function that writes a Custom data set of `count` pairs and returns its configuration."""

    def make(count: int = 8, values: tuple[int, ...] = (0, 1, 2), **changes) -> DataConfig:
        for i in range(count):
            write(tmp_path / f"images/train/{i:02d}.png", picture(i))
            write(tmp_path / f"masks/train/{i:02d}.png", mask(i, list(values)))
        options = {"classes": ["a", "b", "c"], "ignore": [255], **changes.pop("options", {})}
        settings = {"base_size": 32, "crop_size": 16, "root": str(tmp_path), **changes}
        return DataConfig(name="Custom", options=options, **settings)

    return make
