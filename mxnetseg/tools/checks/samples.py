"""One image and its mask."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ...data.base import SegmentationDataset
from ...data.images import DamagedSampleError
from .findings import Finding
from .masks import look_at_mask

__all__ = ["SampleReport", "look_at_sample"]

_TINY = 8
_ORIENTATION = 274  # number of the EXIF tag
_SIDEWAYS = (5, 6, 7, 8)
_PNG_EXIF = (b"eXIf", b"Raw profile type exif")  # chunks that hold EXIF tags
_TURN = "turn the stored pixels, e.g. with PIL.ImageOps.exif_transpose, if the mask was drawn in a viewer"
_MODES = {
    "I;16": "16 bits per channel; the lower eight are dropped",
    "I": "32 bits per channel; the lower ones are dropped",
    "F": "floating-point numbers",
    "RGBA": "an alpha channel, which is dropped",
    "LA": "an alpha channel, which is dropped",
    "PA": "an alpha channel, which is dropped",
    "CMYK": "colours for printing (CMYK)",
}


@dataclass
class SampleReport:
    """What one sample tells.

    Attributes
    ----------
    findings : list of Finding
    size : (int, int)
        Height and width of the image; (0, 0) when it is damaged.
    digest : bytes
        Fingerprint of the pixels of the image; empty when it is damaged.
    values : dict
        Pixels of every value of the mask; empty when it has none or is damaged.
    """

    findings: list[Finding] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    digest: bytes = b""
    values: dict[int, int] = field(default_factory=dict)


def look_at_sample(dataset: SegmentationDataset, index: int) -> SampleReport:
    """Decode a sample and say what is wrong with it."""
    sample, report = dataset.samples[index], SampleReport()
    report.findings += _look_at_image(dataset, index, report)
    if sample.mask is not None:
        report.findings += look_at_mask(dataset, index, report.values)
        if report.size != (0, 0) and report.values:
            report.findings += _compare_sizes(sample.image, sample.mask)
    return report


def _look_at_image(dataset: SegmentationDataset, index: int, report: SampleReport) -> Iterator[Finding]:
    path = dataset.samples[index].image
    try:
        image = dataset.read_image(index)
    except DamagedSampleError as error:
        cause = error.found.removeprefix(f"{path}: ")
        yield Finding("damaged-image", str(path), cause, error.remedy or "copy or download it again")
        return
    report.size, report.digest = image.shape[:2], hashlib.blake2b(image, digest_size=16).digest()
    height, width = report.size
    if min(height, width) < _TINY:
        yield Finding("tiny-image", str(path), f"{width}x{height} pixels", "replace the placeholder by the real image")
    elif (image == image[0, 0]).all():
        cause = f"every pixel is {tuple(image[0, 0].tolist())}"
        yield Finding("blank-image", str(path), cause, "copy or download it again, or take it out")
    yield from _look_at_header(path)


@dataclass(frozen=True)
class _Header:
    mode: str
    size: tuple[int, int]
    orientation: int
    frames: int


def _header(path: Path) -> _Header | None:
    """What a file says beside its pixels; None where Pillow does not know the format."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            png = content[:4] == b"\x89PNG"
            # Pillow decodes a PNG to see whether EXIF follows the pixels.
            tags = image.getexif() if not png or any(name in content for name in _PNG_EXIF) else {}
            # Pillow reduces 16-bit PNG with colours to 8 bits without saying so.
            deep = image.mode.startswith("I;16") or (png and content[24] == 16)
            mode, frames = "I;16" if deep else image.mode, getattr(image, "n_frames", 1)
            return _Header(mode, image.size, tags.get(_ORIENTATION, 1), frames)
    except (OSError, Image.DecompressionBombError):
        return None


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, Image.DecompressionBombError):
        return None


def _look_at_header(path: Path) -> Iterator[Finding]:
    header = _header(path)
    if header is None:
        return
    if header.mode in _MODES:
        yield Finding("image-mode", str(path), _MODES[header.mode], "convert it to 8-bit RGB")
    if header.frames > 1:
        cause = f"{header.frames} frames, only the first is read"
        yield Finding("multi-frame", str(path), cause, "write one file per frame")
    if header.orientation != 1:
        cause = f"EXIF orientation {header.orientation}: viewers turn it, training reads it as it is stored"
        yield Finding("orientation", str(path), cause, _TURN)


def _compare_sizes(image: Path, mask: Path) -> Iterator[Finding]:
    sizes = _size(image), _size(mask)
    if None in sizes or sizes[0] == sizes[1]:
        return
    (width, height), (mask_width, mask_height) = sizes
    header = _header(image)
    cause = f"mask of {mask_width}x{mask_height} for an image of {width}x{height}"
    remedy = "export the mask at the image's size (resize masks with nearest neighbour only)"
    if header and header.orientation in _SIDEWAYS:
        cause += ": the image's EXIF orientation turns it, the mask was drawn on the turned image"
        remedy = _TURN
    elif (height, width) == (mask_width, mask_height):
        cause += ": height and width have changed places"
        remedy = "turn the mask (numpy: transpose), if it shows the image turned"
    elif np.isclose(width / height, mask_width / mask_height, rtol=0.02):
        cause += ": one of them was resized"
    else:
        cause += ": the mask probably belongs to another image"
    yield Finding("size", str(mask), cause, remedy)
