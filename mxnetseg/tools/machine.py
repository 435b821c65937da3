"""What a measurement runs on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..compat import nvidia_gpus, usable_cpus

__all__ = ["cpu_name", "describe_machine", "peak_rss_mib", "threads"]


def cpu_name() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_rss_mib() -> float:
    """Largest resident memory of this process so far, in MiB.

    ``getrusage`` is the second choice: there, a process begins with the peak of the one that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def threads() -> int:
    """Number of OpenMP threads of this process."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() else usable_cpus()


def describe_machine(ctx: Any, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Device, processor, threads and versions, for the record of a measurement.

    Parameters
    ----------
    ctx : mx.Context
        Device of the measurement.
    packages : sequence of str
        Installed packages that matter too.

    Returns
    -------
    dict
        ``device``, ``cpu``, ``cpus`` (usable ones), ``threads`` (as OMP_NUM_THREADS says), ``versions``, and on a GPU
        ``gpu``.
    """
    import mxnet as mx

    from .. import __version__

    versions = {"mxnetseg": __version__, "python": platform.python_version()}
    versions |= {"mxnet": mx.__version__, "numpy": np.__version__}
    versions |= {name: importlib.metadata.version(name) for name in packages}
    found = {"device": str(ctx), "cpu": cpu_name(), "cpus": usable_cpus()}
    found |= {"threads": os.environ.get("OMP_NUM_THREADS", ""), "versions": versions}
    if ctx.device_type == "gpu":
        gpus = nvidia_gpus()
        found["gpu"] = gpus[ctx.device_id] if ctx.device_id < len(gpus) else {}
    return found
