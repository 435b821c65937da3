"""Normalisation layers: batch, synchronised batch and group normalisation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mxnet import gluon, sym
from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import SyncBatchNorm

from ...errors import ConfigError, suggest
from .activation import PReLU

__all__ = ["BATCH_NORMS", "GroupNorm", "NormLayer", "NormPReLU", "make_norm", "set_momentum"]

NormLayer = Callable[..., gluon.HybridBlock]
BATCH_NORMS = (nn.BatchNorm, SyncBatchNorm)


def make_norm(norm: str | NormLayer = "bn", num_devices: int = 1) -> NormLayer:
    """Constructor of normalisation layers; it is called as ``norm(in_channels=channels)``.

    Parameters
    ----------
    norm : str or callable
        ``bn``, ``syncbn``, ``gn``, or a constructor, which is returned as it is.
    num_devices : int
        Number of contexts that ``syncbn`` synchronises.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if callable(norm):
        return norm
    layers = {"bn": nn.BatchNorm, "syncbn": partial(SyncBatchNorm, num_devices=num_devices), "gn": GroupNorm}
    if norm not in layers:
        raise ConfigError(f"unknown normalisation {norm!r}", f"one of {', '.join(layers)}", suggest(str(norm), layers))
    return layers[norm]


def set_momentum(block: gluon.Block, momentum: float) -> None:
    """Let the running statistics of all batch normalisation in a block keep this share at every update."""

    def change(layer: gluon.Block) -> None:
        if isinstance(layer, BATCH_NORMS):
            layer._kwargs["momentum"] = momentum

    block.apply(change)


class NormPReLU(gluon.HybridBlock):
    """Normalisation, then a parametric ReLU with one slope per channel.

    Parameters
    ----------
    channels : int
        Channels.
    norm_layer : callable
        Constructor of the normalisation.
    """

    def __init__(self, channels: int, norm_layer: NormLayer):
        super().__init__()
        self.bn = norm_layer(in_channels=channels)
        self.act = PReLU(channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.act(self.bn(x))


class GroupNorm(gluon.HybridBlock):
    """Group normalisation with one scale and shift per channel (Wu & He, ECCV 2018, eq. 1-7).

    Gluon's own layer has one scale per group. The number of groups is the largest divisor of the channels
    that does not exceed `num_groups`, so that every channel count works.

    Parameters
    ----------
    num_groups : int
        Largest number of groups.
    epsilon : float
        Added to the variance.
    in_channels : int
        Channels of the input; 0 takes them from the first input or from the convolution in front.
    gamma_initializer, beta_initializer : str or Initializer
        Initial scale and shift.
    scale, center : bool
        Whether scale and shift are learned.

    Inputs: (N, C, H, W). Outputs: the same shape.
    """

    def __init__(
        self,
        num_groups: int = 32,
        epsilon: float = 1e-5,
        in_channels: int = 0,
        gamma_initializer: Any = "ones",
        beta_initializer: Any = "zeros",
        scale: bool = True,
        center: bool = True,
    ):
        super().__init__()
        self._num_groups, self._epsilon = num_groups, epsilon
        common = {"shape": (in_channels,), "allow_deferred_init": True}
        self.gamma = self.params.get("gamma", grad_req="write" if scale else "null", init=gamma_initializer, **common)
        self.beta = self.params.get("beta", grad_req="write" if center else "null", init=beta_initializer, **common)

    def infer_shape(self, x: Any, *args: Any) -> None:
        """Take the channel count from the first input."""
        self.gamma.shape = self.beta.shape = (x.shape[1],)

    def hybrid_forward(self, F: Any, x: Any, gamma: Any, beta: Any) -> Any:
        channels = self._channels(x)
        groups = next(g for g in range(min(self._num_groups, channels), 0, -1) if channels % g == 0)
        grouped = F.reshape(x, shape=(0, groups, -1))
        centred = F.broadcast_sub(grouped, F.mean(grouped, axis=2, keepdims=True))
        variance = F.mean(F.square(centred), axis=2, keepdims=True)
        normal = F.reshape_like(F.broadcast_mul(centred, F.rsqrt(variance + self._epsilon)), F.BlockGrad(x))
        gamma, beta = (F.reshape(p, shape=(1, channels, 1, 1)) for p in (gamma, beta))
        return F.broadcast_add(F.broadcast_mul(normal, gamma), beta)

    def _channels(self, x: Any) -> int:
        """Channels of `x`; while tracing an unused layer, the filters of the convolution that made `x`."""
        known = self.gamma.shape[0] or (
            int((x.list_attr() or {}).get("num_filter", 0)) if isinstance(x, sym.Symbol) else x.shape[1]
        )
        if not known:
            raise ConfigError(
                "GroupNorm cannot tell its number of channels",
                "a convolution in front of it, or in_channels",
                "pass in_channels=... to the layer",
            )
        return known
