"""EDANet: efficient dense modules of asymmetric convolution for real-time semantic segmentation (Lo et al., 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .erfnet import factorized_pair
from .layers import ConvModule2d, NormLayer, PooledDownsample, concat, relu

__all__ = ["EDAModule", "EDANet"]

_GROWTH = 40


@MODELS.register("EDANet", aliases=("eda",), paper="Lo et al., ACM MM Asia 2019", realtime=True)
class EDANet(SegmentationModel):
    """EDANet: densely connected asymmetric convolutions, dilated at stride 8, without decoder.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, norm=norm, output_stride=8)
        norm = self.norm
        down = {"norm_layer": norm, "pool": 2, "use_bias": True}
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(PooledDownsample(15, 3, **down), PooledDownsample(60, 15, **down))
            width = self._dense(60, (1, 1, 1, 2, 2), norm)
            self.layers.add(ConvModule2d(130, 3, 2, 1, in_channels=width, use_bias=True, norm_layer=norm))
            width = self._dense(130, (2, 2, 4, 4, 8, 8, 16, 16), norm)
            self.project_layer = nn.Conv2D(num_classes, 1, in_channels=width)

    def _dense(self, width: int, dilations: tuple[int, ...], norm: NormLayer) -> int:
        """Add a dense block to the layers and return its channels."""
        self.layers.add(*(EDAModule(width + _GROWTH * i, d, norm) for i, d in enumerate(dilations)))
        return width + _GROWTH * len(dilations)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        yield self.project_layer(self.layers(x))


class EDAModule(gluon.HybridBlock):
    """Bottleneck, two pairs of asymmetric convolutions, and the input behind the new channels (fig. 3).

    Parameters
    ----------
    in_channels : int
        Input channels.
    dilation : int
        Of the second pair.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, H, W). Outputs: (N, in_channels + 40, H, W).
    """

    def __init__(self, in_channels: int, dilation: int, norm_layer: NormLayer):
        super().__init__()
        self.conv1x1 = nn.Conv2D(_GROWTH, 1, in_channels=in_channels)
        self.bn0 = norm_layer(in_channels=_GROWTH)
        self.conv3x1_1, self.conv1x3_1 = factorized_pair(_GROWTH)
        self.bn1 = norm_layer(in_channels=_GROWTH)
        self.conv3x1_2, self.conv1x3_2 = factorized_pair(_GROWTH, dilation)
        self.bn2 = norm_layer(in_channels=_GROWTH)
        self.drop = nn.Dropout(0.02, axes=(2, 3))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = relu(F, self.bn0(self.conv1x1(x)))
        y = relu(F, self.bn1(self.conv1x3_1(self.conv3x1_1(y))))
        y = relu(F, self.bn2(self.conv1x3_2(self.conv3x1_2(y))))
        return concat(F, self.drop(y), x)
