"""What must happen before ``import mxnet``: thread count, bounded caches, NumPy names, CUDA libraries.

Importing ``mxnetseg`` runs :func:`prepare` once. Nothing in the package imports mxnet earlier.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

__all__ = [
    "CUDA_LIBRARIES",
    "LIGHT",
    "bound_caches",
    "load_cuda_libraries",
    "nvidia_gpus",
    "prepare",
    "restore_numpy_names",
    "set_threads",
    "usable_cpus",
]

# Environment variable that marks processes which never import mxnet (loader workers): they need no CUDA library.
LIGHT = "MXNETSEG_LIGHT"

# Soname of each library that mxnet-cu112 links, and the package of pip's nvidia-*-cu11 family that ships it,
# in the order in which they must be loaded.
CUDA_LIBRARIES = {
    "libcudart.so.11.0": "cuda_runtime",
    "libnvToolsExt.so.1": "nvtx",
    "libnvrtc.so.11.2": "cuda_nvrtc",
    "libcublas.so.11": "cublas",
    "libcufft.so.10": "cufft",
    "libcurand.so.10": "curand",
    "libcusolver.so.11": "cusolver",
    "libcudnn.so.8": "cudnn",
    "libnccl.so.2": "nccl",
}


def usable_cpus() -> int:
    """Number of CPUs that this process may really use (affinity and cgroup quota, at least 1)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, count)


def set_threads() -> int:
    """Choose the number of OpenMP threads unless the user did; return it.

    MXNet takes half of the processors it sees (it assumes hyper-threads), which halves its speed on
    machines without them. ``OMP_NUM_THREADS`` set by the user always wins.
    """
    value = os.environ.setdefault("OMP_NUM_THREADS", str(usable_cpus()))
    # Waking a sleeping thread costs more than many an operator takes, but threads that spin for long keep the
    # cores from the loader and from the engine's other threads: spin for some 0.1 ms (ACTIVE alone: for ever).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    return int(value) if value.isdigit() else usable_cpus()


def bound_caches() -> None:
    """Bound what MXNet keeps of oneDNN for every size of input that it meets, unless the user did.

    Without a bound, a thousand images of different sizes leave some 400 MiB behind (``benchmarks/leaks.py``).
    The first is MXNet's cache, one for each kind of operator; oneDNN's own makes misses of the first cheap.
    """
    os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "16")
    os.environ.setdefault("DNNL_PRIMITIVE_CACHE_CAPACITY", "512")


def restore_numpy_names() -> None:
    """Give back the type names that NumPy 1.24 removed and that mxnet and gluoncv still use."""
    import numpy as np

    removed = {"bool": bool, "int": int, "float": float, "complex": complex, "object": object, "str": str}
    for name, builtin in removed.items():
        if name not in np.__dict__:
            setattr(np, name, builtin)


def load_cuda_libraries() -> list[str]:
    """Load the CUDA libraries installed by pip, by path, so that no system CUDA is needed.

    Returns
    -------
    list of str
        Sonames that were loaded; empty where the nvidia packages are not installed.
    """
    spec = importlib.util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations or ()) if spec else []
    loaded = []
    for soname, package in CUDA_LIBRARIES.items():
        for root in roots:
            path = Path(root) / package / "lib" / soname
            if path.exists():
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                loaded.append(soname)
                break
    return loaded


def nvidia_gpus(timeout: float = 20.0) -> list[dict[str, Any]]:
    """Name, compute capability and driver of each GPU that ``nvidia-smi`` reports; empty without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=timeout, check=True)
    except (subprocess.SubprocessError, OSError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.count(",") == 2]
    return [{"name": name, "capability": capability, "driver": driver} for name, capability, driver in rows]


def prepare() -> None:
    """Do all of the above; harmless when repeated, too late for the threads once mxnet is loaded."""
    if "mxnet" not in sys.modules:
        set_threads()
        bound_caches()
        if LIGHT not in os.environ:
            load_cuda_libraries()
    # Without NumPy nothing but `mxnetseg doctor` works, which says so.
    if importlib.util.find_spec("numpy"):
        restore_numpy_names()
    # Raised by mxnet's own modules on every import or call; nothing a user could act on.
    warnings.filterwarnings("ignore", message="In the future `np", category=FutureWarning)
