"""Overlap of prediction and label as a loss."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, pixels_last

__all__ = ["Dice"]


@LOSSES.register("Dice", aliases=("DiceLoss",))
class Dice(SegmentationLoss):
    """Soft Dice loss per image, all classes pooled.

    1 - (2 sum(p*y) + smooth) / (sum(p^exponent + y^exponent) + smooth) over labelled pixels and classes, with
    softmax p and one-hot label y; Milletari et al., "V-Net", 3DV 2016, sec. 3. Images are averaged with their
    number of labelled pixels as weight, so that the average does not depend on the split over devices.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    smooth : float
        Added to both sides of the fraction, above 0.
    exponent : float
        Exponent of the denominator.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`; class weights are refused.

    Raises
    ------
    ConfigError
        If `smooth` is not positive or class weights are given.
    """

    def __init__(self, num_classes: int, smooth: float = 1.0, exponent: float = 2.0, **common: Any):
        super().__init__(num_classes, **common)
        if smooth <= 0:
            raise ConfigError(f"loss.options.smooth = {smooth}", "a number above 0")
        if self.weighted:
            raise ConfigError("loss.class_weights with the Dice loss", "no class weights: Dice pools all classes")
        self.smooth, self.exponent = smooth, exponent

    def term(self, F: Any, logits: Any, label: Any, mask: Any, weight: Any, normalizer: Any) -> Any:
        """Dice loss of each image, averaged."""
        flat = F.reshape(mask, (0, -1))
        p = F.softmax(pixels_last(F, logits), axis=-1)
        labelled = F.sum(flat, axis=1)
        hit = F.sum(F.pick(p, F.reshape(label, (0, -1)), axis=-1) * flat, axis=1)
        power = p if self.exponent == 1 else p**self.exponent
        area = F.sum(F.broadcast_mul(power, F.expand_dims(flat, 2)), axis=(1, 2)) + labelled
        loss = 1 - (2 * hit + self.smooth) / (area + self.smooth)
        if self.reduction == "pixels":
            return loss
        return F.broadcast_div(F.reshape(F.sum(loss * labelled), (1,)), normalizer)
