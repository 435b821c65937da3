"""The command ``mxnetseg convert``: published weights as checkpoints of ours."""

from __future__ import annotations

import argparse
import inspect
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, ConfigError
from ..plain_yaml import parse_yaml
from ..registry import BACKBONES, DATASETS, MODELS

if TYPE_CHECKING:
    from mxnet import gluon

    from ..config import Config
    from ..convert.conversion import ClassNames
    from ..convert.files import Source
    from ..models.weights import LoadReport

__all__ = ["HELP", "add_arguments", "run"]

HELP = "turn published weights (.pth, .pt, .npz, .safetensors, .params) into a checkpoint that describes itself"
EXAMPLES = """\
mxnetseg convert hrnet.pth --system magnet --model hrnet18+ocr --data cityscapes
mxnetseg convert fcn.params --system mxnetseg --model FCNResNet --backbone resnet101 --data citys aux=true
mxnetseg convert resnet18.pth --backbone-only --backbone resnet18
"""

# What the official networks call the number of classes and the backbone, where it is not `classes` and `backbone`.
_CLASSES = {"mxnetseg": "nclass", "magnet": "num_classes", "mlcrnet": "num_classes"}
_BACKBONE = {"mfaranet": "backbone_name"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from ..convert import systems

    add = parser.add_argument
    add("file", metavar="FILE", help="weights; nothing that the file contains is executed")
    add("--system", choices=systems(), help="program that wrote them")
    add("--model", metavar="NAME", help="official name of the network, e.g. FCNResNet, MFARANet, hrnet18+ocr")
    add("--backbone", metavar="NAME", help="official name of the backbone; with --backbone-only, ours")
    add("--data", metavar="NAME", help="data set whose classes and colours the network has")
    add("--classes", metavar="N|A,B,...", help="number or names of the classes instead of --data")
    add("--config", metavar="FILE", help="configuration whose data and eval sections are written into the file")
    add("--backbone-only", action="store_true", help="ImageNet classifier -> weights for model.pretrained=FILE")
    add("--entry", metavar="NAME", help="entry of the checkpoint with the weights, where there are several (e.g. ema)")
    add("--output", metavar="FILE", help="where to write (weights/<model>/<name of the source>.params)")
    add("--allow-partial", action="store_true", help="write even if tensors are missing, unused or of another shape")
    add("--json", action="store_true", help="print the report as JSON, with the name of every tensor")
    add("overrides", nargs="*", metavar="key=value", help="official arguments of the network, e.g. aux=true")


def run(args: argparse.Namespace) -> int:
    """Convert, check, write, and report."""
    if args.backbone_only:
        return _convert_backbone(args)
    _require(args)
    from ..convert import build_reference
    from ..convert.conversion import (
        check_rebuilt,
        convert_network,
        model_config,
        model_meta,
        own_network,
        part_meta,
    )
    from ..convert.files import read_source
    from ..models.base import SegmentationModel

    names = _class_names(args)
    source = read_source(args.file, args.entry)
    official = _official_arguments(args, len(names.classes))
    model = own_network(build_reference(args.system, args.model, **official))
    report = convert_network(model, source, args.system)
    provenance = {"system": args.system, "model": args.model, "arguments": official, "tensors": _tensors(report)}
    _stop_if_partial(args, report, source)
    if isinstance(model, SegmentationModel):
        settings = model_config(model)
        check_rebuilt(model, settings)
        config = _config(args, names, settings.model_dump(mode="json"))
        meta, folder = model_meta(config, source, names, provenance), MODELS.entry(config.model.name).short_name
        what = " ".join(filter(None, (config.model.name, config.model.backbone, f"{len(names.classes)} classes")))
        what += f" ({names.data}); built from its metadata: equal scores"
    else:
        meta, folder = part_meta("refinement", args.model, source, provenance), "refinement"
        what = f"{args.model}, {len(names.classes)} classes; use it with --refinement"
    path = _write(args, model, meta, folder)
    _print(args, source, report, path, what)
    return 0


def _convert_backbone(args: argparse.Namespace) -> int:
    """Turn an ImageNet classifier into weights for ``model.pretrained``."""
    if not args.backbone or args.system or args.model or args.data or args.classes or args.overrides:
        raise ConfigError("--backbone-only with other arguments, or none", "--backbone-only --backbone NAME FILE")
    from ..convert.conversion import convert_backbone, part_meta
    from ..convert.files import read_source

    name = BACKBONES.entry(args.backbone).name
    source = read_source(args.file, args.entry)
    backbone, report = convert_backbone(name, source)
    _stop_if_partial(args, report, source)
    meta = part_meta("backbone", name, source, {"tensors": _tensors(report)})
    path = _write(args, backbone, meta, "backbones", prefix="backbone.")
    _print(args, source, report, path, f"backbone {name}; use it with model.pretrained={path}")
    return 0


def _require(args: argparse.Namespace) -> None:
    """Check what is needed to build the network."""
    if not (args.system and args.model):
        raise ConfigError(
            "which network is it?", "--system and --model", "or --backbone-only --backbone NAME for ImageNet weights"
        )
    if bool(args.data) == bool(args.classes):
        raise ConfigError("which classes does it have?", "either --data NAME or --classes N")


def _class_names(args: argparse.Namespace) -> ClassNames:
    """Classes and colours of the data set, or as many as were typed."""
    from ..convert.conversion import ClassNames
    from ..data.palettes import voc_palette

    if args.data:
        entry = DATASETS.entry(args.data)
        dataset = entry.load()
        if not dataset.classes:
            raise ConfigError(f"{entry.name} has no classes of its own", "--classes with their number or names")
        return ClassNames(entry.name, dataset.classes, dataset.palette, {})
    words = [word.strip() for word in args.classes.split(",")]
    if len(words) == 1 and words[0].isdecimal() and 0 < int(words[0]) <= 256:
        words = [f"class {i}" for i in range(int(words[0]))]
    elif len(words) < 2 or not all(words):
        raise ConfigError(f"--classes {args.classes}", "a number up to 256, or names separated by commas")
    return ClassNames("Custom", words, voc_palette(len(words)), {"classes": words})


def _official_arguments(args: argparse.Namespace, classes: int) -> dict[str, Any]:
    """Arguments for the official network, checked against what its builder accepts."""
    from ..convert import builder

    official: dict[str, Any] = {_CLASSES.get(args.system, "classes"): classes}
    if args.backbone:
        official[_BACKBONE.get(args.system, "backbone")] = args.backbone
    for pair in args.overrides:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"unexpected word {pair!r}", "key=value")
        official[key] = parse_yaml(text, f"the value of {pair!r}")
    signature = inspect.signature(builder(args.system))
    try:
        signature.bind(args.model, **official)
    except TypeError as error:
        known = [
            name for name, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY or p.default is not p.empty
        ]
        raise ConfigError(f"{args.system} {args.model}: {error}", f"its arguments: {', '.join(known)}") from error
    return official


def _config(args: argparse.Namespace, names: ClassNames, model: dict[str, Any]) -> Config:
    """Configuration of the checkpoint: the network, and the data and protocol to use it with."""
    from ..config import load_config

    given = load_config(args.config).model_dump(mode="json") if args.config else {}
    data = {**given.get("data", {}), "name": names.data, "options": names.options}
    if given and given["data"]["name"] == names.data:
        data["options"] = {**given["data"]["options"], **names.options}
    sections = {"eval": given["eval"]} if given else {}
    return load_config({"model": model, "data": data, **sections})


def _tensors(report: LoadReport) -> dict[str, Any]:
    """Report for the metadata; the loaded tensors are those of the file."""
    return {**asdict(report), "loaded": len(report.loaded)}


def _stop_if_partial(args: argparse.Namespace, report: LoadReport, source: Source) -> None:
    """Write nothing unless every tensor of the file and every parameter has its place."""
    if report.complete or args.allow_partial:
        return
    _print(args, source, report, None, "")
    raise CheckpointError(
        f"{source.path} does not fit the network: {len(report.missing)} missing, {len(report.unused)} unused, "
        f"{len(report.mismatched)} mismatched; nothing was written",
        "weights of this very network",
        "choose --model, --backbone, the classes and key=value as the network was trained, or take what fits with "
        "--allow-partial",
    )


def _write(args: argparse.Namespace, net: gluon.Block, meta: dict[str, Any], folder: str, prefix: str = "") -> Path:
    """Write the checkpoint, but not over another one of unknown origin."""
    from ..engine.checkpoint import read_meta, save_checkpoint
    from ..engine.weights import values

    path = Path(args.output or Path("weights") / folder / f"{Path(args.file).stem}.params")
    if not args.output and path.exists():
        origin = (read_meta(path).get("provenance") or {}).get("sha256")
        if origin != meta["provenance"]["sha256"]:
            raise CheckpointError(f"{path} exists and comes from another file", "a new name", "--output FILE")
    save_checkpoint(path, {prefix + name: value for name, value in values(net).items()}, meta)
    return path


def _print(args: argparse.Namespace, source: Source, report: LoadReport, path: Path | None, what: str) -> None:
    """Report on the file and on every tensor."""
    from ..convert.conversion import describe_report

    if args.json:
        record = {"file": str(source.path), "format": source.kind, "sha256": source.sha256, "notes": source.notes}
        record |= {"output": str(path) if path else None, "others": source.others, **asdict(report)}
        print(json.dumps(record))
        return
    print(f"{source.path}: {source.kind}, SHA-256 {source.sha256}")
    for line in (*source.notes, *describe_report(report, source.arrays, source.others)):
        print(f"  {line}")
    if path:
        print(f"{path}: {what}")
