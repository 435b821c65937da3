"""DFNet backbones, found by partial order pruning (Li et al., CVPR 2019), in MFARANet's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from gluoncv.model_zoo.resnetv1b import BasicBlockV1b
from mxnet.gluon import nn

from ...registry import BACKBONES
from ..layers import NormLayer
from .base import Backbone, require_stride

__all__ = ["DFNet", "dfnet_v1", "dfnet_v2"]

# Stage: groups of (blocks, channels); the first block of a stage has stride 2.
_V1 = (((3, 64),), ((3, 128),), ((3, 256), (1, 512)))
_V2 = (((2, 64), (1, 128)), ((10, 128), (1, 256)), ((4, 256), (2, 512)))


class DFNet(Backbone):
    """Two strided convolutions and three stages of basic blocks, output stride 32.

    Parameters
    ----------
    stages : tuple
        Groups of blocks of each stage.
    norm : callable
        Constructor of the normalisation.
    repaired : bool
        Normalisation and ReLU after the second convolution, as DFNet has them. MFARANet leaves them out, and its
        weights need it so.
    dropout : sequence of float
        Share of whole channels dropped after the first convolution and after each stage.
    by_group : bool
        Outputs are those of the last four groups of blocks instead of the last four strides.
    """

    renamed: ClassVar[dict[str, str]] = {
        "stage1.0.": "layer0.0.",
        "stage1.1.": "layer0.1.",
        "stage1.3.": "layer1.1.",
        "stage1.4.": "layer1.2.",
        "stage2_1.": "layer2.0.",
        "stage2_2.": "layer2.1.",
        "stage3_1.": "layer3.0.",
        "stage3_2.": "layer3.1.",
        "stage4_1.": "layer4.0.",
        "stage4_2.": "layer4.1.",
        "stage2.": "layer2.0.",
        "stage3.": "layer3.0.",
        "stage4.": "layer4.0.",
        "stage5.": "layer4.1.",
    }

    def __init__(
        self,
        stages: tuple[tuple[tuple[int, int], ...], ...],
        norm: NormLayer,
        repaired: bool = False,
        dropout: Sequence[float] = (0, 0, 0, 0, 0),
        by_group: bool = False,
    ):
        super().__init__()
        self._by_group = by_group
        ends = [width for groups in stages for _, width in groups] if by_group else [g[-1][1] for g in stages]
        self.channels = (64, *ends)[-4:]
        with self.name_scope():
            self.layer0, self.layer1 = nn.HybridSequential(), nn.HybridSequential()
            self.layer0.add(nn.Conv2D(32, 3, 2, 1, use_bias=False, in_channels=3), norm(in_channels=32))
            self.layer1.add(nn.Activation("relu"), nn.Conv2D(64, 3, 2, 1, use_bias=False, in_channels=32))
            if repaired:
                self.layer1.add(norm(in_channels=64), nn.Activation("relu"))
            channels = 64
            for number, groups in enumerate(stages, start=2):
                layer = nn.HybridSequential()
                for position, (count, width) in enumerate(groups):
                    layer.add(_group(channels, width, count, 1 if position else 2, norm))
                    channels = width
                setattr(self, f"layer{number}", layer)
            self.drops = nn.HybridSequential()
            self.drops.add(*(nn.Dropout(rate, axes=(2, 3)) for rate in dropout))

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        outputs = []
        for number, drop in enumerate(self.drops):
            layer = getattr(self, f"layer{number}")
            for part in layer if number > 1 and self._by_group else (layer,):
                x = part(x)
                outputs.append(x)
            x = outputs[-1] = drop(x)
        return tuple(outputs[-4:])


def _group(in_channels: int, width: int, count: int, stride: int, norm: NormLayer) -> nn.HybridSequential:
    """Basic blocks of one width; a projected shortcut where size or width change."""
    group = nn.HybridSequential()
    for number in range(count):
        shortcut = None
        if number == 0 and (stride > 1 or in_channels != width):
            shortcut = nn.HybridSequential()
            shortcut.add(nn.Conv2D(width, 1, strides=stride, use_bias=False), norm(in_channels=width))
        group.add(BasicBlockV1b(width, 1 if number else stride, downsample=shortcut, norm_layer=norm))
    return group


@BACKBONES.register("dfnet_v1", channels=(64, 64, 128, 512), strides=(32,))
def dfnet_v1(norm: NormLayer, output_stride: int = 32, **options: Any) -> DFNet:
    """DFNet V1, output stride 32."""
    require_stride("dfnet_v1", output_stride, (32,))
    return DFNet(_V1, norm, **options)


@BACKBONES.register("dfnet_v2", channels=(64, 128, 256, 512), strides=(32,))
def dfnet_v2(norm: NormLayer, output_stride: int = 32, **options: Any) -> DFNet:
    """DFNet V2, output stride 32."""
    require_stride("dfnet_v2", output_stride, (32,))
    return DFNet(_V2, norm, **options)
