"""Exponential moving average of the weights, kept on the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mxnet import gluon, nd

from .weights import parameters

__all__ = ["WeightAverage"]


class WeightAverage:
    """Moving average of learnable parameters; running statistics follow the network's.

    After update t (from 1) the average is d * average + (1 - d) * weights with d = min(decay, (1 + t) / (10 + t)),
    so that the beginning is forgotten quickly.

    Parameters
    ----------
    net : Block
        Network with initialised parameters; its first context is averaged.
    decay : float
        Decay in [0, 1).
    """

    def __init__(self, net: gluon.Block, decay: float):
        self.decay = decay
        learnable = {name: p for name, p in parameters(net).items() if p.grad_req != "null"}
        self._params = learnable
        self.arrays = {name: p.list_data()[0].copy() for name, p in learnable.items()}

    def update(self, updates: int) -> None:
        """Take in the weights after `updates` updates; asynchronous."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        for name, average in self.arrays.items():
            average *= decay
            average += (1 - decay) * self._params[name].list_data()[0]

    def load(self, arrays: dict[str, nd.NDArray]) -> None:
        """Continue from stored averages."""
        for name, average in self.arrays.items():
            arrays[name].copyto(average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this block the network has the averaged weights on every context."""
        kept = {name: p.list_data()[0].copy() for name, p in self._params.items()}
        for name, param in self._params.items():
            param.set_data(self.arrays[name])
        try:
            yield
        finally:
            for name, param in self._params.items():
                param.set_data(kept[name])
