"""Metrics of the neighbourhood of class borders: boundary IoU and boundary F-score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .errors import DataError

__all__ = ["BoundaryCounts", "border_band", "contours"]


def border_band(labels: np.ndarray, width: int) -> np.ndarray:
    """Mask of the pixels with another label, or the frame of the image, at most `width` pixels away.

    The distance is the larger one of rows and columns, as repeated erosion by 3x3 pixels has it.

    Parameters
    ----------
    labels : ndarray of int, (H, W)
        From -1 upward.
    width : int
        At least 1.

    Returns
    -------
    ndarray of bool, (H, W)
    """
    shifted = (labels + 1).astype(np.uint8 if labels.max(initial=0) < 255 else np.uint16)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    frame = {"borderType": cv2.BORDER_CONSTANT}
    lowest = cv2.erode(shifted, kernel, **frame, borderValue=0)
    # No label is above the highest one, so the frame need not count twice.
    highest = cv2.dilate(shifted, kernel, **frame, borderValue=0)
    return (lowest != shifted) | (highest != shifted)


def contours(labels: np.ndarray) -> np.ndarray:
    """Mask of the pixels that touch a pixel of another class along an edge; -1 is no class."""
    mask = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        one, other = (np.s_[:-1], np.s_[1:]) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
        differ = (labels[one] != labels[other]) & (labels[one] >= 0) & (labels[other] >= 0)
        mask[one] |= differ
        mask[other] |= differ
    return mask


class BoundaryCounts:
    """Counts behind boundary IoU and boundary F-score, summed over images.

    Boundary IoU (Cheng et al., CVPR 2021, eq. 1) is the IoU of the parts of label and prediction within a distance of
    their own borders. The boundary F-score (Csurka et al., BMVC 2013) joins the shares of predicted and of labelled
    contour pixels of a class that have one of the other kind within a tolerance. Pixels labelled -1 belong to no class,
    whatever is predicted there.

    Parameters
    ----------
    num_classes : int
        Number of classes K.
    distance : float
        Width of the bands of boundary IoU, relative to the diagonal of the image.
    tolerance : float
        Tolerance of the F-score, relative to the diagonal of the image.
    left_out : sequence of int
        Classes that the means do not count.
    """

    def __init__(
        self, num_classes: int, distance: float = 0.02, tolerance: float = 0.0075, left_out: Sequence[int] = ()
    ):
        self.num_classes, self.distance, self.tolerance = num_classes, distance, tolerance
        self.left_out = tuple(left_out)
        # Band pixels: in both, labelled, predicted. Contour pixels: labelled, matched of these, predicted, matched.
        self.bands, self.edges = np.zeros((3, num_classes), np.int64), np.zeros((4, num_classes), np.int64)

    def update(self, label: np.ndarray, prediction: np.ndarray) -> None:
        """Count one image.

        Parameters
        ----------
        label : ndarray of int, (H, W)
            Classes 0..K-1, or -1 where unlabelled.
        prediction : ndarray of int, (H, W)
            Classes 0..K-1.

        Raises
        ------
        DataError
            If the shapes differ.
        """
        if label.shape != prediction.shape or label.ndim != 2:
            raise DataError(f"label {label.shape} and prediction {prediction.shape}", "equal shapes (H, W)")
        diagonal = math.hypot(*label.shape)
        label = label.astype(np.int32)
        prediction = np.where(label < 0, -1, prediction).astype(np.int32)
        self._count_bands(label, prediction, max(1, round(self.distance * diagonal)))
        self._count_edges(label, prediction, max(1.0, self.tolerance * diagonal))

    def _count_bands(self, label: np.ndarray, prediction: np.ndarray, width: int) -> None:
        true, found = (np.where(border_band(m, width), m, -1) for m in (label, prediction))
        for row, values in zip(self.bands, (true[true == found], true, found), strict=True):
            row += self._histogram(values)

    def _count_edges(self, label: np.ndarray, prediction: np.ndarray, tolerance: float) -> None:
        true, found = (np.where(contours(m), m, -1) for m in (label, prediction))
        for k in np.union1d(np.unique(true), np.unique(found)):
            if k >= 0:
                sides = true == k, found == k
                matched = (_near(other, side, tolerance) for side, other in (sides, sides[::-1]))
                for row, value in zip((0, 2, 1, 3), (*(s.sum() for s in sides), *matched), strict=True):
                    self.edges[row, k] += value

    def _histogram(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(values[values >= 0].ravel(), minlength=self.num_classes)

    def merge(self, other: BoundaryCounts) -> BoundaryCounts:
        """Add the counts of other images (in place) and return self."""
        self.bands += other.bands
        self.edges += other.edges
        return self

    @property
    def iou(self) -> np.ndarray:
        """Boundary IoU per class (K,); NaN for a class absent from labels and predictions."""
        both, true, found = self.bands
        return _divide(both, true + found - both)

    @property
    def f_score(self) -> np.ndarray:
        """Boundary F-score per class (K,); NaN for a class without any contour."""
        true, recalled, found, precise = self.edges
        recall, precision = np.nan_to_num(_divide(recalled, true)), np.nan_to_num(_divide(precise, found))
        score = np.nan_to_num(_divide(2 * precision * recall, precision + recall))
        return np.where(true + found > 0, score, np.nan)

    def summary(self) -> dict[str, float]:
        """Means over the classes whose value is known: mBIoU, mBF."""
        return {"mBIoU": self._mean(self.iou), "mBF": self._mean(self.f_score)}

    def _mean(self, values: np.ndarray) -> float:
        known = np.delete(values, self.left_out)
        known = known[~np.isnan(known)]
        return float(known.mean()) if known.size else float("nan")


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b as float64, NaN where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b != 0)


def _near(these: np.ndarray, those: np.ndarray, tolerance: float) -> int:
    """Number of pixels of `those` that are at most `tolerance` away from one of `these`."""
    if not these.any() or not those.any():
        return 0
    distance = cv2.distanceTransform((~these).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return int(np.count_nonzero(distance[those] <= tolerance))
