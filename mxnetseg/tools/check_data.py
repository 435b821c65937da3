"""``mxnetseg check-data``: find what is wrong with a data set before training on it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..arguments import natural

if TYPE_CHECKING:
    from ..config import DataConfig
    from .checks import Finding, Report

__all__ = ["HELP", "add_arguments", "paragraphs", "run"]

HELP = "Find what is wrong with a data set before training; print class statistics and weights."

EXAMPLES = """\
mxnetseg check-data camvid --root /data/CamVid
mxnetseg check-data cityscapes --root /data/cityscapes --split train val test
mxnetseg check-data --config custom/example data.root=my_data
mxnetseg check-data custom --root my_data "data.options.classes=[background, crack]" --json

Exit code: 0 nothing found, 1 something found, 2 wrong use. A kind of finding that is meant to be so can be left out
with --ignore KIND.
"""
_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("dataset", nargs="?", metavar="DATASET", help="data set (`mxnetseg list datasets`); same as data.name=DATASET")
    add("--root", "--data-root", metavar="DIR", help="folder of the data set; same as data.root=DIR")
    add("--config", metavar="FILE", help="YAML configuration that describes the data, as for train")
    add("--split", nargs="+", metavar="S", help="splits to read; the configured ones for training and validation")
    add("--weights", choices=("median", "enet"), default="median", help="how class weights are derived from the pixels")
    add("--ignore", nargs="+", default=[], metavar="KIND", help="kinds of findings to leave out, e.g. split-size")
    add("--all", action="store_true", help=f"name every file, not only the first {_SHOWN} of a kind")
    add("--workers", type=natural, metavar="N", help="threads that read images; one per CPU when left out")
    add("--json", action="store_true", help="print JSON")
    add("overrides", nargs="*", metavar="key=value", help="configuration keys, e.g. data.options.ignore=[255]")


def _configuration(args: argparse.Namespace) -> DataConfig:
    from ..config import load_config

    flags = {"data.name": args.dataset, "data.root": args.root}
    pairs = [f"{key}={value}" for key, value in flags.items() if value is not None]
    return load_config(args.config, [*pairs, *args.overrides]).data


def _known_kinds(names: list[str]) -> set[str]:
    from ..errors import ConfigError, suggest
    from .checks import KINDS

    for name in names:
        if name not in KINDS:
            raise ConfigError(f"--ignore {name}: no such kind", f"of {', '.join(KINDS)}", suggest(name, KINDS))
    return set(names)


def run(args: argparse.Namespace) -> int:
    """Check, print, and return 1 if something was found.

    Raises
    ------
    UserError
        If the data set, its folder, a split or an option does not exist.
    """
    from ..compat import usable_cpus
    from .checks import check_splits

    config, ignored = _configuration(args), _known_kinds(args.ignore)
    splits = list(dict.fromkeys(args.split or (config.train_split, config.val_split)))
    workers = usable_cpus() if args.workers is None else args.workers
    report = check_splits(config, splits, workers)
    report.findings = [finding for finding in report.findings if finding.kind not in ignored]
    if args.json:
        print(json.dumps(_as_dict(config, report, args.weights), indent=2))
    else:
        print("\n\n".join(_sections(config, report, args)))
    return 1 if report.findings else 0


def _weighed(report: Report) -> str | None:
    """Split that the class weights come from: the first one with masks."""
    return next((name for name, split in report.splits.items() if split.balance.labelled), None)


def _as_dict(config: DataConfig, report: Report, method: str) -> dict[str, Any]:
    from .checks import class_weights

    splits = {}
    for name, split in report.splits.items():
        counts = split.balance.as_dict(split.dataset.classes)
        splits[name] = {"images": len(split.dataset), "sizes": split.sizes, **counts}
    source = _weighed(report)
    weights = class_weights(report.splits[source].balance, method) if source else None
    return {
        "data": config.name,
        "root": str(next((s.dataset.root for s in report.splits.values()), config.root)),
        "clean": not report.findings,
        "findings": [{**asdict(finding), "level": finding.level} for finding in report.findings],
        "splits": splits,
        "class_weights": {"method": method, "split": source, "values": weights},
    }


def _sections(config: DataConfig, report: Report, args: argparse.Namespace) -> Iterator[str]:
    from .checks import class_weights

    if report.splits:
        yield "\n".join([config.name, *(f"  {_outline(name, split)}" for name, split in report.splits.items())])
    yield from paragraphs(report.findings, len(report.findings) if args.all else _SHOWN)
    source = _weighed(report)
    if source:
        yield _table(report)
        values = ", ".join(f"{weight:g}" for weight in class_weights(report.splits[source].balance, args.weights))
        yield f"loss:  # {args.weights} weights of {source}\n  class_weights: [{values}]"
    yield _verdict(report.findings)


def paragraphs(findings: list[Finding], limit: int = _SHOWN) -> Iterator[str]:
    """Text of every kind of finding, errors first, with the first `limit` files of each."""
    for _, group in groupby(sorted(findings, key=_group), key=_group):
        yield _paragraph(list(group), limit)


def _outline(name: str, split: Any) -> str:
    sizes = [f"{width}x{height}" for height, width in split.sizes]
    shown = " to ".join([sizes[0], sizes[-1]] if len(sizes) > 1 else sizes) or "none readable"
    return f"{name}: {len(split.dataset)} images, {shown}, {split.balance.masks} usable masks"


def _group(finding: Finding) -> tuple[bool, str, str]:
    return finding.level != "error", finding.kind, finding.remedy


def _paragraph(findings: list[Finding], limit: int) -> str:
    from .checks import KINDS

    first = findings[0]
    lines = [f"{first.level}: {KINDS[first.kind]} [{first.kind}]"]
    lines += [f"  {f'{f.split}: ' if f.split else ''}{f.file}: {f.cause}" for f in findings[:limit]]
    if len(findings) > limit:
        lines.append(f"  ... and {len(findings) - limit} more (--all names them)")
    return "\n".join([*lines, f"  remedy: {first.remedy}"])


def _table(report: Report) -> str:
    from .listing import format_table

    splits = {name: split for name, split in report.splits.items() if split.balance.labelled}
    columns = {"id": "id", "class": "class"}
    for name in splits:
        columns |= {f"{name} share": f"{name} pixels", f"{name} images": f"{name} images"}
    rows = []
    for label, title in enumerate(next(iter(splits.values())).dataset.classes):
        row = {"id": f"{label:2}", "class": title}
        for name, split in splits.items():
            row[f"{name} share"] = f"{split.balance.share(label):11.4%}"
            row[f"{name} images"] = f"{split.balance.images[label]:6}"
        rows.append(row)
    rows.append({"id": "", "class": "(ignored)"})
    for name, split in splits.items():
        total = split.balance.void + split.balance.labelled
        rows[-1][f"{name} share"] = f"{split.balance.void / total:11.4%}"
    return format_table(rows, columns)


def _verdict(findings: list[Finding]) -> str:
    if not findings:
        return "nothing wrong was found"
    errors = sum(finding.level == "error" for finding in findings)
    return f"{errors} errors, {len(findings) - errors} warnings"
