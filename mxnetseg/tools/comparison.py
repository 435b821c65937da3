"""Measurements side by side: a table, and latency against cost as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from .listing import format_table
from .speed import typical_ms

__all__ = ["result_table", "scatter"]

_COLUMNS = {
    "target": "network",
    "input": "input",
    "path": "path",
    "latency": "median ms",
    "spread": "p5 .. p95",
    "fps": "images/s",
    "macs": "GMAC",
    "parameters": "M param.",
    "memory": "MiB peak",
    "noise": "noise",
}


def _row(result: dict[str, Any]) -> dict[str, str]:
    latency, noise = result["latency_ms"], result["noise"]
    known = latency["median"] is not None
    return {
        "target": result["target"],
        "input": "x".join(map(str, result["protocol"]["input"])),
        "path": result["path"],
        "latency": f"{typical_ms(result):.2f}" + ("" if known else " (mean)"),
        "spread": f"{latency['p5']:.2f} .. {latency['p95']:.2f}" if known else "",
        "fps": f"{result['fps']:.2f}",
        "macs": f"{result['macs'] / 1e9:.3f}",
        "parameters": f"{result['parameters'] / 1e6:.3f}",
        "memory": f"{result['peak_rss_mib']:.0f}",
        "noise": "low" if noise["conclusive"] else "too noisy: " + "; ".join(noise["doubts"]),
    }


def result_table(results: Sequence[dict[str, Any]]) -> str:
    """Table of results in the given order, then what they have in common.

    Parameters
    ----------
    results : sequence of dict
        As :func:`.benchmark.run_job` returns them, of one protocol and one machine.
    """
    if not results:
        return "no results"
    protocol = results[0]["protocol"]
    known = {name: version for result in results for name, version in result["protocol"]["versions"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in known.items())
    below = [
        f"protocol: float32 in and out; {protocol['includes']}; {protocol['warmup']} warm-up and "
        f"{protocol['iterations']} timed passes, awaited {protocol['synchronized']}; each row in a process of its own",
        f"machine:  {protocol['device']}, {protocol['cpu']}, {protocol['threads']} threads on {protocol['cpus']} "
        f"processors; {versions}",
    ]
    if not all(result["noise"]["conclusive"] for result in results):
        below.append(results[0]["noise"]["rule"])
    return "\n".join([format_table([_row(result) for result in results], _COLUMNS), "", *below])


def scatter(results: Sequence[dict[str, Any]]) -> bytes:
    """Picture of latency against multiply-accumulates, both logarithmic; noisy measurements are hollow.

    Parameters
    ----------
    results : sequence of dict
        As :func:`.benchmark.run_job` returns them.

    Returns
    -------
    bytes
        PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    costs = [result["protocol"]["input"][0] * result["macs"] / 1e9 for result in results]
    middle = (min(costs) * max(costs)) ** 0.5
    for result, x in zip(results, costs, strict=True):
        y, face = typical_ms(result), "C0" if result["noise"]["conclusive"] else "none"
        axes.scatter(x, y, s=36, facecolors=face, edgecolors="C0")
        label = ", ".join([result["target"], *_differing(result, results)])
        shift, side = ((5, 4), "left") if x <= middle else ((-5, 4), "right")
        axes.annotate(label, (x, y), shift, textcoords="offset points", ha=side, fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="multiply-accumulates of a batch, G", ylabel="latency of a batch, ms")
    machine = f"{results[0]['protocol']['cpu']}, {results[0]['protocol']['threads']} threads"
    noisy = "" if all(result["noise"]["conclusive"] for result in results) else "; hollow: too noisy to conclude"
    axes.set_title(machine + noisy, fontsize=9)
    axes.grid(True, which="both", alpha=0.25)
    axes.margins(0.15)
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def _differing(result: dict[str, Any], results: Sequence[dict[str, Any]]) -> list[str]:
    """Input and path of a result, as far as they are not those of all results."""
    facts = [("x".join(map(str, r["protocol"]["input"])), r["path"]) for r in results]
    own = ("x".join(map(str, result["protocol"]["input"])), result["path"])
    return [fact for fact, column in zip(own, zip(*facts, strict=True), strict=True) if len(set(column)) > 1]
