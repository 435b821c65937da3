"""Distance between borders as a loss."""

from __future__ import annotations

from typing import Any

from ..registry import LOSSES
from .base import SegmentationLoss, Target, class_sum, pixels_last

__all__ = ["Boundary"]


@LOSSES.register("Boundary", aliases=("BoundaryLoss",))
class Boundary(SegmentationLoss):
    """Boundary loss: mean over classes and pixels of the softmax times the signed distance to the label's border.

    Kervadec et al., "Boundary loss for highly unbalanced segmentation", MIDL 2019, eq. 5, in pixels; negative
    where the prediction lies inside the label. It is meant to be added to a loss over regions (eq. 6), e.g.
    ``loss.name=Mixed`` with ``loss.options.losses=[{name: Dice}, {name: Boundary, factor: 0.01}]``. A class weight acts
    on the class's probability wherever the pixel is. The distances are computed on the CPU, see
    :func:`~mxnetseg.losses.distance.distance_maps`.

    Parameters are those of :class:`~mxnetseg.losses.base.SegmentationLoss`.
    """

    needs_distance = True

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Probabilities times distances, averaged over the labelled pixels and all classes."""
        values = F.softmax(pixels_last(F, logits), axis=-1) * pixels_last(F, target.distance)
        pixels = class_sum(F, values, target) / self.num_classes * F.reshape(target.mask, (0, -1))
        if self.reduction == "pixels":
            return F.mean(pixels, axis=1)
        return F.broadcast_div(F.reshape(F.sum(pixels), (1,)), target.normalizer)
