"""Online hard example mining over pixels."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, Target, cross_entropy_map

__all__ = ["OHEM", "Bootstrapped"]


@LOSSES.register("OHEM", aliases=("OhemCrossEntropy",))
class OHEM(SegmentationLoss):
    """Cross-entropy averaged over the hard pixels only.

    Hard are the pixels whose labelled class has a probability below `thresh`; if they are fewer than
    `min_kept`, the `min_kept` pixels of largest loss. Shrivastava et al., "Training Region-based Object
    Detectors with Online Hard Example Mining", CVPR 2016, in the form usual for segmentation.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    thresh : float
        Probability in (0, 1].
    min_kept : int or float
        Pixels kept at least, per device: their number, or (below 1) their share of the labelled pixels.
    over_weights : bool
        Class weights: the average is over the weights of the kept pixels instead of their number.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If a value is out of range, or ``reduction="pixels"`` is asked for.

    Notes
    -----
    The choice is made on each device alone. Devices count by their share of the labelled pixels. Pixels
    that tie with the last one kept are kept too. Class weights act on the loss, after the choice.
    """

    def __init__(
        self,
        num_classes: int,
        thresh: float = 0.7,
        min_kept: float = 100_000,
        over_weights: bool = False,
        **common: Any,
    ):
        super().__init__(num_classes, **common)
        if not 0 < thresh <= 1:
            raise ConfigError(f"loss.options.thresh = {thresh}", "a probability in (0, 1]")
        if min_kept < 0:
            raise ConfigError(f"loss.options.min_kept = {min_kept}", "a number of pixels, or a share below 1")
        if self.reduction != "valid":
            raise ConfigError(f"{self.registered_name} with reduction {self.reduction!r}", "'valid'")
        self.limit, self.min_kept, self.over_weights = -math.log(thresh), min_kept, over_weights

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Mean over the kept pixels, scaled by this device's share of the labelled pixels."""
        values = cross_entropy_map(F, logits, target.label)
        keep = F.BlockGrad(self._hard(F, values, target.mask))
        count = F.maximum(F.sum(target.weight * keep), 1e-6) if self.over_weights else F.maximum(F.sum(keep), 1)
        mean = F.sum(values * target.weight * keep) / count
        return F.reshape(mean, (1,)) * target.share(F)

    def _hard(self, F: Any, values: Any, mask: Any) -> Any:
        """1 where a pixel is kept, else 0."""
        hard = values > self.limit
        if self.min_kept:
            # Losses are at least 0: ignored pixels sort behind every labelled one. (MXNet's `sort` cannot be recorded.)
            flat = F.reshape(values * mask + mask - 1, (-1,))
            order = F.argsort(flat, is_ascend=False, dtype="int32")
            last = self.min_kept - 1 if self.min_kept >= 1 else F.floor(F.sum(mask) * self.min_kept) - 1
            index = F.zeros((1,)) + last if self.min_kept >= 1 else F.reshape(last, (1,))
            smallest = F.reshape(F.take(flat, F.take(order, F.maximum(index, 0), mode="clip")), (1, 1, 1))
            # A share of no whole pixel keeps nothing beyond the threshold.
            enough = F.reshape(index >= 0, (1, 1, 1))
            hard = F.broadcast_maximum(hard, F.broadcast_mul(F.broadcast_greater_equal(values, smallest), enough))
        return hard * mask


@LOSSES.register("Bootstrapped", aliases=("BootstrappedCE", "BootstrappedCrossEntropy"))
class Bootstrapped(OHEM):
    """Bootstrapped cross-entropy: OHEM whose threshold is a loss instead of a probability.

    Hard are the pixels of a loss above `loss_thresh`; if they are fewer than `min_kept`, the `min_kept` pixels of
    largest loss. Wu et al., "Bridging Category-level and Instance-level Semantic Image Segmentation", 2016, sec. 3.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    loss_thresh : float
        Cross-entropy in nats, 0 or more.
    min_kept : int or float
        As for :class:`OHEM`.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If a value is out of range, or ``reduction="pixels"`` is asked for.
    """

    def __init__(self, num_classes: int, loss_thresh: float = 0.3, min_kept: float = 100_000, **common: Any):
        if loss_thresh < 0:
            raise ConfigError(f"loss.options.loss_thresh = {loss_thresh}", "a cross-entropy of 0 or more")
        super().__init__(num_classes, min_kept=min_kept, **common)
        self.limit = loss_thresh
