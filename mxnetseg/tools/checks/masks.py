"""What is wrong with a mask, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ...data.base import SegmentationDataset
from ...data.images import ColorMaskError, DamagedSampleError, LossyMaskError, open_strictly
from ...data.labels import IGNORE
from ...data.palettes import voc_palette
from ...errors import DataError
from .findings import Finding

__all__ = ["histogram", "look_at_mask"]

_SCREEN_COLORS = {(0, 0, 0), (255, 255, 255), (224, 224, 192)}  # how void is usually drawn
_PHOTO = 256  # more colours than any palette has


def histogram(raw: np.ndarray) -> dict[int, int]:
    """Pixels of every value of a mask."""
    counts = np.bincount(raw.ravel())
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def look_at_mask(dataset: SegmentationDataset, index: int, counts: dict[int, int]) -> Iterator[Finding]:
    """Yield the findings of one mask; `counts` receives its values.

    Parameters
    ----------
    dataset : SegmentationDataset
    index : int
    counts : dict
        Filled by :func:`histogram` when the mask can be read.
    """
    path, photo = dataset.samples[index].mask, dataset.samples[index].image
    if path.samefile(photo):
        yield Finding("same-file", str(path), "is the image itself", "name the mask's own file")
        return
    try:
        raw, _ = dataset._mask(index)
    except DamagedSampleError as error:
        yield Finding("damaged-mask", str(path), _cause(error, path), error.remedy or "copy or download it again")
        return
    except ColorMaskError as error:
        yield _colors(dataset, path, photo, error)
        return
    except LossyMaskError as error:
        yield Finding("lossy-mask", str(path), _cause(error, path), error.remedy)
        return
    except DataError as error:
        yield Finding("label-range", str(path), _cause(error, path), error.remedy)
        return
    counts.update(histogram(raw))
    yield from _form(dataset, path, raw)
    invalid = counts.keys() - dataset.id_map.keys()
    if invalid:
        yield _out_of_range(dataset, path, raw)
    elif all(dataset.id_map[value] == IGNORE for value in counts):
        cause = f"all pixels are ignored (values {', '.join(map(str, sorted(counts)[:5]))})"
        yield Finding("empty-mask", str(path), cause, "draw its labels, or take the sample out; it teaches nothing")


def _cause(error: DataError, path: Path) -> str:
    return error.found.removeprefix(f"{path}: ")


def _out_of_range(dataset: SegmentationDataset, path: Path, raw: np.ndarray) -> Finding:
    try:
        dataset._labels.apply(raw, path)
    except DataError as error:
        return Finding("label-range", str(path), f"{_cause(error, path)}; expected {error.expected}", error.remedy)
    raise AssertionError("the table of labels accepted what the histogram refused")


def _form(dataset: SegmentationDataset, path: Path, raw: np.ndarray) -> Iterator[Finding]:
    """Yield what the file's format says: frames, a palette that contradicts the ids."""
    try:
        image = Image.open(path)
    except (OSError, Image.DecompressionBombError):  # a format or size that only OpenCV reads
        return
    with image:
        if getattr(image, "n_frames", 1) > 1:
            cause = f"{image.n_frames} frames, only the first is read"
            yield Finding("multi-frame", str(path), cause, "write one file per frame")
        if image.mode == "P" and not _palette_agrees(dataset, image, raw):
            yield Finding(
                "palette-order",
                str(path),
                "its colours are those of the classes, but its ids are others (an editor has sorted the palette)",
                "convert it to RGB and its colours to class ids; the ids in the file mean nothing",
            )


def _palette_agrees(dataset: SegmentationDataset, image: Image.Image, raw: np.ndarray) -> bool:
    """False only where all colours in use are the classes' colours, and another order of them."""
    entries = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = [v for v in np.flatnonzero(np.bincount(raw.ravel())) if v < len(entries)]
    colors = [tuple(entries[v].tolist()) for v in used]
    classes = {tuple(c): label for label, c in enumerate(dataset.palette.tolist())}
    meant = [classes.get(color) for color in colors]
    known = [(value, label) for value, label in zip(used, meant, strict=True) if label is not None]
    strange = [c for c, label in zip(colors, meant, strict=True) if label is None and c not in _SCREEN_COLORS]
    if strange or all(dataset.id_map.get(int(value)) == label for value, label in known):
        return True
    return all((voc_palette(256)[value] == entries[value]).all() for value in used)


def _colors(dataset: SegmentationDataset, path: Path, photo: Path, error: ColorMaskError) -> Finding:
    """Finding of a mask with several channels."""
    with open_strictly(path) as image:
        mode, pixels = image.mode, np.asarray(image.convert("RGB")).reshape(-1, 3)
    colors = np.unique(pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32))
    if len(colors) > _PHOTO and _holds_ids(dataset, photo):
        cause = f"a picture of {len(colors)} colours, while the image {photo.name} holds class ids"
        return Finding("swapped", str(path), cause, "exchange the folders (or columns) of images and masks")
    what, remedy = _meaning(dataset, colors, mode)
    return Finding("colour-mask", str(path), f"mode {mode}: {what}", remedy or error.remedy)


def _meaning(dataset: SegmentationDataset, colors: np.ndarray, mode: str) -> tuple[str, str]:
    """What the colours of a mask are, and how to get ids from them."""
    triples = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in colors[:_PHOTO]]
    if mode == "F":
        return "floating-point numbers", "save the ids as 8-bit integers"
    if len(colors) > _PHOTO:
        return f"{len(colors)} colours, a photograph or smoothed borders", "export the masks without smoothing"
    if all(r == g == b for r, g, b in triples):
        return "the same value in all channels", "keep one channel, e.g. PIL.Image.open(f).convert('L')"
    if set(triples) <= {tuple(c) for c in dataset.palette.tolist()} | _SCREEN_COLORS:
        return "the colours of the classes", "replace every colour of the palette by the number of its class"
    shown = ", ".join(map(str, triples[:4])) + (", ..." if len(triples) > 4 else "")
    return f"{len(triples)} colours that are not the data set's: {shown}", "convert the colours to class ids"


def _holds_ids(dataset: SegmentationDataset, path: Path) -> bool:
    """Whether a file could be a mask of this data set."""
    try:
        image = open_strictly(path)
        image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return False
    with image:
        if image.mode not in ("L", "P", "I;16", "I", "1"):
            return False
        return set(np.unique(np.asarray(image)).tolist()) <= dataset.id_map.keys()
