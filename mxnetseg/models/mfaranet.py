"""MFARANet: multi-level aggregation and recursive alignment for real-time segmentation (Zhang et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..errors import ConfigError
from ..registry import MODELS
from .base import SegmentationModel, small_initializer
from .layers import ConvModule2d, NormLayer, concat, resize_like, warp
from .layers.mode import building_for_inference
from .mlmsnet import classifier

__all__ = ["MFARANet", "RecursiveAligner", "StageFlow"]

_WIDTH = 128
_STAGES = (1, 2, 3, 4)


class RecursiveAligner(SegmentationModel):
    """What MFARANet and its ablations share: aggregation (MFAM), recursive alignment (RAM), scores and their fusion.

    Every part is a child of its own, so that an inference graph holds the parts that it needs and no others.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any backbone of MFARANet.
    norm : str or callable
        Normalisation.
    aux : bool
        Whether the maps of joint supervision are computed; without them, parts that do not contribute are left out.
    decoder_norm : bool
        Normalisation in the decoder.
    dropout : sequence of float
        Share of whole channels dropped in the backbone, after the stem and the four stages.
    backbone_options : mapping, optional
        Further arguments of the backbone.
    """

    head_initializer = staticmethod(small_initializer)

    def __init__(
        self,
        num_classes: int,
        backbone: str,
        norm: str | NormLayer,
        aux: bool,
        decoder_norm: bool,
        dropout: Sequence[float] = (0, 0, 0, 0, 0),
        backbone_options: Mapping[str, Any] | None = None,
    ):
        if len(dropout) != 5 or not all(0 <= rate < 1 for rate in dropout):
            raise ConfigError(f"dropout {list(dropout)}", "five shares in [0, 1): of the stem and of the four stages")
        super().__init__(num_classes, backbone, norm, 32, aux, dropout=tuple(dropout), **(backbone_options or {}))
        self._decoder_norm = self.norm if decoder_norm else None

    def _add(self, names: Sequence[tuple[str, int]]) -> None:
        """Make the named parts."""
        with self.name_scope():
            for name, index in names:
                setattr(self, f"{name}{index}", getattr(self, f"_make_{name}")(index))

    def _make_channel_changes(self, index: int) -> gluon.HybridBlock:
        return self._module(self.backbone.channels[index], 1)

    def _make_feature_fuses_up(self, index: int) -> gluon.HybridBlock:
        return self._module(_WIDTH, 3)

    _make_feature_fuses_down = _make_stage_fuses = _make_feature_fuses_up

    def _make_stages_offset(self, index: int) -> gluon.HybridBlock:
        return StageFlow(_WIDTH)

    def _make_multi_loss_head(self, index: int) -> gluon.HybridBlock:
        return nn.Conv2D(self.num_classes, 1, in_channels=_WIDTH)

    def _make_boundary_heads(self, index: int) -> gluon.HybridBlock:
        return nn.Conv2D(1, 1, in_channels=_WIDTH)

    def _make_attentions(self, index: int) -> gluon.HybridBlock:
        """Weight in (0, 1) of every score."""
        layers = nn.HybridSequential()
        layers.add(self._module(_WIDTH, 3, _WIDTH // 2), nn.Dropout(0.5))
        layers.add(nn.Conv2D(self.num_classes, 1, use_bias=False, in_channels=_WIDTH // 2), nn.Activation("sigmoid"))
        return layers

    def _module(self, in_channels: int, kernel: int, channels: int = _WIDTH) -> ConvModule2d:
        """Convolution that keeps the size, normalisation (if any), ReLU."""
        return ConvModule2d(channels, kernel, 1, kernel // 2, in_channels=in_channels, norm_layer=self._decoder_norm)

    def _part(self, name: str, index: int) -> gluon.HybridBlock:
        return getattr(self, f"{name}{index}")

    def reduce(self, stages: Sequence[Any]) -> list[Any]:
        """Every stage of the backbone at 128 channels."""
        return [self._part("channel_changes", i)(x) for i, x in enumerate(stages)]

    def aggregate(self, F: Any, features: Sequence[Any], depth: int = 4, all_fused: bool = False) -> list[Any]:
        """Pyramid of the first `depth` stages from a top-down and an independent bottom-up path (sec. III-B)."""
        up, down = [features[3]], [features[0]]
        for i in (2, 1, 0):
            up.insert(0, self._part("feature_fuses_up", i)(resize_like(F, up[0], features[i]) + features[i]))
        for i in range(1, depth):
            down.append(self._part("feature_fuses_down", i - 1)(resize_like(F, down[-1], features[i]) + features[i]))
        if all_fused:
            return [self._part("stage_fuses", i)(up[i] + down[i]) for i in range(depth)]
        middle = [self._part("stage_fuses", i - 1)(up[i] + down[i]) for i in (1, 2) if i < depth]
        return [up[0], *middle, *down[3:]]

    def flows(self, F: Any, pyramid: Sequence[Any]) -> list[Any]:
        """Displacements from each stage to the one below, in pixels of the former."""
        return [self._part("stages_offset", i)(low, high) for i, (low, high) in enumerate(pairwise(pyramid))]

    def align(self, F: Any, pyramid: Sequence[Any], align_corners: bool = True) -> list[Any]:
        """Every stage at the size of the first one, sampled from stage to stage (sec. III-C)."""
        flows, aligned = self.flows(F, pyramid), [pyramid[0]]
        for count, x in enumerate(pyramid[1:], start=1):
            for flow in reversed(flows[:count]):
                x = warp(F, x, flow, align_corners)
            aligned.append(x)
        return aligned

    def fuse(self, scores: Sequence[Any], aligned: Sequence[Any], branches: Sequence[int]) -> Any:
        """Sum of the branches' scores, each weighted by its attention (sec. III-D)."""
        if len(branches) == 1:
            return scores[branches[0] - 1]
        weighted = (scores[s - 1] * self._part("attentions", i)(aligned[s - 1]) for i, s in enumerate(branches))
        return sum(weighted)


@MODELS.register(
    "MFARANet",
    aliases=("mfara",),
    backbones=("deepstem_resnet*", "stdc*", "dfnet_*"),
    default_backbone="deepstem_resnet18",
    paper="Zhang et al., 2024",
    realtime=True,
)
class MFARANet(RecursiveAligner):
    """MFARANet: aggregation over levels, recursive alignment to stride 4, adaptive fusion of the stages' scores.

    Its auxiliary maps are the scores of the four stages, then `aux_head`'s, then the four boundary maps.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        ResNet with deep stem, STDC or DFNet.
    aux : bool
        Joint supervision. Without it, the network holds only what its scores need.
    norm : str or callable
        Normalisation.
    branches : sequence of int
        Stages 1..4 whose scores are fused ("scale choice"); one alone needs no attention.
    pruned : bool
        Inference returns the scores of stage 2 instead of the fused ones; training is that of the full network.
    boundary : bool
        Boundary map (N, 1, H, W) of each stage, for the loss ``JointEdge``; part of `aux`.
    aux_head : bool
        Scores of c3; part of `aux`.
    repeat_fuse : bool
        Both paths are fused in stages 1 and 4, too.
    decoder_norm : bool
        False: no normalisation in the decoder, as if folded into the convolutions (for measurements of speed).
    dropout, backbone_options
        See :class:`RecursiveAligner`.

    Raises
    ------
    ConfigError
        If branches or dropout are not what is expected.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "deepstem_resnet18",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        branches: Sequence[int] = _STAGES,
        pruned: bool = False,
        boundary: bool = False,
        aux_head: bool = False,
        repeat_fuse: bool = False,
        decoder_norm: bool = True,
        dropout: Sequence[float] = (0, 0, 0, 0, 0),
        backbone_options: Mapping[str, Any] | None = None,
    ):
        self.branches = tuple(branches)
        if not self.branches or len(set(self.branches)) < len(self.branches) or set(self.branches) - set(_STAGES):
            raise ConfigError(f"branches {list(branches)}", "different stages out of 1, 2, 3, 4")
        super().__init__(num_classes, backbone, norm, aux, decoder_norm, dropout, backbone_options)
        self.pruned, self.repeat_fuse = pruned, repeat_fuse
        self._boundary, self._aux_head = aux and boundary, aux and aux_head
        scored = (2,) if pruned else self.branches
        needed = self._needed(scored, () if pruned else self.branches)
        wanted = self._needed(_STAGES, self.branches) if aux else needed
        self._depth = 4 if aux else max(scored)
        self._add(wanted)
        self._add([("boundary_heads", i) for i in range(4)] if self._boundary else [])
        if self._aux_head:
            with self.name_scope():
                channels = self.backbone.channels[2]
                self.aux_head = classifier(num_classes, channels, channels // 2, self.norm)
        used = {"backbone", *(f"{name}{index}" for name, index in needed)}
        self.auxiliary = tuple(name for name in self._children if name not in used)

    def _needed(self, scored: Sequence[int], branches: Sequence[int]) -> list[tuple[str, int]]:
        """Parts that the scores of these stages, fused from these branches, depend on."""
        depth = max(scored)
        fused = depth if self.repeat_fuse else len([stage for stage in (2, 3) if stage <= depth])
        counts = {
            "channel_changes": 4,
            "feature_fuses_up": 3,
            "feature_fuses_down": depth - 1,
            "stage_fuses": fused,
            "stages_offset": depth - 1,
            "attentions": len(branches) if len(branches) > 1 else 0,
        }
        parts = [(name, index) for name, count in counts.items() for index in range(count)]
        return parts + [("multi_loss_head", stage - 1) for stage in sorted(scored)]

    def pyramid(self, F: Any, stages: Sequence[Any]) -> list[Any]:
        """Aggregated features of the stages that are aligned."""
        return self.aggregate(F, self.reduce(stages), self._depth, self.repeat_fuse)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        stages = self.backbone(x)
        aligned = self.align(F, self.pyramid(F, stages))
        scores = [
            self._part("multi_loss_head", i)(w) if hasattr(self, f"multi_loss_head{i}") else None
            for i, w in enumerate(aligned)
        ]
        short = self.pruned and (building_for_inference() or not self.aux)
        yield scores[1] if short else self.fuse(scores, aligned, self.branches)
        yield from scores
        if self._aux_head:
            yield self.aux_head(stages[2])
        if self._boundary:
            yield from (self._part("boundary_heads", i)(w) for i, w in enumerate(aligned))


class StageFlow(gluon.HybridBlock):
    """Displacements that bring a stage onto the one below it (Li et al., ECCV 2020, fig. 3, without their halving).

    Parameters
    ----------
    channels : int
        Channels of both; half of them inside.
    high_first : bool
        Order in which they are concatenated.

    Inputs: low (N, channels, H, W) and high (N, channels, h, w). Outputs: (N, 2, H, W), to the right and downwards,
    in pixels of `low`.
    """

    def __init__(self, channels: int, high_first: bool = False):
        super().__init__()
        self._high_first = high_first
        half = channels // 2
        self.channel_change1 = nn.Conv2D(half, 1, use_bias=False, in_channels=channels)
        self.channel_change2 = nn.Conv2D(half, 1, use_bias=False, in_channels=channels)
        self.offset_map = nn.Conv2D(2, 3, padding=1, use_bias=False, in_channels=channels)

    def hybrid_forward(self, F: Any, low: Any, high: Any) -> Any:
        high, low = resize_like(F, self.channel_change1(high), low), self.channel_change2(low)
        flow = self.offset_map(concat(F, *((high, low) if self._high_first else (low, high))))
        # One unit is 1 / side of the range from -1 to 1, in which side - 1 pixels have their centres.
        right, down = (self._last(F, flow, axis) for axis in (3, 2))
        unit = concat(F, *(last / (2 * (last + 1)) for last in (right, down)))
        return F.broadcast_mul(flow, F.BlockGrad(unit))

    @staticmethod
    def _last(F: Any, x: Any, axis: int) -> Any:
        """Index of the last pixel along an axis, (1, 1, 1, 1)."""
        positions = F.contrib.arange_like(F.BlockGrad(x), axis=axis)
        return F.reshape(F.max(positions, axis=0, keepdims=True), shape=(1, 1, 1, 1))
