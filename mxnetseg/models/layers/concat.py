"""Concatenation of maps along their channels."""

from __future__ import annotations

from typing import Any

from .mode import building_for_inference

__all__ = ["concat"]


def concat(F: Any, *maps: Any) -> Any:
    """Maps one after the other along their channels.

    While training, the axis is counted from the end, for which MXNet takes a kernel of its own: the backward pass of
    oneDNN's loses about 1.2 KiB of memory per map and step.

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    *maps : NDArray or Symbol
        Of shapes (N, C_i, H, W).

    Returns
    -------
    NDArray or Symbol
        Map of shape (N, sum of C_i, H, W).
    """
    return F.concat(*maps, dim=1 if building_for_inference() else -3)
