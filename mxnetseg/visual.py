"""Pictures of results: pure functions from arrays to arrays (uint8 RGB), and one that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .engine.atomic import replace_file

__all__ = [
    "areas",
    "class_bars",
    "colorize",
    "confusion_picture",
    "contact_sheet",
    "legend",
    "overlay",
    "repairs",
    "side_by_side",
    "with_legend",
    "write_image",
]

_WHITE, _BLACK, _GREY, _LINE = (255, 255, 255), (25, 25, 25), (110, 110, 110), (225, 225, 225)


def colorize(labels: np.ndarray, palette: np.ndarray, ignore: Sequence[int] = (0, 0, 0)) -> np.ndarray:
    """Paint each class in its colour.

    Parameters
    ----------
    labels : ndarray of int, (H, W)
        Classes; negative values are painted in `ignore`.
    palette : ndarray of uint8, (K, 3)
        RGB colours.

    Returns
    -------
    ndarray of uint8, (H, W, 3)

    Raises
    ------
    IndexError
        If a class has no colour.
    """
    table = np.vstack([np.asarray(palette, np.uint8), np.asarray([ignore], np.uint8)])
    labels = np.asarray(labels)
    if labels.dtype.kind == "i":
        labels = np.where(labels < 0, len(palette), labels)
    return table[labels]


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Blend the coloured classes over the image; ignored pixels keep the image.

    Parameters
    ----------
    image : ndarray of uint8, (H, W, 3)
    labels : ndarray of int, (H, W)
    palette : ndarray of uint8, (K, 3)
    alpha : float
        Share of the colour, 0 (image only) to 1 (colours only).
    """
    blended = cv2.addWeighted(image, 1 - alpha, colorize(labels, palette), alpha, 0)
    ignored = np.asarray(labels) < 0
    if ignored.any():
        blended[ignored] = image[ignored]
    return blended


def areas(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of the labelled pixels of each class, float64 (K,)."""
    labels = np.asarray(labels)
    counts = np.bincount(labels[labels >= 0].ravel(), minlength=num_classes)
    return counts / max(1, counts.sum())


def _text(draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, size: float, **style: Any) -> None:
    style.setdefault("fill", _BLACK)
    draw.text(xy, text, font=ImageFont.load_default(size), **style)


def _text_width(texts: Sequence[str], size: float) -> int:
    font = ImageFont.load_default(size)
    return max((int(np.ceil(font.getlength(t))) for t in texts), default=0)


def _short(text: str, limit: int = 28) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def legend(
    classes: Sequence[str], palette: np.ndarray, shares: np.ndarray, height: int | None = None, size: int = 14
) -> np.ndarray:
    """Panel of the classes present: colour, name, share of the area; the largest first.

    Parameters
    ----------
    classes : sequence of str
    palette : ndarray of uint8, (K, 3)
    shares : ndarray of float, (K,)
        Share of the area of each class, see :func:`areas`; classes at 0 are left out.
    height : int, optional
        Height of the panel in pixels; entries go on in a further column where it is full.
    size : int
        Height of the letters in pixels.

    Returns
    -------
    ndarray of uint8, (height, w, 3)
    """
    present = [i for i in np.argsort(-np.asarray(shares), kind="stable") if shares[i] > 0]
    row, margin = size + 8, size // 2
    per_column = max(1, ((height or 10**9) - 2 * margin) // row)
    columns = [present[i : i + per_column] for i in range(0, len(present), per_column)] or [[]]
    names = [_short(classes[i]) for i in present]
    name_width = _text_width(names, size)
    column_width = row + margin + name_width + margin + _text_width(["100.0 %"], size) + 2 * margin
    height = height or 2 * margin + row * max(1, len(present))
    panel = Image.new("RGB", (column_width * len(columns), height), _WHITE)
    draw = ImageDraw.Draw(panel)
    for c, column in enumerate(columns):
        left, right = c * column_width + margin, (c + 1) * column_width - 2 * margin
        for r, i in enumerate(column):
            top = margin + r * row
            box = (left, top + 2, left + row - 4, top + row - 3)
            draw.rectangle(box, fill=tuple(int(v) for v in palette[i]), outline=_GREY)
            middle = top + row / 2
            _text(draw, (left + row + margin // 2, middle), _short(classes[i]), size, anchor="lm")
            _text(draw, (right, middle), f"{100 * shares[i]:.1f} %", size, anchor="rm", fill=_GREY)
    return np.asarray(panel)


def with_legend(picture: np.ndarray, labels: np.ndarray, classes: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """Picture with the legend of `labels` at its right; the letters grow with the picture's height."""
    height = picture.shape[0]
    shares = areas(labels, len(classes))
    size = int(np.clip(height // 36, 11, 40))
    return np.hstack([picture, legend(classes, palette, shares, height, size)])


def side_by_side(pictures: Sequence[np.ndarray], gap: int = 4) -> np.ndarray:
    """Pictures of equal height in one row, `gap` white pixels between them.

    Raises
    ------
    ValueError
        If the heights differ.
    """
    heights = {p.shape[0] for p in pictures}
    if len(heights) != 1:
        raise ValueError(f"pictures of different heights: {sorted(heights)}")
    space = np.full((heights.pop(), gap, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (space, picture)]
    return np.hstack(parts[1:])


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], gap: int = 4) -> np.ndarray:
    """Rows of pictures as one, `gap` white pixels between them; all of one size."""
    lines = [side_by_side(row, gap) for row in rows]
    space = np.full((gap, *lines[0].shape[1:]), 255, np.uint8)
    return np.vstack([part for line in lines for part in (space, line)][1:])


def repairs(label: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where a second prediction differs from a first one: green where it is right instead, red where it was.

    Parameters
    ----------
    label : ndarray of int, (H, W)
        Negative where nothing is labelled.
    before, after : ndarray of int, (H, W)

    Returns
    -------
    ndarray of uint8, (H, W, 3)
        White where both are right, grey where both are wrong, black where nothing is labelled.
    """
    first, second = before == label, after == label
    colors = np.array([(200, 200, 200), (30, 160, 70), (215, 50, 40), _WHITE, (0, 0, 0)], np.uint8)
    return colors[np.where(label < 0, 4, 2 * first + second)]


def _heat(share: float) -> tuple[int, int, int]:
    """White to deep blue."""
    share = float(np.clip(share, 0, 1)) ** 0.6
    return tuple(int(255 + (dark - 255) * share) for dark in (8, 48, 107))


def confusion_picture(counts: np.ndarray, classes: Sequence[str], title: str = "") -> np.ndarray:
    """Heat map of a confusion matrix; each row shows how the pixels of one class were predicted, in percent.

    Parameters
    ----------
    counts : ndarray of int, (K, K)
        Row = label, column = prediction.
    classes : sequence of str, K
    title : str
        Written above.

    Returns
    -------
    ndarray of uint8, (h, w, 3)
        Cells carry their percentage up to 40 classes; beyond, the colour alone.
    """
    k = len(classes)
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    cell, size = (38, 14) if k <= 40 else (17, 12)
    names = [_short(name) for name in classes]
    left = top = _text_width(names, size) + 34
    head = top + 30
    canvas = Image.new("RGB", (left + k * cell + 20, head + k * cell + 20), _WHITE)
    draw = ImageDraw.Draw(canvas)
    _text(draw, (8, 6), title, size + 2)
    _text(draw, (8, 30), "rows: label, columns: prediction, %", 11, fill=_GREY)
    for i, name in enumerate(names):
        _text(draw, (left - 6, head + (i + 0.5) * cell), name, size, anchor="rm", fill=_BLACK if support[i] else _GREY)
        _vertical(canvas, (left + i * cell, head - 6), cell, name, size)
        for j in range(k):
            box = (left + j * cell, head + i * cell, left + (j + 1) * cell - 1, head + (i + 1) * cell - 1)
            draw.rectangle(box, fill=_heat(shares[i, j]) if support[i] else (245, 245, 245))
            if k <= 40 and shares[i, j] >= 0.005:
                fill = _WHITE if shares[i, j] > 0.45 else _BLACK
                _text(
                    draw,
                    (box[0] + cell / 2, box[1] + cell / 2),
                    f"{100 * shares[i, j]:.0f}",
                    12,
                    anchor="mm",
                    fill=fill,
                )
    return np.asarray(canvas)


def _vertical(canvas: Image.Image, corner: tuple[int, int], width: int, text: str, size: int) -> None:
    """Text that reads upwards from a corner."""
    strip = Image.new("RGB", (_text_width([text], size) + 2, width), _WHITE)
    _text(ImageDraw.Draw(strip), (0, width / 2), text, size, anchor="lm")
    strip = strip.rotate(90, expand=True)
    canvas.paste(strip, (corner[0], corner[1] - strip.height))


def class_bars(
    rows: Sequence[dict[str, Any]], key: str = "IoU", mean: float | None = None, title: str = ""
) -> np.ndarray:
    """Horizontal bars of one metric per class.

    Parameters
    ----------
    rows : sequence of dict
        As :meth:`ConfusionMatrix.per_class` gives them; None is shown as absent.
    key : str
        The metric.
    mean : float, optional
        Drawn as a dashed line.
    title : str
        Written above.

    Returns
    -------
    ndarray of uint8, (h, w, 3)
    """
    size, row, bar = 14, 24, 420
    left, head = _text_width([_short(r["class"]) for r in rows], size) + 24, 34
    canvas = Image.new("RGB", (left + bar + 80, head + row * len(rows) + 34), _WHITE)
    draw = ImageDraw.Draw(canvas)
    bottom = head + row * len(rows)
    _text(draw, (8, 6), title, size + 2)
    for tick in range(0, 101, 20):
        x = left + bar * tick / 100
        draw.line((x, head, x, bottom + 4), fill=_LINE)
        _text(draw, (x, bottom + 8), str(tick), 11, anchor="ma", fill=_GREY)
    for i, entry in enumerate(rows):
        middle, value = head + (i + 0.5) * row, entry[key]
        _text(draw, (left - 8, middle), _short(entry["class"]), size, anchor="rm")
        if value is not None:
            draw.rectangle((left, middle - 8, left + bar * value, middle + 8), fill=(66, 113, 174))
        text = "absent" if value is None else f"{100 * value:.1f}"
        _text(draw, (left + bar * (value or 0) + 6, middle), text, size - 1, anchor="lm", fill=_GREY)
    if mean is not None:
        x = left + bar * mean
        for y in range(head, bottom, 8):
            draw.line((x, y, x, min(y + 4, bottom)), fill=(200, 60, 40), width=2)
        _text(draw, (x, head - 2), f"mean {100 * mean:.1f}", 11, anchor="ms", fill=(200, 60, 40))
    return np.asarray(canvas)


def write_image(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture (RGB, or one channel of uint8 or uint16) under its extension's format, atomically.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    done, data = cv2.imencode(path.suffix, bgr)
    if not done:
        raise OSError(f"cannot encode {path}")
    replace_file(path, data.tobytes())
