"""What can be measured: registered models, checkpoints, exported symbols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, ConfigError, NameNotFoundError
from ..registry import MODELS

__all__ = ["CLASSES", "Settings", "open_target"]

CLASSES = 19

Opened = tuple[Any, dict[str, Any]]


@dataclass(frozen=True)
class Settings:
    """What is typed about a network beside its name.

    Attributes
    ----------
    backbone : str, optional
        Backbone of a model that is named without one; the model's default when empty.
    classes : int, optional
        Number of classes; 19 when empty.
    aux : bool
        Build auxiliary heads.
    overrides : tuple of str
        ``key=value`` pairs of the configuration.
    """

    backbone: str | None = None
    classes: int | None = None
    aux: bool = False
    overrides: tuple[str, ...] = ()


def open_target(target: str, ctx: Any, settings: Settings) -> Opened:
    """Network of a target, on its context.

    Parameters
    ----------
    target : str
        ``MODEL`` or ``MODEL:BACKBONE`` (random weights), a checkpoint, or ``<stem>-symbol.json``.
    ctx : mx.Context
        Device.
    settings : Settings
        Only for models; files with weights say themselves what they are.

    Returns
    -------
    model : SegmentationModel or ExportedNetwork
    facts : dict
        ``model``, ``backbone``, ``classes`` and ``weights``.

    Raises
    ------
    NameNotFoundError
        If there is neither such a model nor such a file.
    CheckpointError
        If a file is missing or unusable.
    ConfigError
        If the settings do not suit the target.
    """
    from ..deploy.exported import SYMBOL_SUFFIX

    if target.endswith(SYMBOL_SUFFIX):
        return _open_symbol(Path(target), ctx, settings)
    name, _, backbone = target.partition(":")
    try:
        entry = MODELS.entry(name)
    except NameNotFoundError as unknown:
        return _open_checkpoint(target, ctx, settings, unknown)
    return _build(entry.name, backbone or settings.backbone, ctx, settings)


def _build(name: str, backbone: str | None, ctx: Any, settings: Settings) -> Opened:
    from ..config import apply_overrides, load_config
    from ..models import build_model

    values = apply_overrides({"model": {"aux": False}}, settings.overrides)
    values["model"]["name"] = name
    values["model"] |= ({"backbone": backbone} if backbone else {}) | ({"aux": True} if settings.aux else {})
    config = load_config(values).model
    model = build_model(config, settings.classes or CLASSES)
    model.collect_params().reset_ctx(ctx)
    chosen = config.backbone or MODELS.entry(name).meta.get("default_backbone")
    return model, {"model": name, "backbone": chosen, "classes": model.num_classes, "weights": "random"}


def _open_checkpoint(target: str, ctx: Any, settings: Settings, unknown: NameNotFoundError) -> Opened:
    from ..engine.checkpoint import load_model
    from ..engine.lookup import find_checkpoint

    try:
        path = find_checkpoint(target)
    except CheckpointError:
        if target != Path(target).stem:
            raise
        # A bare word was meant for a model.
        raise unknown from None
    _refuse(settings, target)
    model, loaded = load_model(path, ctx)
    recorded = loaded.meta["model"]
    facts = {"model": recorded["name"], "backbone": recorded.get("backbone"), "classes": model.num_classes}
    return model, facts | {"weights": path.name}


def _open_symbol(path: Path, ctx: Any, settings: Settings) -> Opened:
    from ..deploy.exported import ExportedNetwork

    _refuse(settings, path.name)
    model = ExportedNetwork(path, ctx)
    if precision := model.meta.get("precision"):
        found = f"{path.name}, whose operations are oneDNN's own and cannot be counted"
        raise ConfigError(found, f"its checkpoint, with --path {precision['name']}")
    recorded, classes = model.meta.get("model") or {}, model.meta.get("classes")
    facts = {"model": recorded.get("name", "symbol"), "backbone": recorded.get("backbone")}
    return model, facts | {"classes": len(classes) if classes else None, "weights": path.name}


def _refuse(settings: Settings, target: str) -> None:
    """Refuse settings of the network for a file that says itself what it is."""
    typed = [f"--{key} {value}" for key in ("classes", "backbone") if (value := getattr(settings, key))]
    if typed := [*typed, *settings.overrides]:
        raise ConfigError(f"{', '.join(typed)} for {target}", "the file's own network", "leave it away")
