"""Reading of image and mask files; whatever is damaged is named."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from ..errors import DataError

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "ColorMaskError",
    "DamagedSampleError",
    "LossyMaskError",
    "open_strictly",
    "read_mask",
    "read_rgb",
]

# Larger images are refused before they are decoded: a file of 100 kB can hold 100 million pixels.
MAX_PIXELS = 100_000_000
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm")

# The orientation tag is ignored because masks, drawn on the stored pixels, do not carry it.
_FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_LOSSY = ("JPEG", "MPO", "JPEG2000")
_END_MARKERS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}


# Pixels are counted here; Pillow's own limit warns from 89 million on.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class DamagedSampleError(DataError):
    """A file that cannot be decoded, or an image and a mask of different sizes."""


class ColorMaskError(DataError):
    """A mask that holds colours instead of class ids."""


class LossyMaskError(DataError):
    """A mask whose compression has changed the class ids."""


def read_bytes(path: Path) -> bytes:
    """Content of a file; empty and unreadable ones are damaged samples."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedSampleError(f"{path}: cannot be read ({error.strerror})", "a readable file") from error
    if not content:
        raise DamagedSampleError(f"{path}: file is empty", "an image", "copy or download it again")
    return content


def open_strictly(source: Path | io.BytesIO) -> Image.Image:
    """Open an image whose decoding fails when it is truncated.

    Importing gluoncv tells Pillow, for the whole process, to fill what is missing with grey.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return Image.open(source)


def _check_size(content: bytes, path: Path) -> str:
    """Refuse what is no image, or has too many pixels, for its header alone; return the format."""
    try:
        (width, height), kind = _look_at_header(content)
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except Exception as error:  # whatever the bytes provoke, it is their fault
        raise DamagedSampleError(f"{path}: not an image", "JPEG, PNG or another format that OpenCV reads") from error
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width}x{height} are {width * height / 1e6:.0f} million pixels")
    return kind


def _look_at_header(content: bytes) -> tuple[tuple[int, int], str]:
    """Width and height, and the format."""
    try:
        with open_strictly(io.BytesIO(content)) as image:
            return image.size, image.format or ""
    except UnidentifiedImageError:
        if content[:4] not in (b"II*\0", b"MM\0*"):
            raise
    # TIFF of 16-bit colours, which OpenCV alone decodes.
    tags, file = TiffImagePlugin.ImageFileDirectory_v2(content[:8]), io.BytesIO(content)
    file.seek(tags.next)
    tags.load(file)
    return (int(tags[TiffImagePlugin.IMAGEWIDTH]), int(tags[TiffImagePlugin.IMAGELENGTH])), "TIFF"


def _too_large(path: Path, why: str) -> DamagedSampleError:
    return DamagedSampleError(f"{path}: {why}", f"at most {MAX_PIXELS / 1e6:.0f} million pixels", "cut it into tiles")


def _check_complete(content: bytes, path: Path) -> None:
    """Refuse truncated files, which OpenCV decodes without an error."""
    marker = _END_MARKERS.get(content[:2])
    if marker is None or marker in content[-4096:]:
        return
    try:
        open_strictly(io.BytesIO(content)).load()
    except Exception as error:
        raise DamagedSampleError(f"{path}: {error}", "a complete image", "copy or download it again") from error


def _decode(content: bytes, flags: int) -> np.ndarray | None:
    """Pixels as OpenCV gives them; None where it cannot."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None


def read_rgb(path: Path) -> np.ndarray:
    """Decode an image as it is stored (orientation tags are ignored).

    Parameters
    ----------
    path : Path

    Returns
    -------
    uint8 array (H, W, 3)
        RGB.

    Raises
    ------
    DamagedSampleError
        If the file is missing, empty, truncated, not an image, or has more than :data:`MAX_PIXELS`.
    """
    content = read_bytes(path)
    _check_size(content, path)
    _check_complete(content, path)
    image = _decode(content, _FLAGS)
    if image is None:
        raise DamagedSampleError(f"{path}: not an image", "JPEG, PNG or another format that OpenCV reads")
    return image


def read_mask(path: Path) -> np.ndarray:
    """Decode a mask of class ids; palette images give their indices, not their colours.

    Parameters
    ----------
    path : Path

    Returns
    -------
    uint8 or uint16 array (H, W)

    Raises
    ------
    DamagedSampleError
        If the file cannot be decoded, or has more than :data:`MAX_PIXELS`.
    ColorMaskError
        If the file holds colours instead of ids.
    LossyMaskError
        If the file was compressed with loss (JPEG), which changes the ids along every border.
    """
    content = read_bytes(path)
    kind = _check_size(content, path)
    if kind in _LOSSY:
        raise LossyMaskError(
            f"{path}: {kind}: compression changes the ids along every border",
            "a mask compressed without loss (PNG)",
            "export the masks again as PNG; repairing does not work",
        )
    # PNG whose header says grey of 8 or 16 bits and whose end is there: OpenCV is faster and sees the same.
    if content[24:26] in (b"\x08\x00", b"\x10\x00") and content[:4] == b"\x89PNG" and b"IEND" in content[-64:]:
        mask = _decode(content, cv2.IMREAD_UNCHANGED)
        if mask is not None and mask.ndim == 2:
            return mask
    return _read_mask_with_pillow(content, path)


def _read_mask_with_pillow(content: bytes, path: Path) -> np.ndarray:
    try:
        with open_strictly(io.BytesIO(content)) as mask:
            mask.load()
    except Exception as error:
        raise DamagedSampleError(f"{path}: {error}", "a complete mask file", "copy or download it again") from error
    if mask.mode in ("RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "LAB", "F"):
        raise ColorMaskError(
            f"{path}: a mask of mode {mask.mode} (colours)",
            "one channel of class ids (PNG of mode L or P)",
            "convert the colours to class ids, e.g. with the data set's own tools",
        )
    raw = np.asarray(mask)
    if raw.dtype == np.bool_:
        return raw.astype(np.uint8)
    return raw if raw.dtype in (np.uint8, np.uint16) else np.clip(raw, 0, 65535).astype(np.uint16)
