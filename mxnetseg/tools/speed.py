"""Latency, throughput, memory and cost of a network."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["cpu_name", "format_speed", "measure", "peak_rss_mib"]


def cpu_name() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_rss_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    model: Any,
    shape: tuple[int, int, int, int],
    ctx: Any = None,
    warmup: int = 10,
    iterations: int = 50,
) -> dict[str, Any]:
    """Time the inference network on random input.

    Each iteration starts when the one before has finished and ends when its logits are computed (no copy to the
    host, no argmax); nothing is recorded for gradients; the graph is hybridized with static allocation.

    Parameters
    ----------
    model : SegmentationModel
        Its parameters must be on `ctx`.
    shape : tuple of int
        Input (N, 3, H, W); H and W are rounded up to what the network accepts.
    ctx : mx.Context, optional
        Device, the CPU by default.
    warmup, iterations : int
        Iterations before the clock starts, and timed ones.

    Returns
    -------
    dict
        ``latency_ms`` (median, p5, p95, mean), ``fps`` (images per second at the median), ``macs`` of one
        image (multiply-accumulates of convolutions and dense layers), ``parameters`` (learnable), ``peak_rss_mib``
        and ``protocol``.
    """
    import mxnet as mx

    ctx = ctx or mx.cpu()
    batch, channels, *size = shape
    height, width = (-(-s // model.divisor) * model.divisor for s in size)
    network = model.inference
    network.hybridize(static_alloc=True, static_shape=True)
    x = mx.nd.array(np.random.default_rng(0).standard_normal((batch, channels, height, width), np.float32), ctx=ctx)
    times = []
    for i in range(warmup + iterations):
        start = time.perf_counter()
        network(x).wait_to_read()
        if i >= warmup:
            times.append(time.perf_counter() - start)
    median, p5, p95 = (1e3 * float(np.percentile(times, q)) for q in (50, 5, 95))
    return {
        "latency_ms": {"median": median, "p5": p5, "p95": p95, "mean": 1e3 * float(np.mean(times))},
        "fps": 1e3 * batch / median,
        "macs": int(model.macs(height, width)),
        "parameters": int(model.parameter_count()),
        "peak_rss_mib": round(peak_rss_mib(), 1),
        "protocol": {
            "input": [batch, channels, height, width],
            "dtype": "float32",
            "includes": "main logits at the input's size; no resize of images, no argmax, no copy",
            "warmup": warmup,
            "iterations": iterations,
            "synchronized": "after every iteration",
            "device": str(ctx),
            "cpu": cpu_name(),
            "threads": os.environ.get("OMP_NUM_THREADS", ""),
            "versions": {"python": platform.python_version(), "mxnet": mx.__version__, "numpy": np.__version__},
        },
    }


def format_speed(result: dict[str, Any]) -> str:
    """Lines for the terminal."""
    latency, protocol = result["latency_ms"], result["protocol"]
    macs, parameters = result["macs"] / 1e9, result["parameters"] / 1e6
    versions = ", ".join(f"{name} {version}" for name, version in protocol["versions"].items())
    return "\n".join(
        [
            f"latency     median {latency['median']:.2f} ms, p5 {latency['p5']:.2f}, p95 {latency['p95']:.2f}",
            f"throughput  {result['fps']:.2f} images/s",
            f"cost        {macs:.3f} G multiply-accumulates, {parameters:.3f} M parameters",
            f"memory      {result['peak_rss_mib']:.0f} MiB resident at most",
            f"protocol    input {'x'.join(map(str, protocol['input']))} float32; {protocol['includes']}; "
            f"{protocol['warmup']} warm-up and {protocol['iterations']} timed iterations, each awaited",
            f"machine     {protocol['device']}, {protocol['cpu']}, {protocol['threads']} threads; {versions}",
        ]
    )
