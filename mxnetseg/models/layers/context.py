"""Context modules: global pooling, pyramid pooling, atrous spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .concat import concat
from .conv import ConvModule2d
from .norm import NormLayer
from .pool import global_mean
from .resize import resize_like

__all__ = ["ASPPModule", "GlobalFlow", "PPModule"]


class GlobalFlow(gluon.HybridBlock):
    """Global average pooling, 1x1 convolution module, spread over the map again.

    Parameters
    ----------
    channels : int
        Output channels.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, C, H, W). Outputs: (N, channels, H, W), constant over each map.
    """

    def __init__(self, channels: int, in_channels: int = 0, norm_layer: NormLayer = nn.BatchNorm):
        super().__init__()
        self.conv1x1 = ConvModule2d(channels, 1, in_channels=in_channels, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return resize_like(F, self.conv1x1(global_mean(F, x)), x)


class PPModule(gluon.HybridBlock):
    """Pyramid pooling (Zhao et al., CVPR 2017, sec. 3.2): the input beside its averages over 1, 2, 3 and 6 bins.

    Parameters
    ----------
    in_channels : int
        Input channels.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str or None
        Name of the activation; none when None.
    reduction : int
        Each pooled map has in_channels // reduction channels.
    input_last : bool
        Whether the input comes after its averages.

    Inputs: (N, in_channels, H, W). Outputs: (N, in_channels + 4 * (in_channels // reduction), H, W).
    """

    bins = (1, 2, 3, 6)

    def __init__(
        self,
        in_channels: int,
        norm_layer: NormLayer = nn.BatchNorm,
        activation: str | None = "relu",
        reduction: int = 4,
        input_last: bool = False,
    ):
        super().__init__()
        self._input_last = input_last
        for i in range(1, len(self.bins) + 1):
            branch = ConvModule2d(
                in_channels // reduction, 1, in_channels=in_channels, norm_layer=norm_layer, activation=activation
            )
            setattr(self, f"conv{i}", branch)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        branches = (self.conv1, self.conv2, self.conv3, self.conv4)
        pooled = [
            resize_like(F, conv(F.contrib.AdaptiveAvgPooling2D(x, output_size=bins)), x)
            for conv, bins in zip(branches, self.bins, strict=True)
        ]
        return concat(F, *((*pooled, x) if self._input_last else (x, *pooled)))


class ASPPModule(gluon.HybridBlock):
    """Atrous spatial pyramid pooling (Chen et al., 2017, sec. 3.3).

    Parameters
    ----------
    channels : int
        Channels of every branch and of the output.
    in_channels : int
        Input channels; 0 takes them from the first input.
    norm_layer : callable
        Constructor of the normalisation.
    rates : sequence of int
        Dilation of the 3x3 branches.
    drop : float
        Dropout probability after the projection; no layer where 0.
    pool_branch : bool
        Whether there is an image-pooling branch.
    linear : bool
        Whether the projection has neither normalisation nor activation.

    Inputs: (N, C, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(
        self,
        channels: int = 256,
        in_channels: int = 0,
        norm_layer: NormLayer = nn.BatchNorm,
        rates: Sequence[int] = (6, 12, 18),
        drop: float = 0.5,
        pool_branch: bool = True,
        linear: bool = False,
    ):
        super().__init__()
        common = {"in_channels": in_channels, "norm_layer": norm_layer}
        self.branches = nn.HybridSequential()
        self.branches.add(ConvModule2d(channels, 1, **common))
        for rate in rates:
            self.branches.add(ConvModule2d(channels, 3, padding=rate, dilation=rate, **common))
        if pool_branch:
            self.branches.add(GlobalFlow(channels, **common))
        after = {"norm_layer": None, "activation": None} if linear else {"norm_layer": norm_layer}
        self.projection = ConvModule2d(channels, 1, in_channels=len(self.branches) * channels, **after)
        self.drop = nn.Dropout(drop) if drop else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.projection(concat(F, *[branch(x) for branch in self.branches]))
        return self.drop(x) if self.drop else x
