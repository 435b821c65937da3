"""DeepLab-V2: atrous spatial pyramid pooling on images of three sizes (Chen et al., TPAMI 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..registry import MODELS
from .base import SegmentationModel
from .layers import NormLayer, resize_like
from .layers.resize import size_of

__all__ = ["DeepLabV2", "DilatedSum"]


@MODELS.register(
    "DeepLabV2",
    backbones=("caffe_resnet*", "resnet18*", "resnet34"),
    default_backbone="caffe_resnet101",
    paper="Chen et al., TPAMI 2017",
)
class DeepLabV2(SegmentationModel):
    """DeepLab-V2: dilated ResNet, sum of four dilated classifiers, largest score of three sizes; output stride 8.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet, dilated.
    aux : bool
        The scores of each size as auxiliary maps; there are none with one size.
    norm : str or callable
        Normalisation.
    multi_scale : bool
        Whether the image is also seen at three quarters and at half of its size (sec. 3.1).
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "caffe_resnet101",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        multi_scale: bool = True,
    ):
        super().__init__(num_classes, backbone, norm, output_stride=8, aux=aux and multi_scale)
        self.multi_scale = multi_scale
        with self.name_scope():
            self.head = DilatedSum(num_classes, self.backbone.channels[3])

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        whole = self._scores(x)
        if not self.multi_scale:
            yield whole
            return
        large, small = (self._scores(resize_like(F, x, _share_plus_one(F, x, n))) for n in (3, 2))
        large = resize_like(F, large, whole)
        yield F.maximum(F.maximum(whole, large), resize_like(F, small, whole))
        yield from (whole, large, small)

    def _scores(self, x: Any) -> Any:
        return self.head(self.backbone(x)[3])


def _share_plus_one(F: Any, x: Any, quarters: int) -> Any:
    """Map of floor(quarters / 4 * side) + 1 pixels along each side, to carry that size."""
    sides = []
    for axis, window in ((2, (4, 1)), (3, (1, 4))):
        line = F.repeat(F.slice_axis(size_of(F, x), axis=5 - axis, begin=0, end=1), repeats=quarters, axis=axis)
        pad = tuple(side // 2 for side in window)
        sides.append(F.Pooling(line, kernel=window, stride=window, pad=pad, pool_type="max"))
    return F.broadcast_add(*sides)


class DilatedSum(gluon.HybridBlock):
    """Sum of 3x3 convolutions of several dilations (fig. 7b).

    Parameters
    ----------
    num_classes, in_channels : int
        Output and input channels.
    rates : sequence of int
        Dilations.

    Inputs: (N, in_channels, H, W). Outputs: (N, num_classes, H, W).
    """

    def __init__(self, num_classes: int, in_channels: int, rates: Sequence[int] = (6, 12, 18, 24)):
        super().__init__()
        self.branches = nn.HybridSequential()
        self.branches.add(*(nn.Conv2D(num_classes, 3, 1, rate, rate, in_channels=in_channels) for rate in rates))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        first, *rest = (branch(x) for branch in self.branches)
        return sum(rest, first)
