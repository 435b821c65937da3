"""The tables and the picture of docs/scaling.md, made from the records of benchmarks/scaling.py."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from .listing import markdown_table
from .realtime import measured_on

__all__ = ["PATHS", "RECORDS", "picture", "scaling_tables", "sweep"]

RECORDS = Path(__file__).resolve().parents[2] / "docs" / "scaling.json"
PATHS = {"folded": "MXNet", "onnxruntime": "ONNX Runtime"}

Record = dict[str, Any]
Groups = dict[tuple[str, str], list[Record]]  # ascending, by network and path


class _Quantity(NamedTuple):
    """Something to show of a record, perhaps beside the first one of its network and path."""

    name: str
    text: str
    value: Callable[[Record, Record], float]


_LATENCY = _Quantity("latency", "{:.0f} ms", lambda record, _: record["median"])
_MEMORY = _Quantity("memory", "{:.0f} MiB", lambda record, _: record["peak_rss_mib"])
_PIXELS = _Quantity("per megapixel", "{:.0f} ms", lambda record, _: record["median"] / _megapixels(record))
_IMAGES = _Quantity("images/s", "{:.2f}", lambda record, _: 1e3 * record["input"][0] / record["median"])
_GAIN = _Quantity("times as fast", "{:.2f}", lambda record, first: first["median"] / record["median"])

# What varies, and what is shown of it.
_TABLES = {"size": ("Input size", _PIXELS), "batch": ("Batch", _IMAGES), "threads": ("Threads", _GAIN)}
_FIXED = {"size": "{}", "batch": "batch {}", "threads": "{} threads"}
_PANELS = [
    ("size", _LATENCY, "latency, ms"),
    ("size", _PIXELS, "ms per megapixel"),
    ("size", _MEMORY, "peak memory, MiB"),
    ("batch", _IMAGES, "images/s"),
    ("threads", _GAIN, "times as fast"),
]
_LOGARITHMIC = (_LATENCY, _MEMORY)


def _megapixels(record: Record) -> float:
    """Of one image."""
    return record["input"][2] * record["input"][3] / 1e6


def _place(record: Record, kind: str) -> Any:
    """Where a record stands among those that differ in `kind`."""
    return {"size": tuple(record["input"][2:]), "batch": record["input"][0], "threads": record["threads"]}[kind]


def sweep(passes: Iterable[Record], kind: str) -> Groups:
    """Records that differ in nothing else; where there are several such groups, the one with the most records.

    Parameters
    ----------
    passes : iterable of dict
        Records of passes.
    kind : {"size", "batch", "threads"}
        What varies.
    """
    found: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for record in sorted(passes, key=lambda record: _place(record, kind)):
        same = str([_place(record, other) for other in _TABLES if other != kind])
        found.setdefault((record["network"], record["path"]), {}).setdefault(same, []).append(record)
    longest = {name: max(groups.values(), key=len) for name, groups in found.items()}
    return {name: group for name, group in longest.items() if len(group) > 1}


def scaling_tables(path: Path) -> str:
    """A section with a table for everything that is recorded; noisy measurements in brackets.

    Parameters
    ----------
    path : Path
        Records as JSON: ``passes`` of networks and ``loader``, each by a name.
    """
    passes, loader = _load(json.loads(path.read_text(encoding="utf-8")))
    sections = [_section(kind, groups) for kind in _TABLES if (groups := sweep(passes, kind))]
    sections += [_loader_section(loader)] if loader else []
    most = max((record["threads"] for record in passes), default=0)
    machines = [record["machine"] for record in passes if record["threads"] == most]
    return measured_on(machines or [record["machine"] for record in loader]) + "\n".join(sections)


def _load(records: dict[str, dict[str, Record]]) -> tuple[list[Record], list[Record]]:
    loader = sorted(records.get("loader", {}).values(), key=lambda record: record["workers"])
    return [*records.get("passes", {}).values()], loader


def _section(kind: str, groups: Groups) -> str:
    title, derived = _TABLES[kind]
    shown = [(quantity, path) for quantity in (_LATENCY, derived, _MEMORY) for path in PATHS]
    columns = {"network": ":--", kind: "--:"} | {f"{PATHS[path]}, {quantity.name}": "--:" for quantity, path in shown}
    rows = []
    for network in dict.fromkeys(network for network, _ in groups):
        found = {path: groups.get((network, path), []) for path in PATHS}
        for place in sorted({_place(record, kind) for group in found.values() for record in group}):
            cells = [_cell(quantity, kind, place, found[path]) for quantity, path in shown]
            rows.append([network, _name(kind, place), *cells])
    first = next(iter(groups.values()))[0]
    fixed = [_FIXED[other].format(_name(other, _place(first, other))) for other in _TABLES if other != kind]
    return f"## {title}\n\nMeasured at {', '.join(fixed)}.\n\n{markdown_table(columns, rows)}"


def _name(kind: str, place: Any) -> str:
    return f"{place[0]}x{place[1]} ({place[0] * place[1] / 1e6:.2f} MP)" if kind == "size" else str(place)


def _cell(quantity: _Quantity, kind: str, place: Any, group: list[Record]) -> str:
    for record in group:
        if _place(record, kind) == place:
            text = quantity.text.format(quantity.value(record, group[0]))
            return text if record["quiet"] or quantity is _MEMORY else f"({text})"
    return ""


def _loader_section(loader: list[Record]) -> str:
    first = loader[0]
    columns = {"workers": "--:", "images/s": "--:", "5 % to 95 %": "--:", "times as fast": "--:"}
    rows = []
    for record in loader:
        text, gain = f"{record['median']:.0f}", record["median"] / first["median"]
        spread = f"{record['p5']:.0f} to {record['p95']:.0f}"
        rows.append([str(record["workers"]), text if record["quiet"] else f"({text})", spread, f"{gain:.2f}"])
    what = (
        f"{first['data']} by the recipe `{first['recipe']}`: crops of {'x'.join(map(str, first['crop']))}, batches of "
        f"{first['batch']}; processors: {first['cpus']}. With OpenCV alone, one of them decodes and resizes "
        f"{first['bare']:.0f} images/s."
    )
    return f"## Data loading\n\n{what}\n\n{markdown_table(columns, rows)}"


def picture(records: dict[str, dict[str, Record]]) -> bytes:
    """Everything as curves; noisy measurements are hollow.

    Parameters
    ----------
    records : dict
        As in the file.

    Returns
    -------
    bytes
        PNG.
    """
    passes, loader = _load(records)
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    canvas, panels = FigureCanvasAgg(figure), figure.subplots(2, 3).ravel()
    networks = [*dict.fromkeys(record["network"] for record in passes)]
    for axes, (kind, quantity, label) in zip(panels, _PANELS, strict=False):
        for (network, path), group in sweep(passes, kind).items():
            places = [_megapixels(record) if kind == "size" else _place(record, kind) for record in group]
            values = [quantity.value(record, group[0]) for record in group]
            name, line = f"{network}, {PATHS[path]}", "-" if path == "folded" else "--"
            _curve(axes, places, values, group, color=f"C{networks.index(network)}", linestyle=line, label=name)
        _scale(axes, "megapixels" if kind == "size" else kind, label, quantity in _LOGARITHMIC)
    workers, speeds = ([record[key] for record in loader] for key in ("workers", "median"))
    _curve(panels[-1], workers, speeds, loader, color="C7")
    _scale(panels[-1], "workers", "data loading, images/s")
    curves, names = panels[0].get_legend_handles_labels()
    figure.legend(curves, names, loc="outside lower center", ncols=4, fontsize=9)
    cpus = " and ".join(dict.fromkeys(record["machine"]["cpu"] for record in [*passes, *loader]))
    figure.suptitle(f"float32, {cpus}; hollow: too noisy to conclude", fontsize=9)
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _curve(axes: Axes, places: list[float], values: list[float], group: list[Record], **style: str) -> None:
    axes.plot(places, values, **style)
    faces = [style["color"] if record["quiet"] else "white" for record in group]
    axes.scatter(places, values, s=30, c=faces, edgecolors=style["color"], zorder=3)


def _scale(axes: Axes, x: str, y: str, logarithmic: bool = False) -> None:
    """Label the axes; that of megapixels is logarithmic, the other one if asked for."""
    axes.set(xlabel=x, ylabel=y, xscale="log" if x == "megapixels" else "linear")
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.axhline(0, color="none")  # so that the margin above is a share of all
        axes.set_ylim(bottom=0)
    if x != "megapixels":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    axes.grid(True, alpha=0.25)
