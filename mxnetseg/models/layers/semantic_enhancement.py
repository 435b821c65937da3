"""Semantic enhancement module of SeENet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .concat import concat
from .conv import GCN, ConvModule2d
from .norm import NormLayer

__all__ = ["SeEModule"]


class SeEModule(gluon.HybridBlock):
    """Dilated branches beside their input, projected (Pang et al., ICCV 2019, semantic enhancement module).

    Parameters
    ----------
    channels : int
        Channels of every branch and of the output.
    atrous_rates : sequence of int
        Dilation of the branches.
    full_sample : bool
        Whether a global convolution fills the gaps in front of each dilated one.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, C, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self,
        channels: int = 128,
        atrous_rates: Sequence[int] = (1, 2, 4, 8),
        full_sample: bool = False,
        in_channels: int = 0,
        norm_layer: NormLayer = nn.BatchNorm,
    ):
        super().__init__()
        for number, rate in enumerate(atrous_rates, start=1):
            branch = nn.HybridSequential()
            branch.add(ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=norm_layer))
            if full_sample:
                branch.add(GCN(channels, 3, channels))
            branch.add(
                ConvModule2d(channels, 3, padding=rate, dilation=rate, in_channels=channels, norm_layer=norm_layer)
            )
            setattr(self, f"branch{number}", branch)
        self._branches = [f"branch{number}" for number in range(1, len(atrous_rates) + 1)]
        width = in_channels + len(atrous_rates) * channels if in_channels else 0
        self.proj = ConvModule2d(channels, 1, in_channels=width, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.proj(concat(F, x, *(getattr(self, name)(x) for name in self._branches)))
