"""Names of tensors in PyTorch checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mxnet import gluon

__all__ = ["own_names"]

_NORM = {"weight": "gamma", "bias": "beta"}
# Counts batches where batch normalisation averages without decay, which none of the systems does.
_COUNTER = "num_batches_tracked"


def own_names(
    net: gluon.HybridBlock, official: Iterable[str], rename: Callable[[str], str | None]
) -> dict[str, str | None]:
    """Our structural parameter name of each official tensor name.

    Parameters
    ----------
    net : HybridBlock
        Network of ours.
    official : iterable of str
        Tensor names of the checkpoint, perhaps with the ``module.`` that data parallelism puts in front.
    rename : callable
        From an official name without ``module.`` to ours, but for scale and shift of normalisation layers, which
        PyTorch calls weight and bias; None for a tensor that the network's output does not depend on.

    Returns
    -------
    dict
        None where a tensor has no part in the network's output.
    """
    ours = net._collect_params_with_prefix()
    return {name: _own_name(name.removeprefix("module."), ours, rename) for name in official}


def _own_name(name: str, ours: Iterable[str], rename: Callable[[str], str | None]) -> str | None:
    """Our name of one tensor."""
    target = None if name.endswith(_COUNTER) else rename(name)
    if target is None or target in ours:
        return target
    layer, _, kind = target.rpartition(".")
    normal = f"{layer}.{_NORM.get(kind, kind)}"
    return normal if normal in ours else target
