"""Latency, throughput, memory and cost of a network: the one place where time is taken."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from .machine import describe_machine, peak_rss_mib, threads
from .noise import RULE, Watch, doubts
from .paths import PATHS, RUNTIMES, Runner

__all__ = ["format_speed", "measure", "typical_ms"]


def _time_passes(runner: Runner, warmup: int, iterations: int, each: bool) -> tuple[list[float], Watch]:
    """Seconds of each pass, or their mean alone where nothing waits between them."""
    for _ in range(warmup):
        runner.start()
    runner.wait()
    groups, size = (iterations, 1) if each else (1, iterations)
    times = []
    with Watch() as watch:
        for _ in range(groups):
            start = time.perf_counter()
            for _ in range(size):
                runner.start()
            runner.wait()
            times.append((time.perf_counter() - start) / size)
    return times, watch


def measure(
    model: Any,
    shape: tuple[int, int, int, int],
    ctx: Any = None,
    warmup: int = 10,
    iterations: int = 50,
    *,
    each: bool = True,
    path: str = "hybridized",
    aux: bool = False,
) -> dict[str, Any]:
    """Time a network on random input.

    The clock runs from the start of a pass until its scores are computed: no copy to the host, no argmax, nothing
    recorded for gradients. It starts when the warm-up is done.

    Parameters
    ----------
    model : SegmentationModel or ExportedNetwork
        Its parameters must be on `ctx`.
    shape : tuple of int
        Input (N, 3, H, W); H and W are rounded up to what the network accepts.
    ctx : mx.Context, optional
        Device, the CPU by default.
    warmup, iterations : int
        Passes before the clock starts, and timed ones.
    each : bool
        Wait for every pass; otherwise for the last one only, and the mean is all that is known.
    path : str
        How the network is run: key of :data:`.paths.PATHS`.
    aux : bool
        Run and count the auxiliary heads, too.

    Returns
    -------
    dict
        ``latency_ms`` of a batch (mean; median, p5, p95, None unless `each`), ``fps`` (images per second, from the
        median where there is one), ``macs`` of one image, ``parameters`` (learnable ones of what is run), ``cost``
        (:meth:`.cost.Cost.as_dict`), ``peak_rss_mib``, ``noise`` (``conclusive``, ``doubts``, ``rule``,
        ``interference``), ``path`` and ``protocol``.
    """
    import mxnet as mx

    from .cost import network_cost

    ctx = ctx or mx.cpu()
    batch, channels, *size = shape
    height, width = (-(-s // model.divisor) * model.divisor for s in size)
    cost = network_cost(model, height, width, aux)
    images = np.random.default_rng(0).standard_normal((batch, channels, height, width), np.float32)
    times, watch = _time_passes(PATHS[path](model, images, ctx, aux), warmup, iterations, each)
    latency = _latency(times, each)
    reasons = doubts(times, watch.result, threads() if ctx.device_type == "cpu" else 1)
    return {
        "latency_ms": latency,
        "fps": 1e3 * batch / (latency["median"] or latency["mean"]),
        "macs": cost.macs,
        "parameters": cost.parameters,
        "cost": cost.as_dict(),
        "peak_rss_mib": round(peak_rss_mib(), 1),
        "noise": {
            "conclusive": not reasons,
            "doubts": reasons,
            "rule": RULE,
            "interference": watch.result and asdict(watch.result),
        },
        "path": path,
        "protocol": {
            "input": [batch, channels, height, width],
            "dtype": "float32",
            "includes": f"{'all' if aux else 'main'} scores at the input's size; no reading of images, no argmax",
            "warmup": warmup,
            "iterations": iterations,
            "synchronized": "after every iteration" if each else "after the last iteration",
            **describe_machine(ctx, [name for name in RUNTIMES if path.startswith(name)]),
        },
    }


def _latency(times: list[float], each: bool) -> dict[str, float | None]:
    mean = 1e3 * float(np.mean(times))
    if not each:
        return {"median": None, "p5": None, "p95": None, "mean": mean}
    median, p5, p95 = (1e3 * float(np.percentile(times, q)) for q in (50, 5, 95))
    return {"median": median, "p5": p5, "p95": p95, "mean": mean}


def typical_ms(result: dict[str, Any]) -> float:
    """Median latency of a result, or the mean where it is all that is known."""
    return result["latency_ms"]["median"] or result["latency_ms"]["mean"]


def format_speed(result: dict[str, Any], convention: str = "macs") -> str:
    """Lines for the terminal.

    Parameters
    ----------
    result : dict
        As :func:`measure` returns it.
    convention : str
        Key of :data:`.cost.CONVENTIONS` whose figures are printed, too.
    """
    protocol, noise = result["protocol"], result["noise"]
    versions = ", ".join(f"{name} {version}" for name, version in protocol["versions"].items())
    lines = {
        "latency": _format_latency(result["latency_ms"]),
        "throughput": f"{result['fps']:.2f} images/s",
        "cost": _format_cost(result["cost"]),
        "counted as": _format_convention(result["cost"], convention),
        "memory": f"{result['peak_rss_mib']:.0f} MiB resident at most",
        "protocol": f"input {'x'.join(map(str, protocol['input']))} float32, {result['path']}; {protocol['includes']}; "
        f"{protocol['warmup']} warm-up and {protocol['iterations']} timed iterations, awaited "
        + protocol["synchronized"],
        "machine": f"{protocol['device']}, {protocol.get('gpu', {}).get('name') or protocol['cpu']}, "
        f"{protocol['threads']} threads on {protocol['cpus']} processors; {versions}",
        "noise": "too noisy to conclude: " + "; ".join(noise["doubts"]) if noise["doubts"] else "low",
    }
    if convention == "macs":
        del lines["counted as"]
    return "\n".join(f"{title:11} {text}" for title, text in lines.items())


def _format_latency(latency: dict[str, float | None]) -> str:
    if latency["median"] is None:
        return f"mean {latency['mean']:.2f} ms"
    return f"median {latency['median']:.2f} ms, p5 {latency['p5']:.2f}, p95 {latency['p95']:.2f}"


def _format_cost(cost: dict[str, Any]) -> str:
    macs, flops = (f"{cost[key] / 1e9:.3f} G" for key in ("macs", "flops"))
    parameters, statistics = (f"{cost[key] / 1e6:.3f} M" for key in ("parameters", "statistics"))
    return f"{macs} multiply-accumulates ({flops}FLOP), {parameters} learnable parameters, {statistics} statistics"


def _format_convention(cost: dict[str, Any], name: str) -> str:
    from .cost import CONVENTIONS

    counted = cost["conventions"][name]
    return f"{counted['operations']:.4f} G, {counted['parameters'] / 1e6:.4f} M: {CONVENTIONS[name].text}"
