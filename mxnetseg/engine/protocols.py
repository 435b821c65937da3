"""Inference protocols as data: how an image is scaled, cut into windows, padded, and how scores are merged.

The geometry of a protocol is plain arithmetic on sizes; :mod:`mxnetseg.engine.inference` carries it out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..config import EvalConfig, RefineConfig

__all__ = ["AUGMENTED_SCALES", "PROTOCOLS", "Protocol", "Windows", "describe", "historical_scales", "protocol_of"]

# A tiny slack keeps 48 * (1 - 1/3) at 32 whichever way the product was rounded.
_SLACK = 1e-9


def _ceil(x: float) -> int:
    return math.ceil(x - _SLACK)


def _floor(x: float) -> int:
    return math.floor(x + _SLACK)


def _half_up(x: float) -> int:
    return int(x + 0.5)


_ROUNDING = {"ceil": _ceil, "floor": _floor, "half_up": _half_up, "round": round}
Rounding = Literal["ceil", "floor", "half_up", "round"]


@dataclass(frozen=True)
class Protocol:
    """How one image becomes scores.

    Attributes
    ----------
    name : str
        Name used in results.
    last_window : {"shift", "cut"}
        At the border the last window moves back inside, or keeps its place and is filled up.
    whole_up_to : float
        Largest scale run in one forward of the whole scaled image; larger ones run in windows.
    merge : {"softmax", "exp", "logits"}
        What is averaged where windows overlap: probabilities, exp of raw logits, or raw logits, which become
        probabilities at the size of the image, before scales and mirror images are averaged.
    flip : {"mean", "sum"}
        How the logits of image and mirror image are joined before ``exp`` (probabilities: always the mean).
        Windows lie in the mirror image as they do in the image for ``logits``; else its windows are mirrored.
    total : {"mean", "sum"}
        How scales are joined.
    long_side, short_side, stride : {"ceil", "floor", "half_up", "round"}
        Rounding of the scaled sides and of the stride of the windows.
    padding : {"centre", "corner", "none"}
        Where an image smaller than the window lies in it; ``none``: the window shrinks to the image.
    fill : {"mean", "black", "raw_mean"}
        What surrounds it: the mean colour, black, or after normalisation the mean colour's numbers before it.
    align_corners_in, align_corners_out : bool
        Resize of the image and of the scores (bilinear): corner-aligned, or OpenCV's half-pixel convention.
    touching : bool
        Windows do not overlap except where the last one moved back (the stride is the window).
    whole_grey : bool
        Resized images are rounded to whole grey levels.
    """

    name: str
    last_window: Literal["shift", "cut"] = "shift"
    whole_up_to: float = 0.0
    merge: Literal["softmax", "exp", "logits"] = "softmax"
    flip: Literal["mean", "sum"] = "mean"
    total: Literal["mean", "sum"] = "mean"
    long_side: Rounding = "round"
    short_side: Rounding = "round"
    stride: Rounding = "ceil"
    padding: Literal["centre", "corner", "none"] = "centre"
    fill: Literal["mean", "black", "raw_mean"] = "mean"
    align_corners_in: bool = False
    align_corners_out: bool = False
    touching: bool = False
    whole_grey: bool = False

    def scaled(self, height: int, width: int, base: int | None, scale: float) -> tuple[int, int]:
        """Size of the image at a scale; the longer side becomes base * scale (base: its own length when None)."""
        longer = max(height, width)
        target = _ROUNDING[self.long_side]((base or longer) * scale)
        short = max(1, _ROUNDING[self.short_side](min(height, width) * target / longer))
        return (target, short) if height > width else (short, target)

    def windows(self, size: int, crop: int, overlap: float) -> Windows:
        """Windows along one axis of `size` pixels."""
        whole = crop
        crop = min(crop, size) if self.padding == "none" else crop
        step = crop if self.touching else max(1, _ROUNDING[self.stride](whole * (1 - overlap)))
        padded = max(size, crop)
        starts = [i * step for i in range(math.ceil((padded - crop) / step) + 1)]
        if self.last_window == "shift":
            starts = [min(s, padded - crop) for s in starts]
        offset = (padded - size) // 2 if self.padding == "centre" else 0
        return Windows(size, crop, tuple(s - offset for s in starts))


@dataclass(frozen=True)
class Windows:
    """Windows of `crop` pixels along an axis of `size` pixels; starts may lie outside of the axis (filling)."""

    size: int
    crop: int
    starts: tuple[int, ...]

    def spans(self) -> list[tuple[slice, slice]]:
        """For each window: its part of the axis, and where this part lies in the window."""
        result = []
        for start in self.starts:
            low, high = max(start, 0), min(start + self.crop, self.size)
            result.append((slice(low, high), slice(low - start, high - start)))
        return result

    def counts(self) -> np.ndarray:
        """Number of windows over each position, float32 (size,)."""
        counts = np.zeros(self.size, np.float32)
        for axis, _ in self.spans():
            counts[axis] += 1
        return counts


_EXP = Protocol(
    "gluon",
    last_window="cut",
    merge="exp",
    flip="sum",
    total="sum",
    long_side="ceil",
    short_side="half_up",
    stride="floor",
    padding="corner",
    fill="black",
    align_corners_in=True,
    align_corners_out=True,
)
_MMSEG = Protocol(
    "mmseg",
    whole_up_to=math.inf,
    merge="logits",
    long_side="floor",
    short_side="half_up",
    stride="floor",
    padding="none",
    whole_grey=True,
)
_HRNET = replace(_EXP, name="hrnet", flip="mean", long_side="half_up", align_corners_in=False)
_MFARANET = replace(_HRNET, name="mfaranet", last_window="shift", padding="centre", fill="mean")

PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("whole", whole_up_to=math.inf, padding="corner"),
        # The sliding window of semseg (PSPNet's authors), which also mirrors every window.
        Protocol("slide"),
        # GluonCV's MultiEvalModel.
        _EXP,
        # mmsegmentation's test modes "whole" and "slide", and its test-time augmentation.
        _MMSEG,
        replace(_MMSEG, name="mmseg_slide", whole_up_to=0.0),
        # HRNet's multi_scale_inference, and its override for Cityscapes.
        _HRNET,
        replace(_HRNET, name="hrnet_city", last_window="shift", whole_up_to=1.0, touching=True),
        # MFARANet's windows, and with what its published figures had around images smaller than the window.
        _MFARANET,
        replace(_MFARANET, name="mfaranet_published", fill="raw_mean"),
    )
}


# Scales of mmsegmentation's and semseg's test-time augmentation, and of MXNetSeg's for most data sets.
AUGMENTED_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def protocol_of(config: EvalConfig) -> Protocol:
    """Protocol that a configuration names."""
    return PROTOCOLS[config.protocol]


def historical_scales(data: str) -> list[float]:
    """Scales of MXNetSeg's ``--ms`` for a data set (official or short name)."""
    key = data.lower()
    if key == "camvid" or "city" in key:
        return [0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25]
    if key == "gatech":
        return [0.5, 0.8, 1.0, 1.2, 1.4]
    return list(AUGMENTED_SCALES)


def describe(config: EvalConfig, crop: tuple[int, int]) -> str:
    """One line that names the protocol and its numbers, written into every result."""
    if config.refine:
        return _describe_refinement(config.refine)
    size = f"long side {config.base_size}" if config.base_size else "image size"
    parts = [config.protocol, size]
    if protocol_of(config).whole_up_to != math.inf:
        parts.append(f"window {crop[0]}x{crop[1]}, overlap {config.overlap:.3g}")
    parts.append("scales " + " ".join(f"{s:g}" for s in config.scales))
    parts.append("mirrored too" if config.flip else "not mirrored")
    return ", ".join(parts)


def _describe_refinement(config: RefineConfig) -> str:
    """Progressive refinement in words; sizes are height x width."""
    sizes = " ".join(f"{height}x{width}" for height, width in config.scales)
    parts = [f"progressive, scales {sizes}", "patches {}x{}".format(*config.crop_size)]
    if config.input_size != config.crop_size:
        parts.append("seen at {}x{}".format(*config.input_size))
    if not config.n_patches:
        return ", ".join([*parts, "coarse view alone"])
    parts.append("all refined" if config.n_patches < 0 else f"{config.n_patches} refined per scale")
    parts.append(f"{config.n_points:g} points" if config.n_points > 1 else f"{config.n_points:.0%} of their points")
    return ", ".join([*parts, f"median {config.smooth_kernel}", f"{config.selection} selection"])
