"""Joint transforms of image and label: all geometry is drawn first and carried out in one resampling.

The random pipeline is the one of GluonCV's ``SegmentationDataset`` (mirror, scale of the longer side, pad,
crop, blur), with the label mapped before it is padded; class-aware cropping and colour changes are options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from .color import gaussian_blur, jitter_color, photometric_distortion
from .labels import IGNORE

if TYPE_CHECKING:
    from ..config import DataConfig

__all__ = ["MEAN", "STD", "Geometry", "TrainTransform", "ValTransform", "apply_geometry", "denormalize", "normalize"]

# ImageNet statistics of RGB in 0..1, by which every input is normalised.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MEAN_COLOR = tuple(round(255 * m) for m in MEAN)

_REDRAWS = 10
_WHOLE = 4  # resizing the whole image costs less than a part of it up to this ratio of their areas


@dataclass(frozen=True)
class Geometry:
    """Everything that moves pixels: mirror, resize, then crop (padded right and below).

    Attributes
    ----------
    size : tuple of int
        (height, width) that the whole image is resized to.
    crop : tuple of int
        (height, width) of the output.
    offset : tuple of int
        (y, x) of the crop in the resized image.
    flip : bool
        Mirror left-right before resizing.
    """

    size: tuple[int, int]
    crop: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    flip: bool = False


def _nearest(source: int, target: int, start: int, count: int) -> np.ndarray:
    """Source index of target pixels start..start+count by nearest neighbour.

    The positions are summed step by step, as Pillow does: ties fall to the same side.
    """
    steps = np.full(start + count, source / target)
    steps[0] *= 0.5
    return np.minimum(np.cumsum(steps)[start:].astype(np.intp), source - 1)


def _resample(image: np.ndarray, geometry: Geometry, height: int, width: int) -> np.ndarray:
    """Part (height, width) of the image resized by Pillow's antialiased bilinear filter.

    Where nothing shrinks, OpenCV's plain bilinear filter is the same and faster, unless the part is small.
    """
    (out_h, out_w), (y, x) = geometry.size, geometry.offset
    if out_h >= image.shape[0] and out_w >= image.shape[1] and out_h * out_w <= _WHOLE * height * width:
        whole = cv2.resize(cv2.flip(image, 1) if geometry.flip else image, (out_w, out_h))
        return whole[y : y + height, x : x + width]
    top, bottom, *rows = _window(image.shape[0], out_h, y, height)
    left, right, *columns = _window(image.shape[1], out_w, x, width)
    if geometry.flip:
        part = cv2.flip(image[top:bottom, image.shape[1] - right : image.shape[1] - left], 1)
    else:
        part = image[top:bottom, left:right]
    return _resize_box(part, (width, height), (columns[0], rows[0], columns[1], rows[1]))


def _resize_box(image: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """Pillow's resize of a box; four bytes per pixel let it use the array's memory instead of a copy."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    source = Image.frombuffer("RGBX", (image.shape[1], image.shape[0]), pixels, "raw", "RGBX", 0, 1)
    content = source.resize(size, Image.Resampling.BILINEAR, box=box).tobytes("raw", "RGBX")
    return cv2.cvtColor(np.frombuffer(content, np.uint8).reshape(size[1], size[0], 4), cv2.COLOR_RGBA2RGB)


def _window(source: int, target: int, start: int, count: int) -> tuple[int, int, float, float]:
    """Source pixels [first, last) that the filter touches, and the box of the crop within them."""
    scale = source / target
    low, high = start * scale, (start + count) * scale
    margin = int(np.ceil(max(scale, 1.0))) + 1
    first, last = max(int(low) - margin, 0), min(int(np.ceil(high)) + margin, source)
    return first, last, low - first, min(high - first, last - first)


def _gather(label: np.ndarray, geometry: Geometry, height: int, width: int) -> np.ndarray:
    """Part (height, width) of the label resized by nearest neighbour."""
    rows = _nearest(label.shape[0], geometry.size[0], geometry.offset[0], height)
    columns = _nearest(label.shape[1], geometry.size[1], geometry.offset[1], width)
    return label.take(rows, 0).take(label.shape[1] - 1 - columns if geometry.flip else columns, 1)


def _counts(label: np.ndarray) -> np.ndarray:
    """Pixels of every class."""
    values = label.ravel()
    return np.bincount(values[values >= 0])


def apply_geometry(
    image: np.ndarray,
    label: np.ndarray | None,
    geometry: Geometry,
    pad_color: tuple[int, int, int] = MEAN_COLOR,
    pad_label: int = IGNORE,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Carry out a geometry on an image and its label.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
    label : integer array (H, W), optional
    geometry : Geometry
    pad_color : tuple of int
        Colour right of and below an image smaller than the crop.
    pad_label : int
        Label there.

    Returns
    -------
    image : uint8 array (h, w, 3)
        Antialiased bilinear, as Pillow computes it (to 1 grey level).
    label : array (h, w)
        Nearest neighbour, as Pillow computes it (exactly); None without a label.
    """
    (out_h, out_w), (y, x) = geometry.crop, geometry.offset
    height, width = min(out_h, geometry.size[0] - y), min(out_w, geometry.size[1] - x)
    out = _resample(image, geometry, height, width)
    if label is not None:
        label = _gather(label, geometry, height, width)
    if (height, width) != (out_h, out_w):
        edges = (0, out_h - height, 0, out_w - width, cv2.BORDER_CONSTANT)
        out = cv2.copyMakeBorder(out, *edges, value=pad_color)
        label = None if label is None else cv2.copyMakeBorder(label, *edges, value=pad_label)
    return out, label


def scaled_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(height, width) with the longer side `long_side` and the aspect ratio kept (halves rounded up)."""
    if height > width:
        return long_side, int(width * long_side / height + 0.5)
    return int(height * long_side / width + 0.5), long_side


class TrainTransform:
    """Random training transform.

    Parameters
    ----------
    config : DataConfig
        ``base_size``, ``crop_size`` and ``augment`` are used.
    pad_color : tuple of int
        Colour around images smaller than the crop; the ImageNet mean by default, which normalises to 0.
    """

    def __init__(self, config: DataConfig, pad_color: tuple[int, int, int] = MEAN_COLOR):
        side, augment = config.crop_size, config.augment
        self.crop = (side, side) if isinstance(side, int) else (side[0], side[1])
        self.long_side = (int(augment.scale[0] * config.base_size), int(augment.scale[1] * config.base_size))
        self.long_sides = [int(scale * config.base_size) for scale in augment.scale_choices]
        self.pad_color = pad_color
        self.flip, self.blur, self.jitter = augment.flip, augment.blur, augment.jitter
        self.cat_max_ratio, self.class_uniform = augment.cat_max_ratio, augment.class_uniform
        self.photometric = augment.photometric

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
        image : uint8 array (h, w, 3)
        label : array (h, w)
            Of the same type.
        """
        image, label = apply_geometry(image, label, self.draw(label, rng), self.pad_color)
        radius = rng.random() if rng.random() < self.blur else 0.0
        image = gaussian_blur(image, radius)
        if any(self.jitter):
            image = jitter_color(image, self.jitter, rng)
        return (photometric_distortion(image, rng) if self.photometric else image), label

    def draw(self, label: np.ndarray, rng: np.random.Generator) -> Geometry:
        """Draw mirror, scale and crop for a label of shape (H, W)."""
        flip = rng.random() < self.flip
        low, high = self.long_side
        long_side = int(rng.choice(self.long_sides) if self.long_sides else rng.integers(low, high + 1))
        size = scaled_size(*label.shape, long_side)
        geometry = Geometry(size, self.crop, self._offset(size, rng), flip)
        if self.class_uniform and rng.random() < self.class_uniform:
            geometry = Geometry(size, self.crop, self._around_class(label, geometry, rng), flip)
        for _ in range(_REDRAWS if self.cat_max_ratio < 1 else 0):
            if self._balanced(label, geometry):
                break
            geometry = Geometry(size, self.crop, self._offset(size, rng), flip)
        return geometry

    def _offset(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """Uniform crop position; x is drawn before y, as in GluonCV."""
        x = int(rng.integers(0, max(size[1] - self.crop[1], 0) + 1))
        return int(rng.integers(0, max(size[0] - self.crop[0], 0) + 1)), x

    def _around_class(self, label: np.ndarray, geometry: Geometry, rng: np.random.Generator) -> tuple[int, int]:
        """Crop position that holds a random pixel of a class drawn uniformly from those present."""
        counts = _counts(label)
        present = np.flatnonzero(counts)
        if not len(present):
            return geometry.offset
        pick = rng.choice(present)
        y, x = divmod(np.flatnonzero(label.ravel() == pick)[rng.integers(counts[pick])], label.shape[1])
        point = (y, label.shape[1] - 1 - x if geometry.flip else x)
        offset = []
        for axis in (0, 1):
            position = int((point[axis] + 0.5) * geometry.size[axis] / label.shape[axis])
            low, high = position - self.crop[axis] + 1, position
            start = int(rng.integers(low, high + 1))
            offset.append(min(max(start, 0), max(geometry.size[axis] - self.crop[axis], 0)))
        return offset[0], offset[1]

    def _balanced(self, label: np.ndarray, geometry: Geometry) -> bool:
        """More than one class, none above the allowed share of labelled pixels (mmsegmentation's rule)."""
        (y, x), (height, width) = geometry.offset, geometry.size
        counts = _counts(_gather(label, geometry, min(geometry.crop[0], height - y), min(geometry.crop[1], width - x)))
        return bool(np.count_nonzero(counts) > 1 and counts.max() < self.cat_max_ratio * counts.sum())


class ValTransform:
    """Short side to the crop size, then a centre crop: GluonCV's historical validation transform.

    Parameters
    ----------
    crop : int
        Side of the square.
    """

    def __init__(self, crop: int):
        self.crop = crop

    def __call__(self, image: np.ndarray, label: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Transform a sample; arrays as for :class:`TrainTransform`."""
        height, width = image.shape[:2]
        if height > width:
            size = (int(height * self.crop / width), self.crop)
        else:
            size = (self.crop, int(width * self.crop / height))
        offset = (round((size[0] - self.crop) / 2), round((size[1] - self.crop) / 2))
        return apply_geometry(image, label, Geometry(size, (self.crop, self.crop), offset))


_SCALE = (1.0 / (255.0 * np.array(STD))).astype(np.float32)
_SHIFT = (-np.array(MEAN) / np.array(STD)).astype(np.float32)


def normalize(image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Network input of an image: (x / 255 - mean) / std per channel, ImageNet statistics.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
        RGB.
    out : float32 array (3, H, W), optional
        Where to write.

    Returns
    -------
    float32 array (3, H, W)
    """
    out = np.empty((3, *image.shape[:2]), np.float32) if out is None else out
    for channel, scale, shift, target in zip(cv2.split(image), _SCALE, _SHIFT, out, strict=True):
        np.multiply(channel, scale, out=target)
        np.add(target, shift, out=target)
    return out


def denormalize(array: np.ndarray) -> np.ndarray:
    """uint8 image (H, W, 3) of a normalised array (3, H, W)."""
    pixels = (array - _SHIFT[:, None, None]) / _SCALE[:, None, None]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
