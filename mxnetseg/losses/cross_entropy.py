"""Cross-entropy and its modulation by difficulty."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, cross_entropy_map

__all__ = ["CrossEntropy", "Focal"]


@LOSSES.register("CrossEntropy", aliases=("ce",))
class CrossEntropy(SegmentationLoss):
    """Cross-entropy of the softmax over classes, with any number of auxiliary outputs.

    Parameters are those of :class:`~mxnetseg.losses.base.SegmentationLoss`.
    """

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """-log p of the labelled class."""
        return cross_entropy_map(F, logits, label)


@LOSSES.register("Focal", aliases=("FocalLoss",))
class Focal(SegmentationLoss):
    """Focal loss: cross-entropy times (1 - p)^gamma, which fades out easy pixels.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4, without alpha.

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
