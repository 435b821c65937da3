"""ENet: a deep neural network architecture for real-time semantic segmentation (Paszke et al., 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import Activation, ConvModule2d, ConvTransposeModule2d, NormLayer, PooledDownsample, concat
from .layers.pool import first_maxima, unpool

__all__ = ["Bottleneck", "DownBottleneck", "ENet", "UpBottleneck"]

# Dilation of the blocks of stages 2 and 3; 0 stands for the asymmetric ones.
_CONTEXT = (1, 2, 0, 4, 1, 8, 0, 16)


@MODELS.register("ENet", paper="Paszke et al., 2016", realtime=True)
class ENet(SegmentationModel):
    """ENet: bottlenecks with early downsampling, and a small decoder that puts maxima back where they were.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    encoder_relu, decoder_relu : bool
        ReLU instead of PReLU in stages 1 to 3, and in stages 4 and 5.
    norm : str or callable
        Normalisation.
    """

    full_size = True

    def __init__(
        self,
        num_classes: int,
        encoder_relu: bool = False,
        decoder_relu: bool = True,
        norm: str | NormLayer = "bn",
    ):
        super().__init__(num_classes, norm=norm, output_stride=8)
        encoder = {"norm_layer": self.norm, "activation": "relu" if encoder_relu else "prelu"}
        decoder = {"norm_layer": self.norm, "activation": "relu" if decoder_relu else "prelu"}
        with self.name_scope():
            self.initial_block = PooledDownsample(16, 3, **encoder)
            self.downsample1_0 = DownBottleneck(64, 16, dropout=0.01, **encoder)
            self.stage1 = nn.HybridSequential()
            self.stage1.add(*(Bottleneck(64, dropout=0.01, **encoder) for _ in range(4)))
            self.downsample2_0 = DownBottleneck(128, 64, **encoder)
            self.stage2, self.stage3 = nn.HybridSequential(), nn.HybridSequential()
            for stage in (self.stage2, self.stage3):
                stage.add(*(Bottleneck(128, dilation, **encoder) for dilation in _CONTEXT))
            self.upsample4_0 = UpBottleneck(64, 128, **decoder)
            self.stage4, self.stage5 = nn.HybridSequential(), nn.HybridSequential()
            self.stage4.add(Bottleneck(64, **decoder), Bottleneck(64, **decoder))
            self.upsample5_0 = UpBottleneck(16, 64, **decoder)
            self.stage5.add(Bottleneck(16, **decoder))
            self.transposed_conv = ConvTransposeModule2d(num_classes, 16, norm_layer=None, activation=None)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        half = self.initial_block(x)
        quarter = self.stage1(self.downsample1_0(half))
        y = self.stage3(self.stage2(self.downsample2_0(quarter)))
        y = self.stage4(self.upsample4_0(y, quarter))
        yield self.transposed_conv(self.stage5(self.upsample5_0(y, half)))


class Bottleneck(gluon.HybridBlock):
    """Projection to a quarter of the channels, convolution, projection back, shortcut (fig. 2b).

    Parameters
    ----------
    channels : int
        Input and output channels.
    dilation : int
        Of the 3x3 convolution in the middle; 0 for a 5x1 and a 1x5 convolution in its place.
    dropout : float
        Probability that a channel is dropped.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(
        self,
        channels: int,
        dilation: int = 1,
        dropout: float = 0.1,
        norm_layer: NormLayer = nn.BatchNorm,
        activation: str = "relu",
    ):
        super().__init__()
        inner, after = channels // 4, {"norm_layer": norm_layer, "activation": activation}
        self.ext_conv1 = ConvModule2d(inner, 1, in_channels=channels, **after)
        self.ext_conv2 = nn.HybridSequential()
        windows = ((3, 1, dilation, dilation),) if dilation else (((5, 1), 1, (2, 0)), ((1, 5), 1, (0, 2)))
        self.ext_conv2.add(*(ConvModule2d(inner, *window, in_channels=inner, **after) for window in windows))
        self.ext_conv3 = ConvModule2d(channels, 1, in_channels=inner, **after)
        self.drop = nn.Dropout(dropout, axes=(2, 3))
        self.act = Activation(activation)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.act(x + self.drop(self.ext_conv3(self.ext_conv2(self.ext_conv1(x)))))


class DownBottleneck(gluon.HybridBlock):
    """Bottleneck of half the size; its shortcut takes maxima and appends empty channels.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    dropout : float
        Probability that a channel is dropped.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, floor(H / 2), floor(W / 2)).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        dropout: float = 0.1,
        norm_layer: NormLayer = nn.BatchNorm,
        activation: str = "relu",
    ):
        super().__init__()
        inner, after = in_channels // 4, {"norm_layer": norm_layer, "activation": activation}
        self._appended = channels - in_channels
        self.ext_conv1 = ConvModule2d(inner, 2, 2, in_channels=in_channels, **after)
        self.ext_conv2 = ConvModule2d(inner, 3, padding=1, in_channels=inner, **after)
        self.ext_conv3 = ConvModule2d(channels, 1, in_channels=inner, **after)
        self.drop = nn.Dropout(dropout, axes=(2, 3))
        self.pool = nn.MaxPool2D(2, 2)
        self.act = Activation(activation)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.drop(self.ext_conv3(self.ext_conv2(self.ext_conv1(x))))
        empty = F.zeros_like(F.slice_axis(y, axis=1, begin=0, end=self._appended))
        return self.act(concat(F, self.pool(x), empty) + y)


class UpBottleneck(gluon.HybridBlock):
    """Bottleneck of double size; its shortcut puts values where the maxima of a shallow map were.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    dropout : float
        Probability that a channel is dropped.
    norm_layer : callable
        Constructor of the normalisation.
    activation : str
        Name of the activation.

    Inputs: (N, in_channels, floor(H / 2), floor(W / 2)), and the map (N, channels, H, W) that the corresponding
    :class:`DownBottleneck` saw. Outputs: (N, channels, H, W).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        dropout: float = 0.1,
        norm_layer: NormLayer = nn.BatchNorm,
        activation: str = "relu",
    ):
        super().__init__()
        inner, after = in_channels // 4, {"norm_layer": norm_layer, "activation": activation}
        linear = {"norm_layer": norm_layer, "activation": None}
        self.main_conv1 = ConvModule2d(channels, 1, in_channels=in_channels, **linear)
        self.ext_conv1 = ConvModule2d(inner, 1, in_channels=in_channels, **after)
        self.ext_tconv1 = nn.Conv2DTranspose(inner, 2, 2, output_padding=1, use_bias=False, in_channels=inner)
        self.ext_tconv1_bnorm = norm_layer(in_channels=inner)
        self.ext_tconv1_activation = Activation(activation)
        self.ext_conv2 = ConvModule2d(channels, 1, in_channels=inner, **linear)
        self.drop = nn.Dropout(dropout, axes=(2, 3))
        self.act = Activation(activation)

    def hybrid_forward(self, F: Any, x: Any, shallow: Any) -> Any:
        main = unpool(F, self.main_conv1(x), first_maxima(F, shallow), shallow)
        # The padding leaves a row and a column more than needed, of which an odd size keeps one.
        y = F.slice_like(self.ext_tconv1(self.ext_conv1(x)), F.BlockGrad(shallow), axes=(2, 3))
        y = self.ext_conv2(self.ext_tconv1_activation(self.ext_tconv1_bnorm(y)))
        return self.act(main + self.drop(y))
