"""Convolution bricks: convolution, normalisation and activation in one block."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ...errors import ConfigError, suggest
from .activation import Activation
from .norm import NormLayer

__all__ = ["GCN", "ConvModule2d", "ConvTransposeModule2d", "DepthwiseSeparableConv2d", "FactorizedConv2d"]

Pair = int | tuple[int, int]


class ConvModule2d(gluon.HybridBlock):
    """Convolution, normalisation, activation.

    Parameters
    ----------
    channels : int
        Output channels.
    kernel_size, strides, padding, dilation : int or (int, int)
        Of the convolution; the padding is not derived from the kernel.
    groups : int
        Groups of the convolution.
    in_channels : int
        Input channels; 0 takes them from the first input.
    use_bias : bool
        Whether the convolution has a bias.
    norm_layer : callable or None
        Constructor of the normalisation (see :func:`.norm.make_norm`); none when None.
    activation : str, block or None
        Activation or its name; none when empty.

    Inputs: (N, C, H, W). Outputs: (N, channels, H', W').
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Pair,
        strides: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        in_channels: int = 0,
        use_bias: bool = False,
        norm_layer: NormLayer | None = nn.BatchNorm,
        activation: str | gluon.HybridBlock | None = "relu",
    ):
        super().__init__()
        self.conv = nn.Conv2D(
            channels, kernel_size, strides, padding, dilation, groups, use_bias=use_bias, in_channels=in_channels
        )
        self.bn = norm_layer(in_channels=channels) if norm_layer else None
        self.act = Activation(activation) if isinstance(activation, str) and activation else activation or None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv(x)
        x = self.bn(x) if self.bn else x
        return self.act(x) if self.act else x


class ConvTransposeModule2d(gluon.HybridBlock):
    """Transposed convolution of stride 2 that doubles the size, normalisation, activation.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    kernel_size : int
        2, or 3 with padding 1.
    use_bias : bool
        Whether the convolution has a bias.
    norm_layer : callable or None
        Constructor of the normalisation.
    activation : str or None
        Name of the activation.
    output_padding : int, optional
        Rows and columns added at the end: what doubling takes when not given.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, 2 * H, 2 * W).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        kernel_size: int = 3,
        use_bias: bool = False,
        norm_layer: NormLayer | None = nn.BatchNorm,
        activation: str | None = "relu",
        output_padding: int | None = None,
    ):
        super().__init__()
        padding = (kernel_size - 1) // 2
        self.conv = nn.Conv2DTranspose(
            channels,
            kernel_size,
            2,
            padding,
            padding if output_padding is None else output_padding,
            use_bias=use_bias,
            in_channels=in_channels,
        )
        self.bn = norm_layer(in_channels=channels) if norm_layer else None
        self.act = Activation(activation) if activation else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.conv(x)
        x = self.bn(x) if self.bn else x
        return self.act(x) if self.act else x


class DepthwiseSeparableConv2d(gluon.HybridBlock):
    """Depthwise convolution followed by a 1x1 convolution.

    Parameters
    ----------
    channels, in_channels : int
        Output and input channels.
    kernel_size, strides, padding, dilation : int
        Of the depthwise convolution.
    use_bias : bool
        Whether both convolutions have a bias.
    norm_layer : callable or None
        Constructor of the normalisation.
    activation : str or None
        Name of the activation.
    pattern : str
        ``mobilenet``: normalisation and activation after both (Howard et al., 2017);
        ``xception``: only after the 1x1 convolution (Chollet, CVPR 2017).

    Raises
    ------
    ConfigError
        If the pattern is unknown.
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        kernel_size: int,
        strides: int = 1,
        padding: int = 0,
        dilation: int = 1,
        use_bias: bool = False,
        norm_layer: NormLayer | None = nn.BatchNorm,
        activation: str | None = "relu",
        pattern: str = "mobilenet",
    ):
        super().__init__()
        window = (kernel_size, strides, padding, dilation)
        after = {"use_bias": use_bias, "norm_layer": norm_layer, "activation": activation}
        if pattern == "mobilenet":
            self.depthwise = ConvModule2d(in_channels, *window, groups=in_channels, in_channels=in_channels, **after)
        elif pattern == "xception":
            self.depthwise = nn.Conv2D(
                in_channels, *window, groups=in_channels, use_bias=use_bias, in_channels=in_channels
            )
        else:
            raise ConfigError(
                f"unknown pattern {pattern!r}", "mobilenet or xception", suggest(pattern, ("mobilenet", "xception"))
            )
        self.pointwise = ConvModule2d(channels, 1, in_channels=in_channels, **after)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.pointwise(self.depthwise(x))


class FactorizedConv2d(gluon.HybridBlock):
    """A k x 1 convolution with activation, then a 1 x k convolution with normalisation and activation.

    Parameters
    ----------
    channels : int
        Output channels of both.
    kernel_size, strides, padding : int
        k, and stride and padding along the direction of k.
    in_channels : int
        Input channels; 0 takes them from the first input.
    use_bias : bool
        Whether both convolutions have a bias.
    norm_layer : callable or None
        Constructor of the normalisation.
    activation : str or None
        Name of the activation.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        strides: int = 1,
        padding: int = 0,
        in_channels: int = 0,
        use_bias: bool = False,
        norm_layer: NormLayer | None = nn.BatchNorm,
        activation: str | None = "relu",
    ):
        super().__init__()
        k, s, p = kernel_size, strides, padding
        common = {"use_bias": use_bias, "activation": activation}
        self.conv1 = ConvModule2d(channels, (k, 1), (s, 1), (p, 0), in_channels=in_channels, norm_layer=None, **common)
        self.conv2 = ConvModule2d(
            channels, (1, k), (1, s), (0, p), in_channels=channels, norm_layer=norm_layer, **common
        )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv2(self.conv1(x))


class GCN(gluon.HybridBlock):
    """Global convolution: large kernel from two factorised branches (Peng et al., CVPR 2017, fig. 2B).

    Parameters
    ----------
    channels : int
        Output channels.
    k_size : int
        Kernel size, odd.
    in_channels : int
        Input channels; 0 takes them from the first input.
    """

    def __init__(self, channels: int, k_size: int, in_channels: int = 0):
        super().__init__()
        column = {"kernel_size": (k_size, 1), "padding": ((k_size - 1) // 2, 0)}
        row = {"kernel_size": (1, k_size), "padding": (0, (k_size - 1) // 2)}
        self.conv_l1 = nn.Conv2D(channels, **column, in_channels=in_channels)
        self.conv_l2 = nn.Conv2D(channels, **row, in_channels=channels)
        self.conv_r1 = nn.Conv2D(channels, **row, in_channels=in_channels)
        self.conv_r2 = nn.Conv2D(channels, **column, in_channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.conv_l2(self.conv_l1(x)) + self.conv_r2(self.conv_r1(x))
