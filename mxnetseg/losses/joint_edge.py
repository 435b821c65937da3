"""Joint supervision of class scores and boundary maps at several stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mxnet import nd

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, Target, cross_entropy_map
from .image_balanced import image_balanced

__all__ = ["JointEdge", "balanced_edge_loss", "boundary_map"]

# What unlabelled pixels count as when the label map is averaged: Cityscapes' train id of void.
_VOID = 255.0


def boundary_map(F: Any, label: Any, ignore: int = -1) -> Any:
    """Boundary pixels: those whose value differs from the mean of the 5x5 values around it (mirrored at the border).

    That is not the same as a neighbour of another class (differences can cancel each other), but it is what
    MFARANet's weights were trained with. Borders of unlabelled regions are boundaries, too.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    label : array or symbol, (N, H, W)
        float32 classes, or the ignore label, which counts as 255; at least 3 pixels high and wide.
    ignore : int
        Label of pixels without class.

    Returns
    -------
    array or symbol, (N, H, W)
        1 on boundaries, else 0.
    """
    value = F.where(label == ignore, F.ones_like(label) * _VOID, label)
    padded = F.pad(F.expand_dims(value, axis=1), mode="reflect", pad_width=(0, 0, 0, 0, 2, 2, 2, 2))
    # Sums of whole numbers are exact.
    total = F.reshape_like(F.Pooling(padded, kernel=(5, 5), pool_type="sum"), value)
    return total != 25 * value


def balanced_edge_loss(F: Any, edge: Any, boundary: Any) -> Any:
    """Binary cross-entropy in which boundary and other pixels weigh as much as the others' share.

    Xie & Tu, "Holistically-Nested Edge Detection", ICCV 2015, eq. 2, over the batch.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    edge : array or symbol, (N, H, W)
        Logits.
    boundary : array or symbol, (N, H, W)
        1 on boundaries, else 0.

    Returns
    -------
    array or symbol, (1,)
        Mean over all pixels.
    """
    share = F.reshape(F.mean(boundary), (1, 1, 1))
    weight = F.broadcast_mul(boundary, 1 - share) + F.broadcast_mul(1 - boundary, share)
    entropy = F.relu(edge) - edge * boundary + F.Activation(-F.abs(edge), act_type="softrelu")
    return F.reshape(F.mean(F.BlockGrad(weight) * entropy), (1,))


@LOSSES.register("JointEdge", aliases=("JointEdgeSegLoss", "JointEdgeSegLossOHEM"))
class JointEdge(SegmentationLoss):
    """Joint supervision: cross-entropy of the main scores, and for every stage its scores, boundary map and both.

    Zhang et al., "Multi-Level Aggregation and Recursive Alignment Architecture for Efficient Parallel Inference
    Segmentation Network", 2024, sec. III-E. The loss of a stage is that of its scores, plus that of its boundary map,
    plus that of its scores where the boundary map is high, balanced by the classes of every image and summed over
    the images of a device (so a batch split over more devices weighs it less).

    The network's outputs are the main scores, those of n stages, further auxiliary ones, and last, n boundary maps
    of one channel, or none, which leaves the loss of the scores alone.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    segmentation : mapping
        Loss of the stages' scores: ``name``, and where needed ``options``.
    main_weight, seg_weight, edge_weight, attention_weight : float
        Of the main scores' cross-entropy; in a stage of its scores, its boundary map, its scores on boundaries.
    edge_threshold : float
        Boundary logits above it are boundaries to the last term.
    aux_weight : float or sequence of float
        Of every stage and further auxiliary output.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`; class weights act on cross-entropies and `segmentation`.

    Raises
    ------
    ConfigError
        If ``reduction="pixels"`` is asked for, or `segmentation` does not name a loss.
    """

    def __init__(
        self,
        num_classes: int,
        segmentation: Mapping[str, Any] = {"name": "OHEM"},
        main_weight: float = 1.0,
        seg_weight: float = 1.0,
        edge_weight: float = 0.3,
        attention_weight: float = 0.1,
        edge_threshold: float = 0.8,
        aux_weight: float | Sequence[float] = 1.0,
        **common: Any,
    ):
        super().__init__(num_classes, aux_weight, **common)
        if self.reduction != "valid":
            raise ConfigError(f"{self.registered_name} with reduction {self.reduction!r}", "'valid'")
        if (
            not isinstance(segmentation, Mapping)
            or "name" not in segmentation
            or set(segmentation) - {"name", "options"}
        ):
            raise ConfigError(
                f"loss.options.segmentation = {segmentation!r}", "a mapping with name and options of a loss"
            )
        options = dict(segmentation.get("options", {}), ignore=self.ignore)
        self.segmentation = LOSSES.get(segmentation["name"])(num_classes, **options)
        self.main_weight, self.seg_weight = main_weight, seg_weight
        self.edge_weight, self.attention_weight, self.edge_threshold = edge_weight, attention_weight, edge_threshold
        self._edges = 0

    def check_outputs(self, outputs: Sequence[nd.NDArray]) -> None:
        """Count the boundary maps, and refuse what does not fit."""
        edges = sum(1 for y in outputs[1:] if y.shape[1] == 1) if self.num_classes > 1 else 0
        if edges != self._edges:
            self._edges = edges
            self._clear_cached_op()
        super().check_outputs(outputs[: len(outputs) - edges])
        if any(y.shape[1] != 1 for y in outputs[len(outputs) - edges :]) or 2 * edges >= len(outputs):
            raise ConfigError(
                f"outputs of {', '.join(str(y.shape[1]) for y in outputs)} channels",
                "main scores, scores of stages, and as many boundary maps of 1 channel last",
            )

    def combine(self, F: Any, outputs: Sequence[Any], target: Target) -> Any:
        """Main scores, stages, further auxiliary scores."""
        scores, edges = outputs[: len(outputs) - self._edges], outputs[len(outputs) - self._edges :]
        total = self.main_weight * self.term(F, scores[0], target)
        stages = len(edges) or len(scores) - 1
        boundary = boundary_map(F, target.label, self.ignore) if edges else None
        for number, (factor, y) in enumerate(zip(self._weights(len(scores) - 1), scores[1:], strict=True)):
            if number >= stages:
                value = self.term(F, y, target)
            else:
                value = self.seg_weight * self.segmentation.term(F, y, target)
                if edges:
                    value = value + self._edge_terms(F, y, edges[number], boundary, target)
            total = total + factor * value
        return total

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """-log p of the labelled class."""
        return cross_entropy_map(F, logits, label)

    def _edge_terms(self, F: Any, logits: Any, edge: Any, boundary: Any, target: Target) -> Any:
        """Loss of a boundary map, and of the scores where it is high."""
        edge = F.reshape_like(edge, target.label)
        high = target.mask * (F.BlockGrad(edge) > self.edge_threshold)
        values = cross_entropy_map(F, logits, target.label)
        images = image_balanced(F, values, target.label, high, high, self.num_classes)
        value = self.edge_weight * balanced_edge_loss(F, edge, boundary)
        return (value + self.attention_weight * F.reshape(F.sum(images), (1,))) * target.share(F)
