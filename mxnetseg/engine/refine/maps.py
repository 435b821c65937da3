"""Operations on probability maps (K, H, W) and score maps (H, W), float32."""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy.ndimage import median_filter

from ..scores import add_softmax, bands
from .grid import Box

__all__ = [
    "best_points",
    "certainty",
    "crop",
    "crop_mean",
    "probabilities",
    "resize_bilinear",
    "resize_nearest",
    "smooth",
]

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


def resize_bilinear(maps: np.ndarray, size: Size) -> np.ndarray:
    """Maps at another size, half-pixel convention; the same array where the size is the same."""
    if maps.shape[1:] == tuple(size):
        return maps
    result = np.empty((len(maps), *size), np.float32)
    for plane, target in zip(maps, result, strict=True):
        cv2.resize(plane, size[::-1], dst=target)
    return result


def resize_nearest(scores: np.ndarray, size: Size) -> np.ndarray:
    """Score map at another size; pixel i is taken from floor(i * in / out), computed in float32 as PyTorch does."""
    rows, columns = (_nearest(n, m) for n, m in zip(scores.shape, size, strict=True))
    return scores[np.ix_(rows, columns)]


def _nearest(source: int, target: int) -> np.ndarray:
    index = np.floor(np.arange(target, dtype=np.float32) * np.float32(source / target)).astype(np.int64)
    return np.minimum(index, source - 1)


def crop(maps: np.ndarray, box: Box, size: Size) -> np.ndarray:
    """Part of a map at a size, by ROI align (He et al., ICCV 2017) without its later shift by half a pixel.

    Each output is the mean of bilinear samples in its bin, ceil(bin) along each axis; so even a crop at its own size
    averages neighbouring pixels.

    Parameters
    ----------
    maps : ndarray of float32, (K, H, W)
    box : Box
    size : (int, int)

    Returns
    -------
    ndarray of float32, (K, *size)
    """
    (rows, vertical), (columns, horizontal) = _both_weights(maps.shape[-2:], box, size)
    return np.matmul(np.matmul(vertical, maps[..., rows, columns]), horizontal.T)


def crop_mean(scores: np.ndarray, box: Box, size: Size) -> float:
    """Mean of :func:`crop` of a score map (H, W)."""
    (rows, vertical), (columns, horizontal) = _both_weights(scores.shape, box, size)
    return float(vertical.mean(axis=0) @ scores[rows, columns] @ horizontal.mean(axis=0))


def _both_weights(shape: Size, box: Box, size: Size) -> tuple[tuple[slice, np.ndarray], tuple[slice, np.ndarray]]:
    return (
        _align_weights(shape[0], box.top, box.bottom, size[0]),
        _align_weights(shape[1], box.left, box.right, size[1]),
    )


def _align_weights(pixels: int, start: float, stop: float, bins: int) -> tuple[slice, np.ndarray]:
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
    return slice(first, end), weights


def smooth(scores: np.ndarray, kernel: int) -> np.ndarray:
    """Median over kernel x kernel pixels; those outside of the map count 0."""
    return median_filter(scores, size=kernel, mode="constant", cval=0.0)


def best_points(scores: np.ndarray, count: int) -> np.ndarray:
    """Mask (H, W) of the `count` highest scores; of equal ones the first in reading order."""
    flat = scores.ravel()
    if count >= flat.size:
        return np.ones(scores.shape, bool)
    if count <= 0:
        return np.zeros(scores.shape, bool)
    threshold = np.partition(flat, flat.size - count)[flat.size - count]
    chosen = flat > threshold
    ties = np.flatnonzero(flat == threshold)
    chosen[ties[: count - np.count_nonzero(chosen)]] = True
    return chosen.reshape(scores.shape)
