"""GFFNet: gated fully fusion for semantic segmentation (Li et al., AAAI 2020)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import ConvModule2d, FCNHead, NormLayer, PPModule, concat, resize_like

__all__ = ["DenseFeaturePyramid", "GFFHead", "GFFNet"]


@MODELS.register(
    "GFFNet",
    aliases=("gff",),
    backbones=("resnet*", "resnest*"),
    default_backbone="resnet50",
    paper="Li et al., AAAI 2020",
)
class GFFNet(SegmentationModel):
    """GFFNet on a dilated ResNet or ResNeSt: gated fusion of all levels and a dense pyramid at output stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ResNet or ResNeSt.
    aux : bool
        Auxiliary head on c3.
    norm : str or callable
        Normalisation.
    capacity : int
        Width of the decoder.
    """

    levels = (0, 1, 2, 3)

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        capacity: int = 256,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux)
        channels = self.backbone.channels
        with self.name_scope():
            self.head = GFFHead(num_classes, channels, self.norm, capacity)
            if aux:
                self.aux_head = FCNHead(num_classes, channels[2], self.norm)


class GFFHead(gluon.HybridBlock):
    """Pyramid pooling, gated fusion of the four levels, dense feature pyramid.

    Gates have one value per channel and position, and the levels are fused one after the other, each with those
    fused before it; the paper's have one value per position, and all levels are fused at once.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    norm_layer : callable
        Constructor of the normalisation.
    capacity : int
        Width of the decoder.

    Inputs: c1, c2, c3, c4. Outputs: (N, num_classes, h1, w1), at the resolution of c1.
    """

    def __init__(self, num_classes: int, channels: tuple[int, ...], norm_layer: NormLayer, capacity: int = 256):
        super().__init__()
        c4 = channels[3]
        self.ppm = nn.HybridSequential()
        self.ppm.add(PPModule(c4, norm_layer), ConvModule2d(capacity, 1, in_channels=2 * c4, norm_layer=norm_layer))
        for i, width in enumerate(channels, start=1):
            gate = ConvModule2d(capacity, 1, in_channels=width, use_bias=True, norm_layer=None, activation="sigmoid")
            setattr(self, f"gate_{i}", gate)
            setattr(self, f"conv1x1_{i}", ConvModule2d(capacity, 1, in_channels=width, norm_layer=norm_layer))
            setattr(self, f"fusion_{i}", _blend(capacity, norm_layer))
        self.dfp = DenseFeaturePyramid(num_classes, capacity, norm_layer)

    def hybrid_forward(self, F: Any, c1: Any, c2: Any, c3: Any, c4: Any) -> Any:
        levels = dict(enumerate((c1, c2, c3, c4), start=1))
        gates = {i: getattr(self, f"gate_{i}")(c) for i, c in levels.items()}
        reduced = {i: getattr(self, f"conv1x1_{i}")(c) for i, c in levels.items()}
        fused = {i: getattr(self, f"fusion_{i}")(r) for i, r in _fuse(F, gates, reduced).items()}
        pooled, *upper = (resize_like(F, x, fused[1]) for x in (self.ppm(c4), fused[2], fused[3], fused[4]))
        return self.dfp(pooled, fused[1], *upper)


class DenseFeaturePyramid(gluon.HybridBlock):
    """Top-down convolutions, each on one level and all results above it, and FCN head on all results .

    Parameters
    ----------
    num_classes : int
        Number of classes.
    capacity : int
        Channels of all inputs.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: pooled context and levels 1 to 4 (N, capacity, h, w), all of one size. Outputs: (N, num_classes, h, w).
    """

    def __init__(self, num_classes: int, capacity: int, norm_layer: NormLayer):
        super().__init__()
        for level, inputs in ((4, 2), (3, 3), (2, 4), (1, 5)):
            block = ConvModule2d(capacity, 3, padding=1, in_channels=inputs * capacity, norm_layer=norm_layer)
            setattr(self, f"blk_{level}", block)
        self.head = FCNHead(num_classes, 5 * capacity, norm_layer, channels=capacity)

    def hybrid_forward(self, F: Any, pooled: Any, r1: Any, r2: Any, r3: Any, r4: Any) -> Any:
        o4 = self.blk_4(concat(F, pooled, r4))
        o3 = self.blk_3(concat(F, o4, r3, pooled))
        o2 = self.blk_2(concat(F, o3, r2, o4, pooled))
        o1 = self.blk_1(concat(F, o2, r1, o3, o4, pooled))
        return self.head(concat(F, pooled, o4, o3, o2, o1))


def _fuse(F: Any, gates: dict[int, Any], levels: dict[int, Any]) -> dict[int, Any]:
    """Every level keeps what its gate passes and takes from the others what theirs pass."""
    fused = dict(levels)
    for i in fused:
        passed = [resize_like(F, gates[k] * fused[k], fused[i]) for k in fused if k != i]
        fused[i] = fused[i] + gates[i] * fused[i] + (1 - gates[i]) * (passed[0] + passed[1] + passed[2])
    return fused


def _blend(channels: int, norm_layer: NormLayer) -> nn.HybridSequential:
    """Two 3x3 convolution modules."""
    blend = nn.HybridSequential()
    blend.add(*(ConvModule2d(channels, 3, padding=1, in_channels=channels, norm_layer=norm_layer) for _ in range(2)))
    return blend
