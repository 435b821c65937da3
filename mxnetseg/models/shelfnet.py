"""ShelfNet: multi-path segmentation network (Zhuang et al., ICCV Workshops 2019), light-weight form for real time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .bisenet import ARModule
from .layers import ConvModule2d, NormLayer, relu
from .layers.resize import double_like

__all__ = ["SBlock", "ShelfColumn", "ShelfLadder", "ShelfNet"]

_ACTIVATION = "leaky_relu"


@MODELS.register(
    "ShelfNet",
    backbones=("leaky_resnet18",),
    default_backbone="leaky_resnet18",
    paper="Zhuang et al., ICCV Workshops 2019",
    realtime=True,
)
class ShelfNet(SegmentationModel):
    """ShelfNet18-lw: a decoder, then a column down and one up again with links at every level, output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``leaky_resnet18``.
    aux : bool
        Auxiliary heads on the last column's maps of stride 16 and 32.
    norm : str or callable
        Normalisation.
    """

    def __init__(
        self, num_classes: int, backbone: str = "leaky_resnet18", aux: bool = True, norm: str | NormLayer = "bn"
    ):
        super().__init__(num_classes, backbone, norm, aux=aux)
        widths = [channels // 2 for channels in self.backbone.channels[1:]]
        with self.name_scope():
            for number, width in enumerate(widths, start=1):
                setattr(self, f"trans{number}", _module(width, 2 * width, self.norm, 1))
            self.decoder = ShelfColumn(widths, self.norm)
            self.ladder = ShelfLadder(widths, self.norm)
            self.head, *others = (_score(num_classes, width, self.norm) for width in widths)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(*others)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        _, c2, c3, c4 = self.backbone(x)
        d8, d16, _ = self.decoder(self.trans1(c2), self.trans2(c3), self.trans3(c4))
        u8, u16, u32 = self.ladder(d8, d16)
        yield self.head(u8)
        yield self.aux_head[0](u16)
        yield self.aux_head[1](u32)


class ShelfColumn(gluon.HybridBlock):
    """Column from the bottom to the top: doubled, weighted by attention, added to what comes from the side.

    Parameters
    ----------
    widths : sequence of int
        Channels of the three levels, from the top.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: maps of the three levels, from the top. Outputs: maps of the same shapes.
    """

    def __init__(self, widths: list[int], norm_layer: NormLayer):
        super().__init__()
        top, middle, bottom = widths
        self.bottom = SBlock(bottom, norm_layer)
        self.up_conv_list, self.up_dense_list = nn.HybridSequential(), nn.HybridSequential()
        for width, below in ((middle, bottom), (top, middle)):
            self.up_conv_list.add(ARModule(width, below, norm_layer, _ACTIVATION))
            self.up_dense_list.add(_module(width, width, norm_layer))

    def hybrid_forward(self, F: Any, top: Any, middle: Any, bottom: Any) -> tuple[Any, ...]:
        maps = [self.bottom(bottom)]
        for side, up, dense in zip((middle, top), self.up_conv_list, self.up_dense_list, strict=True):
            maps.insert(0, dense(double_like(F, up(maps[0]), side) + side))
        return tuple(maps)


class ShelfLadder(ShelfColumn):
    """Column down, which the decoder's maps enter from the side, and column up (:class:`ShelfColumn`).

    Parameters
    ----------
    widths : sequence of int
        Channels of the three levels, from the top.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: the decoder's maps of the two upper levels. Outputs: maps of three levels, from the top.
    """

    def __init__(self, widths: list[int], norm_layer: NormLayer):
        super().__init__(widths, norm_layer)
        self.inconv = SBlock(widths[0], norm_layer)
        self.down_module_list, self.down_conv_list = nn.HybridSequential(), nn.HybridSequential()
        for width in widths[:2]:
            self.down_module_list.add(SBlock(width, norm_layer))
            self.down_conv_list.add(nn.Conv2D(2 * width, 3, 2, 1, in_channels=width, activation="relu"))

    def hybrid_forward(self, F: Any, d8: Any, d16: Any) -> tuple[Any, ...]:
        x, sides = self.inconv(d8), []
        for side, module, down in zip((d8, d16), self.down_module_list, self.down_conv_list, strict=True):
            sides.append(module(x + side))
            x = down(sides[-1])
        return super().hybrid_forward(F, *sides, x)


class SBlock(gluon.HybridBlock):
    """Residual block whose two 3x3 convolutions share their weights (fig. 2).

    Parameters
    ----------
    channels : int
        Channels.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, channels, H, W). Outputs: the same shape.
    """

    def __init__(self, channels: int, norm_layer: NormLayer):
        super().__init__()
        self.conv1 = nn.Conv2D(channels, 3, padding=1, in_channels=channels)
        self.bn1 = norm_layer(in_channels=channels)
        self.drop = nn.Dropout(0.1, axes=(2, 3))
        self.bn2 = norm_layer(in_channels=channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = F.LeakyReLU(self.bn1(self.conv1(x)), act_type="leaky", slope=0.01)
        return relu(F, self.bn2(self.conv1(self.drop(y))) + x)


def _module(channels: int, in_channels: int, norm_layer: NormLayer, kernel: int = 3) -> ConvModule2d:
    """Convolution, normalisation, leaky ReLU."""
    return ConvModule2d(
        channels, kernel, 1, kernel // 2, in_channels=in_channels, norm_layer=norm_layer, activation=_ACTIVATION
    )


def _score(num_classes: int, in_channels: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """Two 3x3 convolutions to the classes."""
    layers = nn.HybridSequential()
    layers.add(_module(64, in_channels, norm_layer))
    layers.add(nn.Conv2D(num_classes, 3, padding=1, use_bias=False, in_channels=64))
    return layers
