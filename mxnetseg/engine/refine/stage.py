"""One scale of the progression: what is refined, and which pixels take the refined values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...config import RefineConfig
from ..scores import argmax_classes, label_dtype
from .grid import Box, grid
from .maps import certainty, crop_mean, nearest, smooth
from .mosaic import Mosaic
from .points import Points
from .views import Index, Size, Uncertainty, View, assemble, resized

__all__ = ["Stage", "begin", "complete"]

# Side of what is computed together of a reduced map: a pixel may need four of every coarser scale.
_REDUCED = 64


@dataclass
class Stage(View):
    """A scale, before and after its refinement; as a view it is the probabilities after it.

    Attributes
    ----------
    scale : (int, int)
        Height and width of the whole image at this scale.
    before : View, (K, H, W)
        Probabilities before the refinement. (Of the coarse view: at the network's input size.)
    config : RefineConfig
    boxes : list of Box
        All patches of the scale.
    patch_uncertainty : ndarray of float64, (P,)
        Mean uncertainty of each patch.
    selected : list of int
        Patches that are refined, in this order.
    refined : Mosaic, optional
        Refined patches.
    points : Points, optional
        Points chosen by their score: certainty of the refined map times uncertainty before, smoothed.
    """

    scale: Size
    before: View
    config: RefineConfig
    boxes: list[Box]
    patch_uncertainty: np.ndarray
    selected: list[int]
    refined: Mosaic | None = None
    points: Points | None = None

    @property
    def size(self) -> Size:
        """Height and width of the map."""
        return self.before.size

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.before.classes

    @property
    def uncertainty(self) -> View:
        """Uncertainty, (1, H, W), before the refinement."""
        return Uncertainty(self.before)

    def take(self, rows: Index, columns: Index) -> np.ndarray:
        """See :meth:`.views.View.take`."""
        before = self.before.take(rows, columns)
        replaced = self.replaced(rows, columns)
        return np.where(replaced, self.refined.take(rows, columns), before) if replaced.any() else before

    def replaced(self, rows: Index, columns: Index) -> np.ndarray:
        """Mask of the crossings of some rows and columns that take refined values."""
        if self.points is None:
            return np.zeros((len(rows), len(columns)), bool)
        chosen = self.points.take(rows, columns)
        if self.config.n_patches > 0:
            chosen &= self.refined.mask(rows, columns)
        if self.config.selection == "fixed":
            # Smoothing can carry a score to a pixel that belongs to no patch and has nothing to take.
            chosen &= self.refined.covered(rows, columns)
        return chosen

    def labels(self, size: Size) -> np.ndarray:
        """Most probable classes at a size, uint8 (uint16 beyond 256 classes)."""
        maps, result = resized(self, size), np.empty(size, label_dtype(self.classes))
        return assemble(result, lambda *part: argmax_classes(maps.take(*part))[0], _REDUCED)

    def uncertainty_picture(self, size: Size) -> np.ndarray:
        """Uncertainty at a size, uint8: black where the map was sure, white where it was not."""
        maps, result = resized(self.uncertainty, size), np.empty(size, np.uint8)
        return assemble(result, lambda *part: (255 * maps.take(*part)[0]).astype(np.uint8), _REDUCED)


def begin(maps: View, size: Size, config: RefineConfig) -> Stage:
    """Bring a map to the next scale and choose its patches.

    Parameters
    ----------
    maps : View, (K, h, w)
        Probabilities so far.
    size : (int, int)
        Height and width of the scale.
    config : RefineConfig
    """
    before = resized(maps, size)
    boxes, uncertainty = grid(size, config.crop_size), Uncertainty(before)
    scores = np.array([crop_mean(uncertainty, box, config.input_size) for box in boxes])
    order = np.argsort(scores if config.selection == "official" else -scores, kind="stable")
    selected = order if config.n_patches < 0 else order[: config.n_patches]
    return Stage(size, before, config, boxes, scores, selected.tolist())


def complete(stage: Stage) -> None:
    """Choose the points that take their refined probabilities (sec. 3.3), when all patches are refined."""
    scores = smooth(_scores(stage), stage.config.smooth_kernel)
    stage.points = Points(scores, stage.scale, _point_count(stage))


def _scores(stage: Stage) -> np.ndarray:
    """Score of every pixel of the scale that is looked at: (h, w) of the network's input."""
    lengths = zip(stage.scale, stage.config.input_size, strict=True)
    (rows, down), (columns, across) = (np.unique(nearest(*pair), return_inverse=True) for pair in lengths)

    def part(ys: Index, xs: Index) -> np.ndarray:
        place = rows[ys], columns[xs]
        certain = certainty(stage.refined.take(*place))
        if stage.config.n_patches > 0:
            mask = stage.refined.mask(*place)
            certain[mask if stage.config.selection == "official" else ~mask] = 0
        return certain * stage.uncertainty.take(*place)[0]

    return assemble(np.empty((len(rows), len(columns)), np.float32), part, _REDUCED)[np.ix_(down, across)]


def _point_count(stage: Stage) -> int:
    """Number of points to choose: at most the share of the refined patches."""
    pixels, wanted = stage.scale[0] * stage.scale[1], stage.config.n_points
    refined, patches = len(stage.selected), len(stage.boxes)
    if wanted > 1:
        return min(int(wanted), pixels * refined // patches)
    return int(pixels * wanted * refined / patches)
