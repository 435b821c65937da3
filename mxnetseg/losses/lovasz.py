"""The Jaccard index as a loss, through its convex surrogate."""

from __future__ import annotations

from typing import Any

from ..registry import LOSSES
from .base import SegmentationLoss, Target, average_images, class_sum

__all__ = ["LovaszSoftmax"]


@LOSSES.register("LovaszSoftmax", aliases=("Lovasz",))
class LovaszSoftmax(SegmentationLoss):
    """Lovász-softmax per image, averaged over the classes that are labelled in it.

    Berman et al., "The Lovász-Softmax loss: a tractable surrogate for the optimization of the
    intersection-over-union measure in neural networks", CVPR 2018, eq. 8-12. Class weights multiply the classes'
    losses. Images are averaged with their number of labelled pixels as weight, so that the average does not depend
    on the split over devices. Every class sorts all pixels: slow on large crops.

    Parameters are those of :class:`~mxnetseg.losses.base.SegmentationLoss`.
    """

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Loss of each image, averaged."""
        flat = F.reshape(target.label, (0, -1))
        mask = F.expand_dims(F.reshape(target.mask, (0, -1)), 1)
        y = F.transpose(F.one_hot(flat, depth=self.num_classes), (0, 2, 1))
        y = F.BlockGrad(F.broadcast_mul(y, mask))
        p = F.softmax(F.reshape(logits, (0, 0, -1)), axis=1)
        errors = F.broadcast_mul(F.abs(y - p), mask)
        # Ignored pixels have no error: they sort behind every pixel whose weight they could change.
        order = self._descending(F, errors)
        slopes = self._jaccard_slopes(F, self._arranged(F, y, order))
        classes = F.sum(self._arranged(F, errors, order) * F.BlockGrad(slopes), axis=2)
        present = F.max(y, axis=2)
        losses = class_sum(F, classes * present, target) / F.maximum(F.sum(present, axis=1), 1)
        return losses if self.reduction == "pixels" else average_images(F, losses, target)

    def _descending(self, F: Any, values: Any) -> Any:
        """Places in the flattened (N, K, P) array that sort it along P."""
        # MXNet's `sort` cannot be recorded; `argsort` needs no gradient.
        values = F.BlockGrad(F.reshape(values, (-3, 0)))
        order = F.cast(F.argsort(values, axis=1, is_ascend=False, dtype="int32"), "int64")
        row = F.cast(F.contrib.arange_like(values, axis=0), "int64")
        length = F.cast(F.max(F.contrib.arange_like(values, axis=1), axis=0, keepdims=True) + 1, "int64")
        return F.broadcast_add(order, F.expand_dims(F.broadcast_mul(row, length), 1))

    def _arranged(self, F: Any, values: Any, order: Any) -> Any:
        """(N, K, P) in the order of each row."""
        return F.reshape_like(F.take(F.reshape(values, (-1,)), order, mode="clip"), F.BlockGrad(values))

    def _jaccard_slopes(self, F: Any, y: Any) -> Any:
        """Growth of the Jaccard loss by each pixel in turn (eq. 9), without the cancellation of its difference."""
        total = F.sum(y, axis=2, keepdims=True)
        intersection = F.broadcast_sub(total, F.cumsum(y, axis=2))
        union = F.maximum(F.broadcast_add(total, F.cumsum(1 - y, axis=2)), 1)
        return y / union + (1 - y) * intersection / union / F.maximum(union - 1, 1)
