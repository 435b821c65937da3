"""Signed distances to the borders between classes, computed on the CPU."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["distance_maps"]


def distance_maps(label: np.ndarray, num_classes: int, ignore: int = -1) -> np.ndarray:
    """Level-set function of the region of every class (Kervadec et al., MIDL 2019, sec. 2.1).

    Euclidean distances in pixels to the border pixels of the region, which belong to it: positive outside,
    0 at the border, negative inside. Ignored pixels belong neither to the class nor to the others, so that no
    border runs along them. Where one side is empty there is no border, and the map is 0.

    Parameters
    ----------
    label : ndarray, (N, H, W)
        Classes 0..num_classes-1, or the ignore label.
    num_classes : int
        Number of classes K.
    ignore : int
        Label of pixels without class.

    Returns
    -------
    ndarray, (N, K, H, W)
        float32.
    """
    maps = np.zeros((label.shape[0], num_classes, *label.shape[1:]), np.float32)
    for image, levels in zip(label, maps, strict=True):
        labelled = image != ignore
        for number in range(num_classes):
            inside = image == number
            outside = labelled & ~inside
            if inside.any() and outside.any():
                depth = np.maximum(_distance_to(outside) - 1, 0)
                levels[number] = np.where(inside, -depth, _distance_to(inside))
    return maps


def _distance_to(region: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest one of a boolean mask."""
    return cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
