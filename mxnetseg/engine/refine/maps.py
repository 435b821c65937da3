"""Operations on probability maps (K, H, W) and score maps (H, W), float32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter

from ..scores import add_softmax, bands
from .grid import Box

if TYPE_CHECKING:
    from .views import View

__all__ = ["certainty", "crop", "crop_mean", "nearest", "probabilities", "smooth"]

Size = tuple[int, int]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of (N, K, h, w) over the classes."""
    result = np.zeros(logits.shape, np.float32)
    for total, one in zip(result, logits, strict=True):
        add_softmax(total, one)
    return result


def certainty(maps: np.ndarray) -> np.ndarray:
    """Difference (H, W) of the largest and the second largest class probability (sec. 3.3)."""
    result = np.empty(maps.shape[1:], np.float32)
    for rows in bands(maps):
        first = maps[0, rows].copy()
        second = np.zeros_like(first)
        for plane in maps[1:, rows]:
            np.maximum(second, np.minimum(first, plane), out=second)
            np.maximum(first, plane, out=first)
        np.subtract(first, second, out=result[rows])
    return result


def nearest(source: int, target: int) -> np.ndarray:
    """Pixels of an axis of which another length consists: floor(i * source / target), in float32 as PyTorch does."""
    index = np.floor(np.arange(target, dtype=np.float32) * np.float32(source / target)).astype(np.int64)
    return np.minimum(index, source - 1)


def crop(maps: View, box: Box, size: Size) -> np.ndarray:
    """Part of a map at a size, by ROI align (He et al., ICCV 2017) without its later shift by half a pixel.

    Each output is the mean of bilinear samples in its bin, ceil(bin) along each axis; so even a crop at its own size
    averages neighbouring pixels.

    Parameters
    ----------
    maps : View, (K, H, W)
    box : Box
    size : (int, int)

    Returns
    -------
    ndarray of float32, (K, *size)
    """
    values, vertical, horizontal = _footprint(maps, box, size)
    return np.matmul(np.matmul(vertical, values), horizontal.T)


def crop_mean(scores: View, box: Box, size: Size) -> float:
    """Mean of :func:`crop` of a score map (1, H, W)."""
    values, vertical, horizontal = _footprint(scores, box, size)
    return float(vertical.mean(axis=0) @ values[0] @ horizontal.mean(axis=0))


def _footprint(maps: View, box: Box, size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of a map that a crop needs, and its weights in each row and column of the crop."""
    rows, vertical = _align_weights(maps.size[0], box.top, box.bottom, size[0])
    columns, horizontal = _align_weights(maps.size[1], box.left, box.right, size[1])
    return maps.take(rows, columns), vertical, horizontal


def _align_weights(pixels: int, start: float, stop: float, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that an axis of a crop needs, and the weight (bins, pixels) of each in each bin."""
    step = max(stop - start, 1.0) / bins
    samples = math.ceil(step)
    position = start + step * (np.arange(bins)[:, None] + (np.arange(samples) + 0.5) / samples)
    inside = (position >= -1) & (position <= pixels)
    position = np.clip(position, 0, pixels - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, pixels - 1)
    first, end = int(low.min()), int(high.max()) + 1
    weights = np.zeros((bins, end - first), np.float32)
    index = np.arange(bins)[:, None]
    np.add.at(weights, (index, low - first), inside * (1 - (position - low)) / samples)
    np.add.at(weights, (index, high - first), inside * (position - low) / samples)
    return np.arange(first, end), weights


def smooth(scores: np.ndarray, kernel: int) -> np.ndarray:
    """Median over kernel x kernel pixels; those outside of the map count 0."""
    return median_filter(scores, size=kernel, mode="constant", cval=0.0)
