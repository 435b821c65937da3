"""Contexts from what a user types, refused with the remedy where they cannot work."""

from __future__ import annotations

import re
from collections.abc import Sequence

import mxnet as mx

from ..compat import nvidia_gpus
from ..errors import ConfigError, DeviceError

__all__ = ["check_capability", "check_norm", "gpu_count", "resolve_contexts"]

# Compute capabilities for which mxnet-cu112 1.9.1 holds machine code; code of a capability also runs on the
# later minor versions of the same major one. There is no PTX, hence nothing for newer majors.
_COMPILED = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))

_CPU_REMEDY = "--ctx cpu trains on the processor"


def gpu_count() -> int:
    """Number of GPUs that this build of MXNet can see; 0 for a CPU build or a broken driver."""
    try:
        return mx.context.num_gpus()
    except mx.MXNetError:
        return 0


def check_capability(capability: str, name: str = "the GPU") -> None:
    """Refuse a GPU for which MXNet has no machine code.

    Parameters
    ----------
    capability : str
        Compute capability, e.g. ``"8.6"``.
    name : str
        Name of the GPU, for the message.

    Raises
    ------
    DeviceError
        If nothing compiled runs on it.
    """
    if not re.fullmatch(r"\d+\.\d+", capability):
        return
    major, minor = map(int, capability.split("."))
    if any(m == major and n <= minor for m, n in _COMPILED):
        return
    raise DeviceError(
        f"{name} has compute capability {capability}; MXNet 1.9.1 has no code for it",
        "5.x to 8.x (Maxwell, Pascal, Volta, Turing, Ampere, Ada)",
        f"{_CPU_REMEDY}; a trained network runs on this GPU through `mxnetseg export`",
    )


def _check_gpus(ids: Sequence[int]) -> None:
    if not mx.runtime.Features().is_enabled("CUDA"):
        raise DeviceError(
            f"GPU {ids[0]} was asked for, but this build of MXNet has no CUDA",
            "--ctx cpu, or a CUDA build",
            f"{_CPU_REMEDY}; pip install -r requirements-gpu.txt installs the CUDA build",
        )
    count = gpu_count()
    missing = [i for i in ids if i >= count]
    if missing:
        visible = f"GPU ids 0..{count - 1}" if count else "a visible GPU (none is)"
        remedy = f"{_CPU_REMEDY}; `nvidia-smi` and `mxnetseg doctor` show what is visible (CUDA_VISIBLE_DEVICES hides)"
        raise DeviceError(f"GPU {missing[0]} does not exist", visible, remedy)
    for gpu in nvidia_gpus():
        check_capability(gpu["capability"], gpu["name"])


def _parse(name: str) -> mx.Context:
    match = re.fullmatch(r"(?:(cpu|gpu)(?:\((\d+)\)|:?(\d+))?|(\d+))", name.strip().lower())
    if match is None:
        raise DeviceError(f"unknown context {name!r}", "GPU ids (0 1), cpu, or cpu0 cpu1 ...")
    kind, *numbers = match.groups()
    return mx.Context(kind or "gpu", int(next((n for n in numbers if n), 0)))


def resolve_contexts(names: Sequence[str] | None = None) -> list[mx.Context]:
    """Contexts for the values of ``--ctx``.

    Parameters
    ----------
    names : sequence of str, optional
        GPU ids (``0 1``), ``cpu``, or ``cpu0 cpu1`` (several shares of the processor, which behave like devices);
        commas work too. When empty: GPU 0 where one is usable, else the processor.

    Returns
    -------
    list of mx.Context

    Raises
    ------
    DeviceError
        If a name is unknown or repeated, kinds are mixed, or a GPU is absent or unusable; with the remedy.
    """
    words = [word for name in names or () for word in str(name).replace(",", " ").split()]
    if not words:
        try:
            _check_gpus([0])
        except DeviceError:
            return [mx.cpu(0)]
        return [mx.gpu(0)]
    contexts = [_parse(word) for word in words]
    if len(set(contexts)) < len(contexts):
        raise DeviceError(f"--ctx {' '.join(words)} names a context twice", "different contexts")
    if len({c.device_type for c in contexts}) > 1:
        raise DeviceError(f"--ctx {' '.join(words)} mixes processor and GPUs", "contexts of one kind")
    if contexts[0].device_type == "gpu":
        _check_gpus([c.device_id for c in contexts])
    return contexts


def check_norm(norm: str, contexts: Sequence[mx.Context]) -> None:
    """Refuse SyncBatchNorm on several CPU contexts, where MXNet's operator waits for ever.

    Raises
    ------
    ConfigError
        With the norms that work there.
    """
    if norm == "syncbn" and len(contexts) > 1 and contexts[0].device_type == "cpu":
        raise ConfigError(
            f"model.norm=syncbn on {len(contexts)} CPU contexts: MXNet's SyncBatchNorm never returns there",
            "syncbn on GPUs or one context; bn or gn on several CPU contexts",
            "model.norm=gn, or --ctx cpu",
        )
