"""Changes of colour and sharpness of uint8 RGB images."""

from __future__ import annotations

import math

import cv2
import numpy as np

__all__ = ["gaussian_blur", "jitter_color", "photometric_distortion"]

_BLUR_PASSES = 3
_NO_BLUR = 0.07  # below, no pass changes a pixel by half a grey level


def gaussian_blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Approximate Gaussian blur of standard deviation `radius`, as Pillow's ``GaussianBlur``.

    Three passes of an extended box filter (Gwosdek et al., SSVM 2011) per axis, rounded after each.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
    radius : float
        In [0, 1], in pixels.

    Returns
    -------
    uint8 array (H, W, 3)
    """
    if radius < _NO_BLUR:
        return image
    variance = radius * radius / _BLUR_PASSES
    edge = variance / (2 * (1 - variance))
    box = np.array([[edge, 1.0, edge]], np.float32) / (1 + 2 * edge)
    for kernel in (box, box.T):
        for _ in range(_BLUR_PASSES):
            image = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return image


def _affine(image: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """clip(image * alpha + beta), truncated to uint8."""
    table = np.clip(np.arange(256, dtype=np.float32) * alpha + beta, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def _factor(strength: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(max(0.0, 1 - strength), 1 + strength))


def jitter_color(
    image: np.ndarray, strength: tuple[float, float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Change brightness, contrast, saturation and hue in a random order.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
    strength : tuple of float
        Factors are uniform in [max(0, 1 - s), 1 + s]; the hue turns by up to s of the colour circle.
    rng : numpy Generator

    Returns
    -------
    uint8 array (H, W, 3)
    """
    brightness, contrast, saturation, hue = strength
    changes = (
        lambda x: _affine(x, _factor(brightness, rng), 0) if brightness else x,
        lambda x: _contrast(x, _factor(contrast, rng)) if contrast else x,
        lambda x: _saturation(x, _factor(saturation, rng)) if saturation else x,
        lambda x: _hue(x, round(180 * float(rng.uniform(-hue, hue)))) if hue else x,
    )
    for which in rng.permutation(4):
        image = changes[which](image)
    return image


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Stretch about the mean grey value."""
    mean = math.floor(float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()) + 0.5)
    return _affine(image, factor, (1 - factor) * mean)


def _saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, gray, 1 - factor, 0)


def _hue(image: np.ndarray, degrees: int) -> np.ndarray:
    """Turn the hue by steps of two degrees."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = cv2.LUT(hsv[..., 0], ((np.arange(256) + degrees) % 180).astype(np.uint8))
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def photometric_distortion(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random brightness, contrast, saturation and hue of SSD (Liu et al., ECCV 2016), as in mmsegmentation.

    Each is applied with probability 1/2: brightness +-32, contrast and saturation factors in [0.5, 1.5]
    (contrast before or after the others), hue +-18 of 180.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
    rng : numpy Generator

    Returns
    -------
    uint8 array (H, W, 3)
    """
    if rng.integers(2):
        image = _affine(image, 1, rng.uniform(-32, 32))
    early = bool(rng.integers(2))
    if early and rng.integers(2):
        image = _affine(image, rng.uniform(0.5, 1.5), 0)
    if rng.integers(2):
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = _affine(np.ascontiguousarray(hsv[..., 1]), rng.uniform(0.5, 1.5), 0)
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if rng.integers(2):
        image = _hue(image, int(rng.integers(-18, 18)))
    if not early and rng.integers(2):
        image = _affine(image, rng.uniform(0.5, 1.5), 0)
    return image
