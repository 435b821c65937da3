"""DFANet: deep feature aggregation for real-time segmentation (Li et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon, init

from ..registry import MODELS
from .backbones.dfanet_xception import DFAStage
from .base import SegmentationModel
from .layers import ConvModule2d, NormLayer, relu, resize_like

__all__ = ["DFADecoder", "DFANet"]

_WIDTH = 32


@MODELS.register(
    "DFANet",
    aliases=("dfa",),
    backbones=("dfanet_xception_*",),
    default_backbone="dfanet_xception_a",
    paper="Li et al., CVPR 2019",
    realtime=True,
)
class DFANet(SegmentationModel):
    """DFANet: three backbones in a row, each fed by the stages of the one before, and a light decoder, stride 4.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ``dfanet_xception_a`` or ``dfanet_xception_b``.
    norm : str or callable
        Normalisation.
    """

    def __init__(self, num_classes: int, backbone: str = "dfanet_xception_a", norm: str | NormLayer = "bn"):
        super().__init__(num_classes, backbone, norm, output_stride=16)
        with self.name_scope():
            self.backbone2 = DFAStage(self.backbone.widths, self.norm, later=True)
            self.backbone3 = DFAStage(self.backbone.widths, self.norm, later=True)
            self.head = DFADecoder(num_classes, *self.backbone.channels[::3], self.norm)

    def prepare(self, initializer: init.Initializer | None = None, ctx: Any = None) -> None:
        """Complete and initialise the parameters (see base class) with variance 1 / fan-in.

        Attention multiplies maps that nothing bounds: with twice this variance, the first statistics of batch
        normalisation, 0 and 1, let the scores overflow.
        """
        super().prepare(initializer or init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=1), ctx)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        first = self.backbone(x)
        second = self.backbone2(*first)
        third = self.backbone3(*second)
        yield self.head(*(stage[part] for part in (0, 3) for stage in (first, second, third)))


class DFADecoder(gluon.HybridBlock):
    """Sum of the three enc2 at stride 4, scored, plus the scores of the three enc4 with attention (fig. 3).

    Parameters
    ----------
    num_classes : int
        Number of classes.
    low, deep : int
        Channels of enc2 and enc4.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: enc2 of the three backbones, then enc4 with attention. Outputs: (N, num_classes, h, w), at the resolution
    of the first enc2.
    """

    def __init__(self, num_classes: int, low: int, deep: int, norm_layer: NormLayer):
        super().__init__()
        for number in (1, 2, 3):
            setattr(self, f"enc{number}_conv", _projection(_WIDTH, low, norm_layer))
        self.enc_conv = _projection(num_classes, _WIDTH, norm_layer)
        # One for all three, as the published program runs it.
        self.fca_conv = _projection(num_classes, deep, norm_layer)

    def hybrid_forward(self, F: Any, e1: Any, e2: Any, e3: Any, *attended: Any) -> Any:
        x = self.enc1_conv(relu(F, e1))
        x = x + resize_like(F, self.enc2_conv(relu(F, e2)), x) + resize_like(F, self.enc3_conv(relu(F, e3)), x)
        scores = self.enc_conv(relu(F, x))
        return F.add_n(scores, *(resize_like(F, self.fca_conv(relu(F, y)), scores) for y in attended))


def _projection(channels: int, in_channels: int, norm_layer: NormLayer) -> ConvModule2d:
    """1x1 convolution with bias and normalisation."""
    return ConvModule2d(channels, 1, in_channels=in_channels, use_bias=True, norm_layer=norm_layer, activation=None)
