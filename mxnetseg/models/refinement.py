"""Refinement module of MagNet: progressive semantic segmentation (Huynh et al., CVPR 2021, sec. 3.2)."""

from __future__ import annotations

from typing import Any

from gluoncv.model_zoo.resnetv1b import BottleneckV1b
from mxnet import gluon, init
from mxnet.gluon import nn

from .layers import ConvModule2d, NormLayer, concat, set_momentum

__all__ = ["RefinementModule"]


class RefinementModule(gluon.HybridBlock):
    """Combines two class-probability maps of the same place: the fine one of a crop and the coarse one before it.

    Parameters
    ----------
    num_classes : int
        Number of classes K.
    input_norm : bool
        Whether the input is normalised.

    Inputs: fine and coarse probabilities, each (N, K, h, w). Outputs: class scores (N, K, h, w).
    """

    def __init__(self, num_classes: int, input_norm: bool = True):
        super().__init__(prefix="refinement_")
        self.num_classes, self.input_norm = num_classes, input_norm
        with self.name_scope():
            self.bn0 = nn.BatchNorm(in_channels=2 * num_classes) if input_norm else None
            self.conv1 = ConvModule2d(64, 3, padding=1, in_channels=2 * num_classes)
            self.conv2 = ConvModule2d(64, 3, padding=1, in_channels=64)
            self.residual = nn.HybridSequential()
            self.residual.add(_bottleneck(64, nn.BatchNorm), _bottleneck(128, nn.BatchNorm))
            self.classifier = nn.Conv2D(num_classes, 1, use_bias=False, in_channels=128)
        set_momentum(self, 0.99)

    def hybrid_forward(self, F: Any, fine: Any, coarse: Any) -> Any:
        x = concat(F, fine, coarse)
        x = self.bn0(x) if self.bn0 is not None else x
        return self.classifier(self.residual(self.conv2(self.conv1(x))))

    def prepare(self, ctx: Any = None) -> None:
        """Initialise all parameters: normal with variance 2 / fan-in."""
        self.initialize(init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=ctx)


def _bottleneck(in_channels: int, norm: NormLayer) -> BottleneckV1b:
    """Residual block of 32 channels inside and 128 outside."""
    shortcut = None
    if in_channels != 128:
        shortcut = nn.HybridSequential()
        shortcut.add(nn.Conv2D(128, 1, use_bias=False, in_channels=in_channels), norm(in_channels=128))
    block = BottleneckV1b(32, downsample=shortcut, norm_layer=norm)
    for conv, channels in ((block.conv1, in_channels), (block.conv2, 32), (block.conv3, 32)):
        conv._in_channels = channels
        conv.weight.shape = (conv._channels, channels, *conv._kwargs["kernel"])
    return block
