"""MLMSNet: lightweight multi-level multi-scale feature fusion on MobileNetV3 (Li et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .backbones.mobilenetv3 import make_divisible
from .base import SegmentationModel
from .layers import Activation, ConvModule2d, NormLayer, concat
from .layers.pool import global_mean, weigh

__all__ = ["BatchNormAttention", "BottleneckAttention", "MLMSHead", "MLMSNet", "MLMSNetv2", "MultiScaleFusion"]

_DILATIONS = (6, 12, 18)


class _MLMS(SegmentationModel):
    """Both versions: three maps of stride 8, each widened by dilated convolutions, then fused."""

    def __init__(
        self,
        num_classes: int,
        backbone: str,
        aux: bool,
        norm: str | NormLayer,
        wide: bool,
        use_msf: bool,
        use_mlf: bool,
        light: bool,
    ):
        super().__init__(num_classes, backbone, norm, 8, aux)
        with self.name_scope():
            channels = self.backbone.channels[1:]
            self.head = MLMSHead(num_classes, channels, self.norm, wide, use_msf, use_mlf, light)
            if aux:
                self.aux_head = classifier(num_classes, channels[1], 64, self.norm)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, c2, c3, c4 = self.backbone(x)
        yield self.head(c2, c3, c4)
        yield self.aux_head(c3)


@MODELS.register(
    "MLMSNet",
    aliases=("mlms",),
    backbones=("mobilenet_v3_*",),
    default_backbone="mobilenet_v3_large_1_0",
    paper="Li et al., 2021",
    realtime=True,
)
class MLMSNet(_MLMS):
    """MLMSNet: dilated convolutions and channel attention on three levels of MobileNetV3, output stride 8.

    Its attentions normalise maps of one pixel: training needs at least two images per device.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any MobileNetV3.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    wide : bool
        Decoder of double width (MLMS-L instead of MLMS-S).
    use_msf, use_mlf : bool
        Multi-scale fusion of each level, and attention over all levels (both off: the ablation's baseline).
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "mobilenet_v3_large_1_0",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        wide: bool = True,
        use_msf: bool = True,
        use_mlf: bool = True,
    ):
        super().__init__(num_classes, backbone, aux, norm, wide, use_msf, use_mlf, light=False)


@MODELS.register(
    "MLMSNetv2",
    aliases=("mlmsv2",),
    backbones=("mobilenet_v3_*",),
    default_backbone="mobilenet_v3_large_1_0",
    paper="Li et al., 2021",
    realtime=True,
)
class MLMSNetv2(_MLMS):
    """MLMSNet with depthwise dilated convolutions, bottleneck attention and a bare classifier, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any MobileNetV3.
    norm : str or callable
        Normalisation.
    wide : bool
        Decoder of double width.
    use_msf, use_mlf : bool
        As for :class:`MLMSNet`.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "mobilenet_v3_large_1_0",
        norm: str | NormLayer = "bn",
        wide: bool = True,
        use_msf: bool = True,
        use_mlf: bool = True,
    ):
        super().__init__(num_classes, backbone, False, norm, wide, use_msf, use_mlf, light=True)


class MLMSHead(gluon.HybridBlock):
    """Multi-scale fusion of every level, multi-level fusion of the results, classifier.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : sequence of int
        Channels of the three levels.
    norm_layer : callable
        Constructor of the normalisation.
    wide, use_msf, use_mlf : bool
        See :class:`MLMSNet`.
    light : bool
        Bricks of version 2.

    Inputs: c2, c3, c4, all of one size. Outputs: (N, num_classes, h, w).
    """

    def __init__(
        self,
        num_classes: int,
        channels: tuple[int, int, int],
        norm_layer: NormLayer,
        wide: bool = True,
        use_msf: bool = True,
        use_mlf: bool = True,
        light: bool = False,
    ):
        super().__init__()
        factor = 2 if wide else 1
        self._levels = []
        if use_msf:
            for number, width in enumerate(channels):
                level = MultiScaleFusion(width, width * factor, norm_layer, light)
                setattr(self, f"msf{number}", level)
                self._levels.append(level)
        total = sum(channels) * (factor if use_msf else 1)
        self.mlf = MultiLevelFusion(total, norm_layer, light) if use_mlf else None
        if light:
            self.cls = nn.HybridSequential()
            self.cls.add(nn.Dropout(0.1, axes=(2, 3)), nn.Conv2D(num_classes, 1, in_channels=total))
        else:
            self.cls = classifier(num_classes, total, 128 * factor, norm_layer)

    def hybrid_forward(self, F: Any, *levels: Any) -> Any:
        if self._levels:
            levels = [fuse(x) for fuse, x in zip(self._levels, levels, strict=True)]
        x = concat(F, *levels)
        return self.cls(self.mlf(x) if self.mlf else x)


class MultiScaleFusion(gluon.HybridBlock):
    """A map and its convolutions at three dilations, weighted by channel attention and projected.

    Parameters
    ----------
    in_channels, channels : int
        Input and output channels.
    norm_layer : callable
        Constructor of the normalisation.
    light : bool
        Depthwise separable convolutions and bottleneck attention.

    Inputs: (N, in_channels, H, W). Outputs: (N, channels, H, W).
    """

    def __init__(self, in_channels: int, channels: int, norm_layer: NormLayer, light: bool = False):
        super().__init__()
        self.blocks = nn.HybridSequential()
        self.blocks.add(*((_separable if light else _dilated)(in_channels, d, norm_layer) for d in _DILATIONS))
        self.atten = _attention(light)(4 * in_channels, norm_layer)
        self.fuse = ConvModule2d(channels, 1, in_channels=4 * in_channels, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = concat(F, x, *(block(x) for block in self.blocks))
        return self.fuse(weigh(F, x, self.atten(x)))


class MultiLevelFusion(gluon.HybridBlock):
    """Channel attention over all levels with a shortcut, then a projection.

    Parameters
    ----------
    channels : int
        Input and output channels.
    norm_layer : callable
        Constructor of the normalisation.
    light : bool
        Bottleneck attention.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, norm_layer: NormLayer, light: bool = False):
        super().__init__()
        self.atten = _attention(light)(channels, norm_layer)
        self.fuse = ConvModule2d(channels, 1, in_channels=channels, norm_layer=norm_layer)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.fuse(x + weigh(F, x, self.atten(x)))


class BatchNormAttention(gluon.HybridBlock):
    """Weight of every channel from the global average: 1x1 convolution, normalisation, sigmoid.

    Parameters
    ----------
    channels : int
        Channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: (N, channels, 1, 1).
    """

    def __init__(self, channels: int, norm_layer: NormLayer):
        super().__init__()
        self.proj = ConvModule2d(channels, 1, in_channels=channels, norm_layer=norm_layer, activation="sigmoid")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.proj(global_mean(F, x))


class BottleneckAttention(gluon.HybridBlock):
    """Weight of every channel from the global average: two 1x1 convolutions without bias, hard sigmoid.

    Parameters
    ----------
    channels : int
        Channels; a quarter of them inside.
    norm_layer : callable
        Not used.

    Inputs: (N, channels, H, W). Outputs: (N, channels, 1, 1).
    """

    def __init__(self, channels: int, norm_layer: NormLayer | None = None):
        super().__init__()
        hidden = make_divisible(channels // 4)
        self.fc = nn.HybridSequential()
        self.fc.add(nn.Conv2D(hidden, 1, use_bias=False, in_channels=channels), nn.Activation("relu"))
        self.fc.add(nn.Conv2D(channels, 1, use_bias=False, in_channels=hidden), Activation("hard_sigmoid"))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.fc(global_mean(F, x))


def _attention(light: bool) -> Callable[..., gluon.HybridBlock]:
    """Attention of version 2, or of version 1."""
    return BottleneckAttention if light else BatchNormAttention


def _dilated(channels: int, dilation: int, norm_layer: NormLayer) -> ConvModule2d:
    """Dilated 3x3 convolution module."""
    return ConvModule2d(channels, 3, 1, dilation, dilation, in_channels=channels, norm_layer=norm_layer)


def _separable(channels: int, dilation: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """Dilated depthwise 3x3 convolution module with hard swish, then a 1x1 convolution module."""
    common = {"in_channels": channels, "norm_layer": norm_layer}
    layers = nn.HybridSequential()
    layers.add(
        ConvModule2d(channels, 3, 1, dilation, dilation, groups=channels, activation="hard_swish", **common),
        ConvModule2d(channels, 1, **common),
    )
    return layers


def classifier(num_classes: int, in_channels: int, width: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """3x3 convolution, normalisation, ReLU, dropout of whole channels, 1x1 convolution to the classes."""
    layers = nn.HybridSequential()
    layers.add(nn.Conv2D(width, 3, padding=1, use_bias=False, in_channels=in_channels), norm_layer(in_channels=width))
    layers.add(nn.Activation("relu"), nn.Dropout(0.1, axes=(2, 3)), nn.Conv2D(num_classes, 1, in_channels=width))
    return layers
