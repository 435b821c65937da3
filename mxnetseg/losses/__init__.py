"""Losses over per-pixel logits; one file each, found through the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..registry import LOSSES

if TYPE_CHECKING:
    from ..config import LossConfig
    from .base import SegmentationLoss

__all__ = ["build_loss"]


def build_loss(config: LossConfig, num_classes: int, ignore: int = -1) -> SegmentationLoss:
    """Build the configured loss.

    Parameters
    ----------
    config : LossConfig
        Name, auxiliary weights, class weights and options.
    num_classes : int
        Number of classes K, the channels of every output.
    ignore : int
        Label of pixels that count nowhere.

    Returns
    -------
    SegmentationLoss

    Raises
    ------
    ConfigError
        If an option is unknown to the loss, or a value does not fit.
    """
    entry = LOSSES.entry(config.name)
    arguments = dict(aux_weight=config.aux_weight, class_weights=config.class_weights, ignore=ignore, **config.options)
    try:
        return entry.load()(num_classes, **arguments)
    except TypeError as error:
        raise ConfigError(
            f"loss.options {config.options!r} do not fit {entry.name}: {error}",
            "keyword arguments of the loss, as its documentation lists them",
        ) from error
