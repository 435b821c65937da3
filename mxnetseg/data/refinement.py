"""Training samples of a refinement module (MagNet): the whole image small, and a window of it at a finer scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .labels import IGNORE
from .transforms import MEAN, STD

if TYPE_CHECKING:
    from ..config import RefineConfig

__all__ = ["RefinementTransform", "unpack"]

Size = tuple[int, int]


class RefinementTransform:
    """Coarse view and random window, packed into one image and one label.

    A scale is drawn among all but the first, then the place of a window of ``crop_size`` in the image at that scale;
    both views are brought to ``input_size`` (Huynh et al., CVPR 2021, sec. 4.1). For input size (h, w) the packed
    image has 2 h + 1 rows: the coarse view, the window, and in the first channel of the last row the window's left,
    top, right and bottom in pixels of the coarse view. Only the window is labelled.

    Parameters
    ----------
    config : RefineConfig
        ``scales``, ``crop_size`` and ``input_size`` are used.

    Attributes
    ----------
    crop : (int, int)
        Size of a packed sample.
    """

    def __init__(self, config: RefineConfig):
        self.scales, self.window_size, self.input_size = config.scales[1:], config.crop_size, config.input_size
        self.crop = (2 * self.input_size[0] + 1, self.input_size[1])

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Packed sample.

        Parameters
        ----------
        image : uint8 array (H, W, 3)
        label : int32, int16 or int8 array (H, W)
        rng : numpy Generator
            All randomness comes from it.

        Returns
        -------
        image : float32 array (2 h + 1, w, 3)
        label : array (2 h + 1, w)
        """
        scale = self.scales[rng.integers(len(self.scales))]
        x, y = (int(rng.integers(scale[axis] - self.window_size[axis] + 1)) for axis in (1, 0))
        return self.pack(image, label, scale, (y, x))

    def pack(self, image: np.ndarray, label: np.ndarray, scale: Size, corner: Size) -> tuple[np.ndarray, np.ndarray]:
        """Packed sample of the window with that top left corner in the image at that scale."""
        height, width = self.input_size
        rows, columns = (slice(c, c + n) for c, n in zip(corner, self.window_size, strict=True))
        packed, ids = np.zeros((*self.crop, 3), np.float32), np.full(self.crop, IGNORE, label.dtype)
        packed[:height] = cv2.resize(image, (width, height))
        window = cv2.resize(image, scale[::-1])[rows, columns]
        packed[height : 2 * height] = cv2.resize(window, (width, height))
        corners = np.array([columns.start, rows.start, columns.stop, rows.stop])
        packed[-1, :4, 0] = corners * np.tile([width / scale[1], height / scale[0]], 2)
        scaled = cv2.resize(label, scale[::-1], interpolation=cv2.INTER_NEAREST)
        # Twice the nearest pixel, as MagNet's labels are made.
        ids[height : 2 * height] = cv2.resize(
            np.ascontiguousarray(scaled[rows, columns]), (width, height), interpolation=cv2.INTER_NEAREST
        )
        return packed, ids


def unpack(batch: Any, input_size: Size) -> tuple[Any, Any, Any]:
    """Coarse views, windows, and boxes of a batch of packed samples.

    Parameters
    ----------
    batch : array (N, 3, 2 h + 1, w)
        Normalised, from NumPy or MXNet.
    input_size : (int, int)

    Returns
    -------
    coarse, fine : arrays (N, 3, h, w)
    boxes : array (N, 4)
        Left, top, right and bottom in pixels of the coarse view.
    """
    height, _ = input_size
    boxes = (batch[:, 0, 2 * height, :4] * STD[0] + MEAN[0]) * 255
    return batch[:, :, :height], batch[:, :, height : 2 * height], boxes
