"""Training transforms of other programs: semseg (MLMSNet, MFARANet) and mmsegmentation (MLCRNet).

They resample step by step with OpenCV, as the originals do, and draw their random numbers in the originals' order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from .color import photometric_distortion
from .labels import IGNORE
from .transforms import MEAN, TrainTransform

if TYPE_CHECKING:
    from ..config import AugmentConfig, DataConfig

__all__ = ["MMSegTransform", "SemsegTransform", "Transform", "build_transform"]

# What normalises to 0.
_MEAN = tuple(255 * m for m in MEAN)
_REDRAWS = 10


def build_transform(config: DataConfig) -> Transform:
    """Training transform that a configuration names; called as ``transform(image, label, rng)``."""
    transforms = {"gluon": TrainTransform, "semseg": SemsegTransform, "mmseg": MMSegTransform}
    return transforms[config.transform](config)


class SemsegTransform:
    """Scale, rotation, blur, mirror, centred padding and crop, in floating point (semseg, as MLMSNet has it).

    Parameters
    ----------
    config : DataConfig
        ``resize`` (first of all), ``augment.scale`` or ``augment.scale_choices`` (of the image's own size),
        ``augment.rotate``, ``augment.blur`` (Gaussian, 5x5), ``augment.flip`` and ``crop_size`` are used.
    """

    def __init__(self, config: DataConfig):
        side, self.augment, self.resize = config.crop_size, config.augment, config.resize
        self.crop = (side, side) if isinstance(side, int) else (side[0], side[1])

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Transform a sample.

        Parameters
        ----------
        image : uint8 array (H, W, 3)
        label : int32, int16 or int8 array (H, W)
        rng : numpy Generator
            All randomness comes from it.

        Returns
        -------
        image : float32 array (h, w, 3)
            In 0..255.
        label : array (h, w)
            Of the same type.
        """
        image, augment = image.astype(np.float32), self.augment
        if self.resize:
            image, label = _resized(image, label, self.resize)
        image, label = _scaled(image, label, _draw_scale(augment, rng))
        if augment.rotate and rng.random() < 0.5:
            image, label = _rotated(image, label, augment.rotate * (2 * rng.random() - 1))
        if augment.blur and rng.random() < augment.blur:
            image = cv2.GaussianBlur(image, (5, 5), 0)
        if augment.flip and rng.random() < augment.flip:
            image, label = cv2.flip(image, 1), label[:, ::-1]
        image, label = _padded(image, np.ascontiguousarray(label), self.crop, centred=True)
        y, x = (int(rng.integers(0, have - want + 1)) for have, want in zip(label.shape, self.crop, strict=True))
        window = (slice(y, y + self.crop[0]), slice(x, x + self.crop[1]))
        return image[window], label[window]


class MMSegTransform:
    """Scale, crop with a limit on the largest class, mirror, photometric distortion, padding (mmsegmentation).

    Parameters
    ----------
    config : DataConfig
        ``base_size`` (longer side at scale 1), ``augment.scale`` or ``augment.scale_choices``,
        ``augment.cat_max_ratio``, ``augment.flip``, ``augment.photometric`` and ``crop_size`` are used.
    """

    def __init__(self, config: DataConfig):
        side, self.augment, self.base_size = config.crop_size, config.augment, config.base_size
        self.crop = (side, side) if isinstance(side, int) else (side[0], side[1])

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Transform a sample; arrays as for :class:`SemsegTransform`, but a uint8 image where it fills the crop."""
        image, label = self.cropped(image, label, rng)
        if self.augment.flip and rng.random() < self.augment.flip:
            image, label = cv2.flip(image, 1), np.ascontiguousarray(label[:, ::-1])
        if self.augment.photometric:
            image = photometric_distortion(image, rng)
        if label.shape == self.crop:
            return image, label
        return _padded(image.astype(np.float32), label, self.crop, centred=False)

    def cropped(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Resize so that the longer side is base_size times a random scale, then crop; smaller images stay whole."""
        target = int(self.base_size * _draw_scale(self.augment, rng))
        factor = target / max(label.shape)
        image, label = _resized(image, label, tuple(int(side * factor + 0.5) for side in label.shape))
        window = self._window(label.shape, rng)
        for _ in range(_REDRAWS if self.augment.cat_max_ratio < 1 else 0):
            counts = np.unique(label[window][label[window] != IGNORE], return_counts=True)[1]
            if len(counts) > 1 and counts.max() < self.augment.cat_max_ratio * counts.sum():
                break
            window = self._window(label.shape, rng)
        return np.ascontiguousarray(image[window]), label[window]

    def _window(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
        """Random crop position; y is drawn before x."""
        starts = [int(rng.integers(0, max(have - want, 0) + 1)) for have, want in zip(shape, self.crop, strict=True)]
        return tuple(slice(start, start + side) for start, side in zip(starts, self.crop, strict=True))


Transform = TrainTransform | SemsegTransform | MMSegTransform


def _draw_scale(augment: AugmentConfig, rng: np.random.Generator) -> float:
    if augment.scale_choices:
        return float(rng.choice(augment.scale_choices))
    low, high = augment.scale
    return low + (high - low) * rng.random()


def _resized(image: np.ndarray, label: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Both at `size` (height, width): bilinear without antialiasing, and nearest neighbour."""
    target = (size[1], size[0])
    return cv2.resize(image, target), cv2.resize(label, target, interpolation=cv2.INTER_NEAREST)


def _scaled(image: np.ndarray, label: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Both times `scale`, which is also the step of the resampling."""
    factor = {"fx": scale, "fy": scale}
    return cv2.resize(image, None, **factor), cv2.resize(label, None, **factor, interpolation=cv2.INTER_NEAREST)


def _rotated(image: np.ndarray, label: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Both turned about the middle on the same canvas."""
    height, width = label.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=_MEAN)
    turned = cv2.warpAffine(
        label.astype(np.int16), matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=IGNORE
    )
    return image, turned.astype(label.dtype)


def _padded(
    image: np.ndarray, label: np.ndarray, size: tuple[int, int], centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Both filled up to `size` with the mean colour and the ignore label, around or at the right and below."""
    lacking = [max(want - have, 0) for want, have in zip(size, label.shape, strict=True)]
    if not any(lacking):
        return image, label
    before = [n // 2 if centred else 0 for n in lacking]
    edges = (before[0], lacking[0] - before[0], before[1], lacking[1] - before[1], cv2.BORDER_CONSTANT)
    return cv2.copyMakeBorder(image, *edges, value=_MEAN), cv2.copyMakeBorder(label, *edges, value=IGNORE)
