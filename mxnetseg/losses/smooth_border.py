"""Class scores of several stages, and binary border maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import nd

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, Target, cross_entropy_map

__all__ = ["SmoothBorder", "border_focal_loss", "thick_border"]


def thick_border(F: Any, label: Any, ignore: int = -1, width: int = 7) -> Any:
    """Pixels that have a pixel of another class in the window of `width` pixels around them.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    label : array or symbol, (N, H, W)
        float32 classes, or the ignore label, which counts as class 0.
    ignore : int
        Label of pixels without class.
    width : int
        Odd.

    Returns
    -------
    array or symbol, (N, H, W)
        1 on borders, else 0.
    """
    value = F.expand_dims(F.where(label == ignore, F.zeros_like(label), label), axis=1)
    window = {"kernel": (width, width), "pad": (width // 2, width // 2), "pool_type": "max"}
    spread = F.Pooling(value, **window) + F.Pooling(-value, **window)
    return F.reshape_like(spread > 0, label)


def border_focal_loss(F: Any, logits: Any, border: Any, gamma: float = 2.0, alpha: float = 0.25) -> Any:
    """Focal loss of every pixel for two classes (Lin et al., ICCV 2017, eq. 5).

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    logits : array or symbol, (N, H, W)
        Logits of the border.
    border : array or symbol, (N, H, W)
        1 on borders, else 0.
    gamma : float
        Exponent of the modulating factor.
    alpha : float
        Weight of borders; 1 - alpha is that of other pixels.

    Returns
    -------
    array or symbol, (N, H, W)
        Loss; probabilities below 1e-4 do not raise it further.
    """
    p = F.sigmoid(logits)
    positive = alpha * (1 - p) ** gamma * F.log(p + 1e-4)
    negative = (1 - alpha) * p**gamma * F.log(1 - p + 1e-4)
    return -(border * positive + (1 - border) * negative)


@LOSSES.register("SmoothBorder", aliases=("DFNLoss",))
class SmoothBorder(SegmentationLoss):
    """Cross-entropy of all scores plus the focal loss of all border maps (Yu et al., CVPR 2018, eq. 4-6).

    The network's outputs are the main scores, auxiliary ones, and last, border maps of one channel, or none. Borders
    are made from the label map by :func:`thick_border`, where the authors of DFN's program detect them by Canny's
    method and thicken them to 7 pixels.

    Parameters
    ----------
    num_classes : int
        Number of classes, at least 2.
    border_weight : float
        Weight of the border maps.
    gamma, alpha : float
        Of :func:`border_focal_loss`.
    aux_weight : float or sequence of float
        Of the auxiliary scores.
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`; class weights act on the cross-entropies.

    Raises
    ------
    ConfigError
        If ``reduction="pixels"`` is asked for.
    """

    def __init__(
        self,
        num_classes: int,
        border_weight: float = 0.1,
        gamma: float = 2.0,
        alpha: float = 0.25,
        aux_weight: float | Sequence[float] = 1.0,
        **common: Any,
    ):
        super().__init__(num_classes, aux_weight, **common)
        if self.reduction != "valid":
            raise ConfigError(f"{self.registered_name} with reduction {self.reduction!r}", "'valid'")
        self.border_weight, self.gamma, self.alpha = border_weight, gamma, alpha
        self._borders = 0

    def check_outputs(self, outputs: Sequence[nd.NDArray]) -> None:
        """Count the border maps, and refuse what does not fit."""
        borders = sum(1 for y in outputs[1:] if y.shape[1] == 1) if self.num_classes > 1 else 0
        if borders != self._borders:
            self._borders = borders
            self._clear_cached_op()
        super().check_outputs(outputs[: len(outputs) - borders])

    def combine(self, F: Any, outputs: Sequence[Any], target: Target) -> Any:
        """Scores, then border maps."""
        count = len(outputs) - self._borders
        total = super().combine(F, outputs[:count], target)
        if not self._borders:
            return total
        border, parts = thick_border(F, target.label, self.ignore), []
        for y in outputs[count:]:
            values = border_focal_loss(F, F.reshape_like(y, target.label), border, self.gamma, self.alpha)
            parts.append(F.reshape(F.mean(values * target.mask), (1,)))
        return total + self.border_weight * F.add_n(*parts) * target.share(F)

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """-log p of the labelled class."""
        return cross_entropy_map(F, logits, label)
