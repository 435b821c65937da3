"""Overlap of prediction and label as a loss: Dice and Tversky."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, Target, average_images, class_sum, pixels_last

__all__ = ["Dice", "Tversky"]


@LOSSES.register("Dice", aliases=("DiceLoss",))
class Dice(SegmentationLoss):
    """Soft Dice loss per image, all classes pooled.

    1 - (2 sum(p*y) + smooth) / (sum(p^exponent + y^exponent) + smooth) over labelled pixels and classes, with
    softmax p and one-hot label y; Milletari et al., "V-Net", 3DV 2016, sec. 3. Class weights multiply the classes'
    shares of all three sums (Sudre et al., DLMIA 2017, sec. 2). Images are averaged with their number of labelled
    pixels as weight, so that the average does not depend on the split over devices.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    smooth : float
        Added to both sides of the fraction, above 0.
    exponent : float
        Exponent of the denominator, above 0.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If `smooth` or `exponent` is not positive.
    """

    def __init__(self, num_classes: int, smooth: float = 1.0, exponent: float = 2.0, **common: Any):
        super().__init__(num_classes, **common)
        _require_positive(smooth=smooth, exponent=exponent)
        self.smooth, self.exponent = smooth, exponent

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Dice loss of each image, averaged."""
        p = F.softmax(pixels_last(F, logits), axis=-1)
        weight = F.reshape(target.weight, (0, -1))
        hit = F.sum(F.pick(p, F.reshape(target.label, (0, -1)), axis=-1) * weight, axis=1)
        power = p if self.exponent == 1 else p**self.exponent
        power = F.sum(F.broadcast_mul(power, _flat_mask(F, target)), axis=1)
        area = class_sum(F, power, target) + F.sum(weight, axis=1)
        losses = 1 - (2 * hit + self.smooth) / (area + self.smooth)
        return losses if self.reduction == "pixels" else average_images(F, losses, target)


@LOSSES.register("Tversky", aliases=("TverskyLoss",))
class Tversky(SegmentationLoss):
    """Tversky loss per image, averaged over the classes that are labelled in it.

    1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth) of each class, with soft counts of true positives, false
    positives and false negatives over the labelled pixels; Salehi et al., "Tversky loss function for image
    segmentation using 3D fully convolutional deep networks", MLMI 2017, eq. 4. alpha = beta = 0.5 is the Dice loss per
    class. Class weights multiply the classes' losses. Images are averaged as for :class:`Dice`.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    alpha, beta : float
        Weights of false positives and of false negatives, above 0.
    smooth : float
        Added to both sides of the fraction, above 0.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If `alpha`, `beta` or `smooth` is not positive.
    """

    def __init__(self, num_classes: int, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0, **common: Any):
        super().__init__(num_classes, **common)
        _require_positive(alpha=alpha, beta=beta, smooth=smooth)
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Tversky loss of each image, averaged."""
        mask = _flat_mask(F, target)
        p = F.softmax(pixels_last(F, logits), axis=-1)
        y = F.broadcast_mul(F.one_hot(F.reshape(target.label, (0, -1)), depth=self.num_classes), mask)
        hit, labelled = F.sum(p * y, axis=1), F.sum(y, axis=1)
        false_positive = F.sum(F.broadcast_mul(p, mask), axis=1) - hit
        false_negative = labelled - hit
        area = hit + self.alpha * false_positive + self.beta * false_negative
        present = labelled > 0
        classes = (1 - (hit + self.smooth) / (area + self.smooth)) * present
        losses = class_sum(F, classes, target) / F.maximum(F.sum(present, axis=1), 1)
        return losses if self.reduction == "pixels" else average_images(F, losses, target)


def _flat_mask(F: Any, target: Target) -> Any:
    """Mask as (N, H*W, 1)."""
    return F.expand_dims(F.reshape(target.mask, (0, -1)), 2)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ConfigError(f"loss.options.{name} = {value}", "a number above 0")
