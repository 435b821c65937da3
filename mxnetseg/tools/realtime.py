"""The table and the picture of docs/realtime.md, made from the records of benchmarks/realtime.py."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from .listing import markdown_table

__all__ = ["RECORDS", "measured_on", "picture", "realtime_table"]

RECORDS = Path(__file__).resolve().parents[2] / "docs" / "realtime.json"
# Where a name may stand: shift in points, and which of its ends is at the point.
_SIDES = [(x, y, side) for y in (6, -7, 0, 14, -15) for x, side in ((5, "left"), (-5, "right"))]
_PRECISIONS = ("float32", "bf16", "int8")
_TITLES = {
    "network": ":--",
    "model": ":--",
    "parameters": "--:",
    "MACs": "--:",
    **dict.fromkeys(_PRECISIONS, "--:"),
    "published mIoU": ":--",
    "equal to the original": ":--",
}


def realtime_table(path: Path, equality: dict[str, str]) -> str:
    """One row for each network, the fastest in float32 first; noisy measurements in brackets.

    Parameters
    ----------
    path : Path
        Records by name, as JSON.
    equality : dict
        What is proven of each model, by its name.
    """
    records = json.loads(path.read_text(encoding="utf-8"))
    names = sorted(records, key=lambda name: records[name]["float32"]["median"])
    rows = [_row(name, records[name], equality[records[name]["model"]]) for name in names]
    return measured_on(record["machine"] for record in records.values()) + markdown_table(_TITLES, rows)


def measured_on(machines: Iterable[dict[str, Any]]) -> str:
    """Where figures come from: a line for each processor and number of threads, with all versions met there.

    Parameters
    ----------
    machines : iterable of dict
        ``cpu``, ``threads`` and ``versions`` of every record; one knows the versions of what it ran.
    """
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for machine in machines:
        known = found.setdefault((machine["cpu"], machine["threads"] or "all"), {})
        for name, version in machine["versions"].items():
            known.setdefault(name, set()).add(version)
    lines = []
    for (cpu, threads), known in found.items():
        versions = ", ".join(f"{name} {' and '.join(sorted(v))}" for name, v in sorted(known.items()))
        lines.append(f"Measured on {cpu}, {threads} threads; {versions}.")
    return "\n".join(lines) + "\n\n"


def _row(name: str, record: dict[str, Any], equality: str) -> list[str]:
    published = f"{record['mIoU']} {record['split']}" if record["mIoU"] else ""
    return [
        name,
        f"`{record['model']}`",
        f"{record['parameters'] / 1e6:.2f} M",
        f"{record['macs'] / 1e9:.1f} G",
        *(_latency(record.get(precision)) for precision in _PRECISIONS),
        published,
        equality,
    ]


def _latency(fastest: dict[str, Any] | None) -> str:
    if fastest is None:
        return "not possible"
    text = f"{fastest['median']:.0f} ms {fastest['path'].split('-')[0]}"
    return text if fastest["quiet"] else f"({text})"


def picture(records: dict[str, dict[str, Any]]) -> bytes:
    """Published mIoU against measured latency, logarithmic; hollow where published for a test split.

    A line leads from a network in float32 to its fastest in lower precision, unless that is slower.

    Parameters
    ----------
    records : dict
        As in the file; those without published figure are left out.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    shown = {name: record for name, record in records.items() if record["mIoU"]}
    places = {name: (record["float32"]["median"], record["mIoU"]) for name, record in shown.items()}
    lines = {}
    for name, (slow, height) in places.items():
        face = "none" if shown[name]["split"] == "test" else "C0"
        axes.scatter(slow, height, s=36, facecolors=face, edgecolors="C0", zorder=3)
        fast = min(shown[name][precision]["median"] for precision in _PRECISIONS if precision in shown[name])
        lines[name] = [(fast, height), (slow, height)]
        axes.plot(*zip(*lines[name], strict=True), color="C1", linewidth=1, marker="|", markevery=[0], zorder=1)
    axes.set(xscale="log", xlabel="measured latency in float32, ms", ylabel="published mIoU on Cityscapes, %")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    machine = next(iter(records.values()))["machine"]
    threads = f"{machine['threads']} threads" if machine["threads"] else "all threads"
    meaning = f"orange: the fastest of {' and '.join(_PRECISIONS[1:])}; hollow: published for the test split"
    axes.set_title(f"512x1024, {machine['cpu']}, {threads}; {meaning}", fontsize=9)
    axes.grid(True, which="both", alpha=0.25)
    axes.margins(0.12)
    figure.draw_without_rendering()
    _name(axes, canvas.get_renderer(), places, lines)
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _name(axes: Any, renderer: Any, places: dict[str, tuple[float, float]], lines: dict[str, list]) -> None:
    """Write names beside points, where neither another name nor another point is, nor a line if possible."""
    taken = [Bbox.from_extents(*(pixel - 3), *(pixel + 3)) for pixel in axes.transData.transform([*places.values()])]
    crossed = [Bbox(axes.transData.transform(line)) for line in lines.values()]
    for name, place in places.items():
        found = []
        for x, y, side in _SIDES:
            text = axes.annotate(name, place, (x, y), textcoords="offset points", fontsize=8, ha=side, va="center")
            box = text.get_window_extent(renderer)
            text.remove()
            inside = axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1)
            faults = 100 * (not inside) + 10 * box.count_overlaps(taken) + box.count_overlaps(crossed)
            found.append((faults, text, box))
        _, text, box = min(found, key=lambda tried: tried[0])
        axes.add_artist(text)
        taken.append(box)
