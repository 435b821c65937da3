"""Networks, and how they are built from a configuration."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, suggest
from ..registry import MODELS

if TYPE_CHECKING:
    from ..config import ModelConfig
    from .base import SegmentationModel

__all__ = ["build_model"]


def build_model(config: ModelConfig, num_classes: int, num_devices: int = 1) -> SegmentationModel:
    """Build the network of a configuration, initialised on the current context.

    Convolutions are initialised with variance 2 / fan-in, normalisation with scale 1 and shift 0; the backbone
    is then filled with pretrained weights if the configuration names them. ``config.init`` is not read here.

    Parameters
    ----------
    config : ModelConfig
        Which network.
    num_classes : int
        Number of classes.
    num_devices : int
        Number of contexts that ``syncbn`` synchronises.

    Returns
    -------
    SegmentationModel

    Raises
    ------
    NameNotFoundError
        If the model or backbone is not registered.
    ConfigError
        If the model does not accept the backbone or an option.
    CheckpointError
        If the pretrained weights cannot be loaded.
    """
    from .backbones.pretrained import load_pretrained
    from .layers import make_norm

    entry = MODELS.entry(config.name)
    constructor = entry.load()
    accepted = inspect.signature(constructor).parameters
    options: dict[str, Any] = {"norm": make_norm(config.norm, num_devices)}
    if config.backbone is not None:
        options["backbone"] = config.backbone
    if "aux" in accepted:
        options["aux"] = config.aux
    if config.dilate is not None:
        options["dilate"] = config.dilate
    options |= config.options
    _check_options(entry.name, options, accepted)
    model = constructor(num_classes, **options)
    model.prepare()
    if config.pretrained is not False:
        _require_backbone(entry.name, model)
        load_pretrained(model.backbone, config.pretrained)
    return model


def _require_backbone(name: str, model: SegmentationModel) -> None:
    """Refuse pretrained weights where there is nothing to fill."""
    if "backbone" not in model._children:
        raise ConfigError(f"{name} has no backbone to fill with pretrained weights", "model.pretrained=false")


def _check_options(model: str, options: dict[str, Any], accepted: Any) -> None:
    """Refuse keywords that the constructor does not have."""
    known = [name for name in accepted if name != "num_classes"]
    for name in options:
        if name not in known:
            raise ConfigError(f"{model} has no option {name!r}", f"options: {', '.join(known)}", suggest(name, known))
