"""Cross-entropy balanced by the classes of every single image."""

from __future__ import annotations

from typing import Any, Literal

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, Target, average_images, cross_entropy_map

__all__ = ["ImageBalanced", "image_balanced"]


def image_balanced(F: Any, values: Any, label: Any, mask: Any, weight: Any, num_classes: int) -> Any:
    """Mean of the pixels of every image, each weighted by 2 minus the share of its class in the image.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    values : array or symbol, (N, H, W)
        Loss of every pixel.
    label : array or symbol, (N, H, W)
        float32 classes.
    mask : array or symbol, (N, H, W)
        1 where a pixel counts, else 0.
    weight : array or symbol, (N, H, W)
        Factor on the loss, 0 where the mask is.
    num_classes : int
        Number of classes.

    Returns
    -------
    array or symbol, (N,)
        0 for an image in which no pixel counts.
    """
    counts = F.stack(*(F.sum((label == k) * mask, axis=(1, 2)) for k in range(num_classes)), axis=1)
    total = F.maximum(F.sum(counts, axis=1, keepdims=True), 1)
    factors = F.reshape(2 - F.broadcast_div(counts, total), (-1,))
    first = F.reshape(F.contrib.arange_like(label, axis=0), (-1, 1, 1)) * num_classes
    factor = F.take(factors, F.broadcast_add(F.clip(label, 0, num_classes - 1), first), mode="clip")
    factor = F.BlockGrad(factor)
    return F.sum(values * weight * factor, axis=(1, 2)) / F.maximum(F.sum(mask * factor, axis=(1, 2)), 1)


@LOSSES.register("ImageBalanced", aliases=("ImageBasedCE", "ImageBalancedCE"))
class ImageBalanced(SegmentationLoss):
    """Cross-entropy of every image with each class weighted by 2 minus its share of the image's labelled pixels.

    The image-based form of Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label Relaxation",
    CVPR 2019, and Takikawa et al., "Gated-SCNN", ICCV 2019.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    total : {"mean", "sum"}
        What becomes of the images' values: their mean, weighted by labelled pixels, or their sum (as published; a
        device then counts by its share of the labelled pixels).
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If `total` is unknown, or ``reduction="pixels"`` is asked for.
    """

    def __init__(self, num_classes: int, total: Literal["mean", "sum"] = "mean", **common: Any):
        super().__init__(num_classes, **common)
        if total not in ("mean", "sum"):
            raise ConfigError(f"loss.options.total = {total!r}", "mean or sum")
        if self.reduction != "valid":
            raise ConfigError(f"{self.registered_name} with reduction {self.reduction!r}", "'valid'")
        self.total = total

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Mean or sum over the images."""
        values = cross_entropy_map(F, logits, target.label)
        losses = image_balanced(F, values, target.label, target.mask, target.weight, self.num_classes)
        if self.total == "mean":
            return average_images(F, losses, target)
        return F.reshape(F.sum(losses), (1,)) * target.share(F)
