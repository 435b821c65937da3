"""Wide ResNet backbones of GluonCV (Wu et al., 2016; Rota Bulo et al., CVPR 2018): pre-activation, output stride 8."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gluoncv.model_zoo.wideresnet import IdentityResidualBlock
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride

__all__ = ["WideResNetBackbone", "wideresnet16", "wideresnet16_quarter", "wideresnet20", "wideresnet38"]

# Channels, stride, dilation and dropout of the blocks of each module.
_MODULES = (
    ((128, 128), 1, 1, 0.0),
    ((256, 256), 1, 1, 0.0),
    ((512, 512), 2, 1, 0.0),
    ((512, 1024), 1, 2, 0.0),
    ((512, 1024, 2048), 1, 4, 0.3),
    ((1024, 2048, 4096), 1, 4, 0.5),
)


class WideResNetBackbone(Backbone):
    """Variant A2: max pooling before the first two of its six modules, a strided third, dilated others.

    Parameters
    ----------
    norm : callable
        Constructor of the normalisation.
    blocks : tuple of int
        Residual blocks of the six modules.
    reduction : int
        Divisor of all channels.

    Outputs: c1 (128, stride 2), c2 (256, stride 4), c3 (512, stride 8), c4 (4096, stride 8).
    """

    def __init__(self, norm: NormLayer, blocks: tuple[int, int, int, int, int, int], reduction: int = 1):
        super().__init__()
        self.channels = tuple(width // reduction for width in (128, 256, 512, 4096))
        activated = partial(_activated, norm)
        with self.name_scope():
            self.mod1 = nn.HybridSequential()
            in_channels = 64 // reduction
            self.mod1.add(nn.Conv2D(in_channels, 3, padding=1, use_bias=False, in_channels=3))
            self.pool2, self.pool3 = (nn.MaxPool2D(3, strides=2, padding=1) for _ in range(2))
            for number, (count, (widths, stride, dilation, drop)) in enumerate(
                zip(blocks, _MODULES, strict=True), start=2
            ):
                module, channels = nn.HybridSequential(), tuple(width // reduction for width in widths)
                dropout = partial(nn.Dropout, rate=drop) if drop else None
                for i in range(count):
                    module.add(
                        IdentityResidualBlock(
                            in_channels,
                            channels,
                            stride if i == 0 else 1,
                            dilation,
                            norm_act=activated,
                            dropout=dropout,
                        )
                    )
                    in_channels = channels[-1]
                setattr(self, f"mod{number}", module)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        c1 = self.mod2(self.pool2(self.mod1(x)))
        c2 = self.mod3(self.pool3(c1))
        c3 = self.mod4(c2)
        return c1, c2, c3, self.mod7(self.mod6(self.mod5(c3)))


def _activated(norm: Callable[..., Any], channels: int) -> nn.HybridSequential:
    """Normalisation and ReLU."""
    layers = nn.HybridSequential(prefix="")
    layers.add(norm(in_channels=channels), nn.Activation("relu"))
    return layers


@BACKBONES.register("wideresnet16", channels=(128, 256, 512, 4096), reductions=(2, 4, 8, 8), strides=(8,))
def wideresnet16(norm: NormLayer, output_stride: int = 8) -> WideResNetBackbone:
    """Wide ResNet-16 A2."""
    require_stride("wideresnet16", output_stride, (8,))
    return WideResNetBackbone(norm, (1, 1, 1, 1, 1, 1))


@BACKBONES.register("wideresnet16_quarter", channels=(32, 64, 128, 1024), reductions=(2, 4, 8, 8), strides=(8,))
def wideresnet16_quarter(norm: NormLayer, output_stride: int = 8) -> WideResNetBackbone:
    """Wide ResNet-16 A2 of a quarter of the width."""
    require_stride("wideresnet16_quarter", output_stride, (8,))
    return WideResNetBackbone(norm, (1, 1, 1, 1, 1, 1), reduction=4)


@BACKBONES.register("wideresnet20", channels=(128, 256, 512, 4096), reductions=(2, 4, 8, 8), strides=(8,))
def wideresnet20(norm: NormLayer, output_stride: int = 8) -> WideResNetBackbone:
    """Wide ResNet-20 A2."""
    require_stride("wideresnet20", output_stride, (8,))
    return WideResNetBackbone(norm, (1, 1, 1, 3, 1, 1))


@BACKBONES.register("wideresnet38", channels=(128, 256, 512, 4096), reductions=(2, 4, 8, 8), strides=(8,))
def wideresnet38(norm: NormLayer, output_stride: int = 8) -> WideResNetBackbone:
    """Wide ResNet-38 A2."""
    require_stride("wideresnet38", output_stride, (8,))
    return WideResNetBackbone(norm, (3, 3, 6, 3, 1, 1))
