"""Channel shuffle."""

from __future__ import annotations

from typing import Any

__all__ = ["shuffle_channels"]


def shuffle_channels(F: Any, x: Any, groups: int) -> Any:
    """Order in which every group of channels is spread over all groups (Zhang et al., CVPR 2018, sec. 3.1).

    Parameters
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    x : NDArray or Symbol
        Map of shape (N, C, H, W).
    groups : int
        Divisor of C.

    Returns
    -------
    NDArray or Symbol
        Map of the same shape.
    """
    grouped = F.reshape(x, shape=(0, -4, groups, -1, 0, 0))
    return F.reshape(F.swapaxes(grouped, dim1=1, dim2=2), shape=(0, -3, 0, 0))
