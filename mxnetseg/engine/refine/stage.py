"""One scale of the progression: what is refined, and which pixels take the refined values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...config import RefineConfig
from ..scores import argmax_classes
from .grid import Box, grid
from .maps import best_points, certainty, crop_mean, resize_bilinear, resize_nearest, smooth
from .mosaic import Mosaic

__all__ = ["Stage", "begin", "complete"]

Size = tuple[int, int]


@dataclass
class Stage:
    """A scale, before and after its refinement.

    Attributes
    ----------
    scale : (int, int)
        Height and width of the whole image at this scale.
    probabilities : ndarray of float32, (K, H, W)
        Map so far, at this scale; refined in place. (Of the coarse view: at the network's input size.)
    uncertainty : ndarray of float32, (H, W)
        1 minus the difference of the two largest probabilities, before the refinement.
    boxes : list of Box
        All patches of the scale.
    patch_uncertainty : ndarray of float64, (P,)
        Mean uncertainty of each patch.
    selected : list of int
        Patches that are refined, in this order.
    refined : ndarray of float32, (K, H, W), optional
        Refined map, 0 outside of the selected patches.
    mask : ndarray of bool, (H, W), optional
        Inner parts of the selected patches.
    error : ndarray of float32, (H, W), optional
        Score by which points are chosen: certainty of the refined map times uncertainty before, smoothed.
    points : ndarray of bool, (H, W), optional
        Points chosen by their score.
    """

    scale: Size
    probabilities: np.ndarray
    uncertainty: np.ndarray
    boxes: list[Box]
    patch_uncertainty: np.ndarray
    selected: list[int]
    refined: np.ndarray | None = None
    mask: np.ndarray | None = None
    error: np.ndarray | None = None
    points: np.ndarray | None = None

    def labels(self, size: Size) -> np.ndarray:
        """Most probable classes at a size."""
        return argmax_classes(resize_bilinear(self.probabilities, size))[0]

    def uncertainty_picture(self, size: Size) -> np.ndarray:
        """Uncertainty at a size, uint8: black where the map was sure, white where it was not."""
        return (255 * resize_bilinear(self.uncertainty[None], size)[0]).astype(np.uint8)


def begin(maps: np.ndarray, size: Size, config: RefineConfig) -> Stage:
    """Bring a map to the next scale and choose its patches.

    Parameters
    ----------
    maps : ndarray of float32, (K, h, w)
        Probabilities so far.
    size : (int, int)
        Height and width of the scale.
    config : RefineConfig
    """
    maps = resize_bilinear(maps, size)
    uncertainty = 1 - certainty(maps)
    boxes = grid(size, config.crop_size)
    scores = np.array([crop_mean(uncertainty, box, config.input_size) for box in boxes])
    order = np.argsort(scores if config.selection == "official" else -scores, kind="stable")
    selected = order if config.n_patches < 0 else order[: config.n_patches]
    return Stage(size, maps, uncertainty, boxes, scores, selected.tolist())


def complete(stage: Stage, mosaic: Mosaic, config: RefineConfig) -> None:
    """Give the points of highest score their refined probabilities (sec. 3.3).

    Parameters
    ----------
    stage : Stage
        Of :func:`begin`; completed here.
    mosaic : Mosaic
        Its refined patches.
    config : RefineConfig
    """
    stage.refined, stage.mask = mosaic.finish(), mosaic.mask
    certain = certainty(stage.refined)
    if config.n_patches > 0:
        certain[stage.mask if config.selection == "official" else ~stage.mask] = 0
    score = resize_nearest(certain * stage.uncertainty, config.input_size)
    stage.error = resize_nearest(smooth(score, config.smooth_kernel), stage.scale)
    stage.points = best_points(stage.error, _point_count(stage, config.n_points))
    points = stage.points
    if config.n_patches > 0:
        points = points & stage.mask
    if config.selection == "fixed":
        # Smoothing can carry a score to a pixel that belongs to no patch and has nothing to take.
        points = points & mosaic.covered
    np.copyto(stage.probabilities, stage.refined, where=points)


def _point_count(stage: Stage, wanted: float) -> int:
    """Number of points to choose: at most the share of the refined patches."""
    pixels = stage.scale[0] * stage.scale[1]
    refined, patches = len(stage.selected), len(stage.boxes)
    if wanted > 1:
        return min(int(wanted), pixels * refined // patches)
    return int(pixels * wanted * refined / patches)
