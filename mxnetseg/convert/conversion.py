"""From the weights of an official network to a checkpoint of ours that describes itself."""

from __future__ import annotations

import datetime
import inspect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon.contrib.nn import SyncBatchNorm

from .. import __version__
from ..config import Config, ModelConfig
from ..data.transforms import MEAN, STD
from ..engine.run import environment
from ..engine.weights import load_strictly, values
from ..errors import CheckpointError, ConfigError
from ..models import build_model
from ..models.backbones.base import Backbone, build_backbone
from ..models.base import InferenceView, SegmentationModel, default_initializer
from ..models.layers.norm import GroupNorm
from ..models.weights import LoadReport, load_arrays
from ..registry import MODELS
from . import load_reference
from .files import Source
from .imagenet import backbone_names

__all__ = [
    "ClassNames",
    "check_rebuilt",
    "convert_backbone",
    "convert_network",
    "describe_report",
    "model_config",
    "model_meta",
    "own_network",
    "part_meta",
]

_COUNTER = ".num_batches_tracked"
# Of each kind, in a report for people.
MAX_LINES = 20


@dataclass
class ClassNames:
    """Classes of a network: the data set's name, names in the order of the training ids, RGB colours (K, 3)."""

    data: str
    classes: Sequence[str]
    palette: np.ndarray
    options: dict[str, Any]


def own_network(net: gluon.Block) -> gluon.Block:
    """Our network in what :func:`..build_reference` returns: without wrappers for official sizes and outputs."""
    if isinstance(net, InferenceView):
        return net.network
    return net if isinstance(net, SegmentationModel) else getattr(net, "model", net)


def convert_network(net: gluon.Block, source: Source, system: str) -> LoadReport:
    """Copy the weights of a file into a network of ours (see :func:`own_network`)."""
    return load_reference(net, source.arrays, system)


def convert_backbone(name: str, source: Source) -> tuple[Backbone, LoadReport]:
    """Backbone of that registered name with the features of an ImageNet classifier.

    Raises
    ------
    NameNotFoundError
        If the name is not registered.
    """
    backbone = build_backbone(name, output_stride=_any_stride(name))
    backbone.initialize(default_initializer())
    backbone(nd.zeros((1, 3, 64, 64)))
    return backbone, load_arrays(backbone, source.arrays, backbone_names(backbone, source.arrays))


def _any_stride(name: str) -> int:
    """An output stride that the backbone has; the parameters do not depend on it."""
    from ..registry import BACKBONES

    return max(BACKBONES.entry(name).meta.get("strides", (32,)))


def model_config(model: SegmentationModel) -> ModelConfig:
    """Configuration that builds such a network, from the arguments that it was made with.

    Raises
    ------
    ConfigError
        If the network was made with something that a configuration cannot say.
    """
    accepted = inspect.signature(MODELS.get(model.registered_name)).parameters
    given = {name: value for name, value in model.arguments.items() if name != "num_classes"}
    own = {name: given.pop(name) for name in ("backbone", "dilate") if name in given}
    own["norm"] = _norm_name(given.pop("norm", "bn"))
    own["aux"] = bool(given.pop("aux", True))
    defaults = {name: p.default for name, p in accepted.items()}
    options = {name: value for name, value in given.items() if name not in defaults or value != defaults[name]}
    try:
        return ModelConfig(name=model.registered_name, options=json.loads(json.dumps(options)), **own)
    except TypeError as error:
        raise ConfigError(f"{model.registered_name} was made with {options}", "numbers, words and lists") from error


def _norm_name(norm: Any) -> str:
    """Name of a normalisation; a synchronised one has the same parameters as a plain one and gives the same scores."""
    if isinstance(norm, str):
        return norm
    layer, kwargs = (norm.func, dict(norm.keywords)) if isinstance(norm, partial) else (norm, {})
    for ignored in ("num_devices", "key", "momentum"):
        kwargs.pop(ignored, None)
    known = {gluon.nn.BatchNorm: "bn", SyncBatchNorm: "bn", GroupNorm: "gn"}
    if layer not in known or kwargs:
        raise ConfigError(f"normalisation {getattr(layer, '__name__', layer)} {kwargs or ''}", "bn, syncbn or gn")
    return known[layer]


def check_rebuilt(model: SegmentationModel, config: ModelConfig) -> None:
    """Build the network of the configuration, give it the same weights, and compare the scores of an image.

    Raises
    ------
    CheckpointError
        If they differ: a file with this configuration would be of no use.
    """
    rebuilt = build_model(config, model.num_classes)
    load_strictly(rebuilt, values(model), "the converted network", mx.cpu())
    step = model.divisor
    height = -(-max(64, model.min_size) // step) * step
    image = nd.array(np.random.default_rng(0).normal(size=(1, 3, height, height)))
    scores = [net.predict(image).asnumpy() for net in (model, rebuilt)]
    if not np.allclose(*scores, rtol=1e-4, atol=1e-4 * float(np.abs(scores[0]).max()), equal_nan=True):
        raise CheckpointError(
            f"{config.name} with {config.options} gives other scores than the official network's arguments",
            "a network that its metadata describe",
            "use mxnetseg.convert.build_reference in Python",
        )


def model_meta(config: Config, source: Source, names: ClassNames, provenance: dict[str, Any]) -> dict[str, Any]:
    """Metadata with which a network can be evaluated, used and exported.

    Parameters
    ----------
    config : Config
        Network, data and protocol.
    source : Source
        File that the weights came from.
    names : ClassNames
        Its classes.
    provenance : dict
        System, official name and arguments, and what became of the tensors.
    """
    return {
        **_common(source, provenance),
        "model": config.model.model_dump(mode="json"),
        "num_classes": len(names.classes),
        "classes": list(names.classes),
        "palette": [[int(v) for v in color] for color in names.palette],
        "mean": list(MEAN),
        "std": list(STD),
        "data": names.data,
        "config": config.model_dump(mode="json"),
    }


def part_meta(kind: str, name: str, source: Source, provenance: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a file with the weights of a part of a network: its kind (``backbone``, ``refinement``), its name."""
    return {**_common(source, provenance), "kind": kind, kind: name}


def _common(source: Source, provenance: dict[str, Any]) -> dict[str, Any]:
    """What every converted file says."""
    origin = {"file": source.path.name, "sha256": source.sha256, "format": source.kind, "notes": source.notes}
    return {
        "format": 1,
        "mxnetseg": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": environment(),
        "provenance": {**origin, **provenance},
    }


def describe_report(report: LoadReport, arrays: Mapping[str, Any], others: Sequence[str]) -> list[str]:
    """Lines that account for every tensor of a file and every parameter of the network."""
    counters = [name for name in report.ignored if name.endswith(_COUNTER)]
    lines = [
        f"{len(arrays)} tensors: {len(report.loaded)} loaded, {len(report.ignored)} ignored, "
        f"{len(report.unused)} unused, {len(report.mismatched)} mismatched; {len(report.missing)} parameters missing"
    ]
    if counters:
        lines.append(f"ignored: {len(counters)} counters of batches (*{_COUNTER}), which no output depends on")
    rest = Counter(name.rpartition(".")[0] for name in report.ignored if name not in counters)
    lines += [
        f"ignored: {name}.* ({count}), the network's output does not depend on it" for name, count in rest.items()
    ]
    kinds = Counter(str(arrays[name].dtype) for name in report.loaded if arrays[name].dtype != np.float32)
    lines += [f"converted to float32: {count} tensors of {kind}" for kind, count in kinds.items()]
    lines += [f"no tensor, left behind: {name}" for name in others]
    lines += [f"not finite: {name}" for name in report.loaded if not np.isfinite(arrays[name]).all()]
    unused = [f"unused: {name}, the network has no such parameter" for name in report.unused]
    mismatched = [f"mismatched: {name} is {found}, expected {wanted}" for name, found, wanted in report.mismatched]
    missing = [f"missing: {name}, not in the file" for name in report.missing]
    return lines + [line for kind in (unused, mismatched, missing) for line in _shortened(kind)]


def _shortened(lines: list[str]) -> list[str]:
    """First lines of a long list, and how many there are."""
    rest = len(lines) - MAX_LINES
    return lines if rest <= 0 else [*lines[:MAX_LINES], f"... and {rest} more: --json lists them all"]
