"""The table and the picture of docs/realtime.md, made from the records of benchmarks/realtime.py."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from .listing import markdown_table

__all__ = ["RECORDS", "picture", "realtime_table"]

RECORDS = Path(__file__).resolve().parents[2] / "docs" / "realtime.json"
_TITLES = {
    "network": ":--",
    "model": ":--",
    "parameters": "--:",
    "MACs": "--:",
    "float32": "--:",
    "int8": "--:",
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
    return _machines(records) + markdown_table(_TITLES, rows)


def _machines(records: dict[str, dict[str, Any]]) -> str:
    """Where the figures come from."""
    machines = {json.dumps(record["machine"], sort_keys=True): record["machine"] for record in records.values()}
    lines = []
    for machine in machines.values():
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        lines.append(f"Measured on {machine['cpu']}, {machine['threads'] or 'all'} threads; {versions}.")
    return "\n".join(lines) + "\n\n"


def _row(name: str, record: dict[str, Any], equality: str) -> list[str]:
    published = f"{record['mIoU']} {record['split']}" if record["mIoU"] else ""
    return [
        name,
        f"`{record['model']}`",
        f"{record['parameters'] / 1e6:.2f} M",
        f"{record['macs'] / 1e9:.1f} G",
        *(_latency(record.get(precision)) for precision in ("float32", "int8")),
        published,
        equality,
    ]


def _latency(fastest: dict[str, Any] | None) -> str:
    if fastest is None:
        return "not possible"
    text = f"{fastest['median']:.0f} ms {fastest['path'].removesuffix('-int8')}"
    return text if fastest["quiet"] else f"({text})"


def picture(records: dict[str, dict[str, Any]]) -> bytes:
    """Published mIoU against measured latency in float32, logarithmic; hollow where published for a test split.

    Parameters
    ----------
    records : dict
        As in the file; those without published figure are left out.

    Returns
    -------
    bytes
        PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for name, record in records.items():
        if not record["mIoU"]:
            continue
        x, y = record["float32"]["median"], record["mIoU"]
        axes.scatter(x, y, s=36, facecolors="none" if record["split"] == "test" else "C0", edgecolors="C0")
        axes.annotate(name, (x, y), (5, 3), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="measured latency, ms", ylabel="published mIoU on Cityscapes, %")
    machine = next(iter(records.values()))["machine"]
    threads = f"{machine['threads']} threads" if machine["threads"] else "all threads"
    axes.set_title(f"512x1024, float32, {machine['cpu']}, {threads}; hollow: test split", fontsize=9)
    axes.grid(True, which="both", alpha=0.25)
    axes.margins(0.12)
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
