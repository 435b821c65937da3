"""Weighted sum of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..registry import LOSSES
from .base import SegmentationLoss, Target

__all__ = ["Mixed"]

_KEYS = {"name", "factor", "options"}
_COMMON = {"aux_weight", "class_weights", "ignore", "reduction"}


@LOSSES.register("Mixed", aliases=("MixedLoss",))
class Mixed(SegmentationLoss):
    """Sum of several losses, each times a factor.

    Auxiliary weights, class weights and the ignore label are those of the sum; they hold for every part.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    losses : sequence of mapping
        One per part: ``name``, and where needed ``factor`` (1) and ``options`` (of that loss).
    **common
        See :class:`~mxnetseg.losses.base.SegmentationLoss`.

    Raises
    ------
    ConfigError
        If a part has an unknown key, or an option that only the sum can have.
    """

    def __init__(
        self,
        num_classes: int,
        losses: Sequence[Mapping[str, Any]] = ({"name": "CrossEntropy"}, {"name": "Dice"}),
        **common: Any,
    ):
        super().__init__(num_classes, **common)
        if not losses:
            raise ConfigError("loss.options.losses is empty", "at least one loss")
        self.parts = [self._part(part) for part in losses]
        for _, part in self.parts:
            self.register_child(part)
        self.needs_distance = any(part.needs_distance for _, part in self.parts)

    def _part(self, part: Mapping[str, Any]) -> tuple[float, SegmentationLoss]:
        """Factor and loss of one part."""
        if not isinstance(part, Mapping) or "name" not in part:
            raise ConfigError(f"loss.options.losses has the part {part!r}", "a mapping with the name of a loss")
        options = part.get("options", {})
        wrong = sorted((set(part) - _KEYS) | (set(options) & _COMMON))
        if wrong:
            raise ConfigError(
                f"loss.options.losses gives {', '.join(wrong)} to the part {part['name']!r}",
                "name, factor and options of a loss",
                "auxiliary weights and class weights belong to loss.aux_weight and loss.class_weights",
            )
        loss = LOSSES.get(part["name"])(self.num_classes, ignore=self.ignore, reduction=self.reduction, **options)
        return part.get("factor", 1.0), loss

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Sum of the parts' terms."""
        return sum(factor * part.term(F, logits, target) for factor, part in self.parts)
