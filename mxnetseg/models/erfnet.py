"""ERFNet: efficient residual factorized ConvNet for real-time semantic segmentation (Romera et al., 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvTransposeModule2d, NormLayer, PooledDownsample, relu

__all__ = ["ERFNet", "NonBottleneck1D"]


@MODELS.register("ERFNet", aliases=("erf",), paper="Romera et al., IEEE T-ITS 2017", realtime=True)
class ERFNet(SegmentationModel):
    """ERFNet: factorised residual blocks, dilated at stride 8, and transposed convolutions back to full size.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    aux : bool
        Class scores of the encoder at stride 8, on which the original trains it first.
    norm : str or callable
        Normalisation.
    """

    full_size = True

    def __init__(self, num_classes: int, aux: bool = True, norm: str | NormLayer = "bn"):
        super().__init__(num_classes, norm=norm, output_stride=8, aux=aux)
        norm = partial(self.norm, epsilon=1e-3)
        with self.name_scope():
            self.encoder = _encoder(norm)
            self.decoder = _decoder(norm)
            self.head = nn.Conv2DTranspose(num_classes, 2, 2, in_channels=16)
            if aux:
                self.aux_head = nn.Conv2D(num_classes, 1, in_channels=128)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        deep = self.encoder(x)
        yield self.head(self.decoder(deep))
        yield self.aux_head(deep)


class NonBottleneck1D(gluon.HybridBlock):
    """Two 3x3 convolutions as pairs of 3x1 and 1x3 ones, with a shortcut (fig. 2c); the second pair is dilated.

    Parameters
    ----------
    channels : int
        Input and output channels.
    norm_layer : callable
        Constructor of the normalisation.
    dilation : int
        Of the second pair.
    dropout : float
        Probability that a channel is dropped.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, norm_layer: NormLayer, dilation: int = 1, dropout: float = 0.0):
        super().__init__()
        self.conv3x1_1, self.conv1x3_1 = factorized_pair(channels)
        self.bn1 = norm_layer(in_channels=channels)
        self.conv3x1_2, self.conv1x3_2 = factorized_pair(channels, dilation)
        self.bn2 = norm_layer(in_channels=channels)
        self.drop = nn.Dropout(dropout, axes=(2, 3)) if dropout else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = relu(F, self.bn1(self.conv1x3_1(relu(F, self.conv3x1_1(x)))))
        y = self.bn2(self.conv1x3_2(relu(F, self.conv3x1_2(y))))
        return relu(F, (self.drop(y) if self.drop else y) + x)


def factorized_pair(channels: int, dilation: int = 1) -> tuple[nn.Conv2D, nn.Conv2D]:
    """A 3x1 and a 1x3 convolution with bias that keep size and channels."""
    column = nn.Conv2D(channels, (3, 1), 1, (dilation, 0), (dilation, 1), in_channels=channels)
    return column, nn.Conv2D(channels, (1, 3), 1, (0, dilation), (1, dilation), in_channels=channels)


def _encoder(norm: NormLayer) -> nn.HybridSequential:
    """Layers 1 to 16 of tab. 1."""
    down = {"norm_layer": norm, "pool": 2, "use_bias": True}
    layers = nn.HybridSequential()
    layers.add(PooledDownsample(16, 3, **down), PooledDownsample(64, 16, **down))
    layers.add(*(NonBottleneck1D(64, norm, dropout=0.03) for _ in range(5)))
    layers.add(PooledDownsample(128, 64, **down))
    layers.add(*(NonBottleneck1D(128, norm, dilation, 0.3) for dilation in (2, 4, 8, 16) * 2))
    return layers


def _decoder(norm: NormLayer) -> nn.HybridSequential:
    """Layers 17 to 22 of tab. 1."""
    layers = nn.HybridSequential()
    for channels, in_channels in ((64, 128), (16, 64)):
        layers.add(ConvTransposeModule2d(channels, in_channels, use_bias=True, norm_layer=norm))
        layers.add(*(NonBottleneck1D(channels, norm) for _ in range(2)))
    return layers
