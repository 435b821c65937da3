"""Images and videos given by a user: finding, naming, reading, writing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..data.images import open_strictly
from ..data.tiff import RETILE
from ..errors import DataError

__all__ = ["VIDEO_SUFFIXES", "Item", "VideoWriter", "collect", "read_frames", "read_picture"]

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}


@dataclass(frozen=True)
class Item:
    """A file to segment: where it is and the unique relative name of its results, without extension."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether the extension is that of a video."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def _relative_files(given: Path) -> list[tuple[Path, Path]]:
    if given.is_dir():
        files = sorted(p for p in given.rglob("*") if p.is_file())
        return [
            (p, p.relative_to(given)) for p in files if not any(x.startswith(".") for x in p.relative_to(given).parts)
        ]
    return [(given, Path(given.name))]


def collect(inputs: Sequence[str | Path]) -> list[Item]:
    """Files behind the inputs, in a fixed order, with names that never collide.

    A name is the path inside the given folder without its extension. Where that is not unique the extension
    stays; where even that is not, the given folder's name is put before, then a number behind.

    Parameters
    ----------
    inputs : sequence of path
        Files or folders; folders are searched in depth, hidden files left out.

    Raises
    ------
    DataError
        If an input does not exist or is an empty folder.
    """
    files: list[tuple[Path, Path, Path]] = []
    for given in map(Path, inputs):
        if not given.exists():
            raise DataError(f"{given} does not exist", "an image, a video or a folder")
        if given.is_dir() and not _relative_files(given):
            raise DataError(f"{given} holds no files", "a folder of images or videos", "check the spelling")
        known = {path.resolve() for path, _, _ in files}
        files += [(p, r, given) for p, r in _relative_files(given) if p.resolve() not in known]
    candidates = [
        (str(r.with_suffix("")), str(r), str(Path((g if g.is_dir() else g.parent).resolve().name) / r))
        for _, r, g in files
    ]
    used: set[str] = set()
    items = []
    for (path, _, _), names in zip(files, candidates, strict=True):
        unique = (n for i, n in enumerate(names) if sum(c[i] == n for c in candidates) == 1 and n not in used)
        name = next(unique, None) or _numbered(str(Path(names[-1]).with_suffix("")), used)
        used.add(name)
        items.append(Item(path, name))
    return items


def _numbered(name: str, used: set[str]) -> str:
    number = 1
    while f"{name}_{number}" in used:
        number += 1
    return f"{name}_{number}"


def read_picture(path: Path, max_pixels: int) -> np.ndarray:
    """Read an image as RGB, upright as its EXIF orientation says, 16 bits reduced to 8.

    Parameters
    ----------
    path : Path
    max_pixels : int
        Larger images are refused before they are decoded.

    Returns
    -------
    ndarray of uint8, (H, W, 3)

    Raises
    ------
    DataError
        If the file is no image, is damaged or too large; the message is the reason alone.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings(), open_strictly(path) as image:
            warnings.simplefilter("ignore")
            width, height = image.size
            if width * height > max_pixels:
                raise DataError(
                    f"{width}x{height} is {width * height / 1e6:.1f} million pixels",
                    f"at most {max_pixels / 1e6:g} million",
                    "raise --max-pixels, cut the image, or refine it progressively (--scales) from a TIFF: " + RETILE,
                )
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):
                return np.repeat((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise DataError("not an image") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"damaged image ({error})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def read_frames(path: Path) -> tuple[Iterator[np.ndarray], float, int]:
    """Frames of a video (RGB, one at a time), frames per second, number of frames (0 if unknown).

    Raises
    ------
    DataError
        If the file is not a video that OpenCV reads.
    """
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DataError("not a video that OpenCV can read")

    def frames() -> Iterator[np.ndarray]:
        try:
            while True:
                read, frame = capture.read()
                if not read:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()

    rate = capture.get(cv2.CAP_PROP_FPS)
    return frames(), rate if 0 < rate < 1000 else 25.0, max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))


class VideoWriter:
    """MP4 file that appears when it is complete.

    Parameters
    ----------
    path : Path
        Target, ``.mp4``.
    rate : float
        Frames per second.
    """

    def __init__(self, path: Path, rate: float):
        self.path, self.rate = path, rate
        self._temporary = path.with_name(f".{path.stem}.tmp.mp4")
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, RGB (H, W, 3), all of one size.

        Raises
        ------
        DataError
            If OpenCV cannot write MP4 here.
        """
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter_fourcc(*"mp4v"), self.rate, size)
            if not self._writer.isOpened():
                raise DataError(f"OpenCV cannot write {self.path}", "an OpenCV build with MPEG-4")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            os.replace(self._temporary, self.path)
        else:
            self._temporary.unlink(missing_ok=True)
