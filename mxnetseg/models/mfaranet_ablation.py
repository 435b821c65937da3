"""The three ablations of MFARANet's parts (Zhang et al., 2024), without normalisation in the decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from mxnet.gluon import nn

from ..errors import ConfigError, suggest
from ..registry import MODELS
from .layers import ConvModule2d, NormLayer, concat, resize_like
from .mfaranet import RecursiveAligner

__all__ = ["MFARANetAblation"]

_AGGREGATION = {"feature_fuses_up": 3, "feature_fuses_down": 3, "stage_fuses": 2}
_PARTS = {
    "bilinear": {**_AGGREGATION, "attentions": 4},
    "direct": {"stages_offset": 3, "attentions": 4},
    "concat": {**_AGGREGATION, "stages_offset": 3},
}


@MODELS.register(
    "MFARANetAblation",
    aliases=("mfaraablation",),
    backbones=("deepstem_resnet*",),
    default_backbone="deepstem_resnet18",
    paper="Zhang et al., 2024",
    realtime=True,
)
class MFARANetAblation(RecursiveAligner):
    """MFARANet with one part replaced: alignment, aggregation, or the fusion of scores.

    Its auxiliary maps are the scores of the four stages.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet with deep stem.
    aux : bool
        Joint supervision of the stages.
    norm : str or callable
        Normalisation of the backbone.
    kind : {"bilinear", "direct", "concat"}
        ``bilinear``: stages are enlarged instead of aligned. ``direct``: the backbone's stages are aligned without
        aggregation. ``concat``: aligned features are concatenated instead of scores being fused. The last two sample
        as the published code does, which takes the corners of the map for those of pixels.
    decoder_norm : bool
        Normalisation in the decoder.
    dropout, backbone_options
        See :class:`.mfaranet.RecursiveAligner`.

    Raises
    ------
    ConfigError
        If the kind is unknown.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "deepstem_resnet18",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        kind: Literal["bilinear", "direct", "concat"] = "bilinear",
        decoder_norm: bool = False,
        dropout: Sequence[float] = (0, 0, 0, 0, 0),
        backbone_options: Mapping[str, Any] | None = None,
    ):
        if kind not in _PARTS:
            raise ConfigError(f"kind {kind!r}", f"one of {', '.join(_PARTS)}", suggest(kind, _PARTS))
        super().__init__(num_classes, backbone, norm, aux, decoder_norm, dropout, backbone_options)
        self.kind = kind
        counts = {"channel_changes": 4, **_PARTS[kind]}
        if aux or kind != "concat":
            counts["multi_loss_head"] = 4
        self._add([(name, index) for name, count in counts.items() for index in range(count)])
        if kind == "concat":
            with self.name_scope():
                self.score_head = nn.HybridSequential()
                self.score_head.add(ConvModule2d(128, 3, 1, 1, in_channels=512, norm_layer=self._decoder_norm))
                self.score_head.add(nn.Conv2D(num_classes, 1, in_channels=128))
            self.auxiliary = tuple(name for name in self._children if name.startswith("multi_loss_head"))

    def pyramid(self, F: Any, stages: Sequence[Any]) -> list[Any]:
        """Features of the stages before alignment."""
        features = self.reduce(stages)
        return features if self.kind == "direct" else self.aggregate(F, features)

    def bring_together(self, F: Any, pyramid: Sequence[Any]) -> list[Any]:
        """All stages at the size of the first one."""
        if self.kind == "bilinear":
            return [pyramid[0], *(resize_like(F, x, pyramid[0]) for x in pyramid[1:])]
        return self.align(F, pyramid, align_corners=False)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        aligned = self.bring_together(F, self.pyramid(F, self.backbone(x)))
        scores = (self._part("multi_loss_head", i)(w) for i, w in enumerate(aligned))
        if self.kind == "concat":
            yield self.score_head(concat(F, *aligned))
        else:
            scores = list(scores)
            yield self.fuse(scores, aligned, (1, 2, 3, 4))
        yield from scores
