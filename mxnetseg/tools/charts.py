"""Charts as inline SVG and HTML that follow the page's colours, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

__all__ = ["heat_table", "line_chart", "thin"]

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 34
MOST_NUMBERS = 40  # classes up to which the cells of a confusion matrix carry numbers


def thin(points: Points, count: int = 150) -> list[tuple[float, float]]:
    """Average neighbouring points so that at most `count` remain."""
    if len(points) <= count:
        return list(points)
    groups = np.array_split(np.asarray(points, float), count)
    return [(float(x), float(y)) for x, y in (group.mean(axis=0) for group in groups)]


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that enclose the range."""
    raw = max(high - low, 1e-12) / count
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    return [float(i * step) for i in range(int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9)) + 1)]


class _Frame:
    """Map of data coordinates to the picture's, with ticks."""

    def __init__(self, series: Mapping[str, Points], y_range: tuple[float, float] | None):
        xs = [x for points in series.values() for x, _ in points] or [0.0, 1.0]
        ys = [y for points in series.values() for _, y in points] or [0.0, 1.0]
        self.x0, self.x1 = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
        low, high = y_range or (min(*ys, 0.0), max(*ys, 0.0))
        self.y_ticks = _ticks(low, high if high > low else low + 1, 5)
        self.y0, self.y1 = self.y_ticks[0], self.y_ticks[-1]
        self.x_ticks = [t for t in _ticks(self.x0, self.x1, 6) if self.x0 <= t <= self.x1]

    def x(self, value: float) -> float:
        return round(LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM), 1)


def _axes(frame: _Frame, x_label: str) -> str:
    parts = []
    for tick in frame.y_ticks:
        y = frame.y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in frame.x_ticks:
        x = frame.x(tick)
        parts.append(f'<text class="tick" x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _curve(frame: _Frame, points: Points, index: int) -> str:
    path = " ".join(f"{frame.x(x)},{frame.y(y)}" for x, y in points)
    dots = ""
    if len(points) <= 40:
        dots = "".join(f'<circle class="dot s{index}" cx="{frame.x(x)}" cy="{frame.y(y)}" r="2.5"/>' for x, y in points)
    return f'<polyline class="curve s{index}" points="{path}"/>{dots}'


def line_chart(
    title: str, series: Mapping[str, Points], x_label: str, y_range: tuple[float, float] | None = None
) -> str:
    """Line chart as a figure with inline SVG.

    Parameters
    ----------
    title : str
        Caption.
    series : mapping of str to sequence of (x, y)
        Named curves, at most four.
    x_label : str
        Name of the horizontal axis.
    y_range : (float, float), optional
        Range of the vertical axis; that of the data, 0 included, when empty.
    """
    series = {name: thin([p for p in points if np.isfinite(p[1])]) for name, points in series.items()}
    frame = _Frame(series, y_range)
    curves = "".join(_curve(frame, points, index) for index, points in enumerate(series.values()))
    keys = "".join(f'<span class="key s{i}">{escape(name)}</span>' for i, name in enumerate(series))
    last = "; ".join(f"{name} ends at {points[-1][1]:.4g}" for name, points in series.items() if points)
    return (
        f'<figure class="chart"><figcaption>{escape(title)} {keys}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {last}")}">'
        f"{_axes(frame, x_label)}{curves}</svg></figure>"
    )


def _heat_cell(share: float, number: bool) -> str:
    """Cell whose shade grows with its share; from 0.75 on white letters are the readable ones."""
    shade = share**0.6
    text = f"{100 * share:.1f}" if number else ""
    return f'<td class="{"hot" if shade >= 0.75 else ""}" style="--v:{shade:.3f}">{text}</td>'


def heat_table(counts: np.ndarray, names: Sequence[str]) -> str:
    """Confusion matrix as a table of row percentages, shaded by value; beyond 40 classes without numbers.

    Parameters
    ----------
    counts : ndarray of shape (K, K)
        Rows are labels, columns predictions.
    names : sequence of str
        Class names.
    """
    counts = np.asarray(counts, float)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    corner = '<th scope="col">label \\ predicted, %</th>'
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    rows = []
    for name, row in zip(names, share, strict=True):
        cells = "".join(map(_heat_cell, map(float, row), [len(names) <= MOST_NUMBERS] * len(names)))
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="heat"><thead><tr>{corner}{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
