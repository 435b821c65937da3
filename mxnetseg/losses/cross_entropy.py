"""Cross-entropy, its smoothing and its modulation by difficulty."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, cross_entropy_map, pixels_last

__all__ = ["CrossEntropy", "Focal", "LabelSmoothing"]


@LOSSES.register("CrossEntropy", aliases=("ce", "MixedCE"))
class CrossEntropy(SegmentationLoss):
    """Cross-entropy of the softmax over classes, with any number of auxiliary outputs.

    Parameters are those of :class:`~mxnetseg.losses.base.SegmentationLoss`.
    """

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """-log p of the labelled class."""
        return cross_entropy_map(F, logits, label)


@LOSSES.register("LabelSmoothing", aliases=("SmoothCE", "LabelSmoothedCrossEntropy"))
class LabelSmoothing(SegmentationLoss):
    """Cross-entropy against labels that give a share of the probability to all classes alike.

    The target is (1 - smoothing) * onehot + smoothing / K; Szegedy et al., "Rethinking the Inception Architecture
    for Computer Vision", CVPR 2016, sec. 7. A class weight acts on the pixels labelled with the class.

    Parameters
    ----------
    num_classes : int
        Number of classes K.
    smoothing : float
        Share in [0, 1); 0 is cross-entropy.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If `smoothing` is out of range.
    """

    def __init__(self, num_classes: int, smoothing: float = 0.1, **common: Any):
        super().__init__(num_classes, **common)
        if not 0 <= smoothing < 1:
            raise ConfigError(f"loss.options.smoothing = {smoothing}", "a share in [0, 1)")
        self.smoothing = smoothing

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """-log p of the labelled class, mixed with its mean over all classes."""
        log_softmax = F.log_softmax(pixels_last(F, logits), axis=-1)
        hit = F.pick(log_softmax, F.reshape(label, (0, -1)), axis=-1)
        mixed = (1 - self.smoothing) * hit + self.smoothing * F.mean(log_softmax, axis=-1)
        return F.reshape_like(-mixed, label)


@LOSSES.register("Focal", aliases=("FocalLoss",))
class Focal(SegmentationLoss):
    """Focal loss: cross-entropy times (1 - p)^gamma, which fades out easy pixels.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4; their alpha is `class_weights`.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    gamma : float
        Exponent, 0 or more; 0 is cross-entropy.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If `gamma` is negative.
    """

    def __init__(self, num_classes: int, gamma: float = 2.0, **common: Any):
        super().__init__(num_classes, **common)
        if gamma < 0:
            raise ConfigError(f"loss.options.gamma = {gamma}", "a number of 0 or more")
        self.gamma = gamma

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """(1 - p)^gamma * -log p of the labelled class."""
        ce = cross_entropy_map(F, logits, label)
        if self.gamma == 0:
            return ce
        # Kept above 0, where the derivative of a power below 1 is infinite.
        return F.maximum(1 - F.exp(-ce), 1e-7) ** self.gamma * ce
