"""``mxnetseg list``: what is registered, and which configurations are shipped."""

from __future__ import annotations

import argparse
import fnmatch
import json
from pathlib import Path
from typing import Any

from ..catalog import CONFIGS, shipped
from ..errors import ConfigError, suggest
from ..registry import BACKBONES, DATASETS, LOSSES, MODELS, Registry, usable_backbones

__all__ = [
    "HELP",
    "add_arguments",
    "config_rows",
    "format_table",
    "markdown_table",
    "registry_rows",
    "run",
    "weights_rows",
]

HELP = "List models, backbones, data sets, losses, shipped configurations or ready weights."
EXAMPLES = """\
mxnetseg list
mxnetseg list models 'deep*' --json
mxnetseg list models --realtime --backbone resnet18
mxnetseg list configs --dataset cityscapes --paper
"""
_REGISTRIES = {"models": MODELS, "backbones": BACKBONES, "datasets": DATASETS, "losses": LOSSES}
KINDS = (*_REGISTRIES, "configs", "weights")
_FILTERED = ("models", "configs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("kind", nargs="?", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("pattern", nargs="?", default="*", help="part of a name, or a wildcard pattern such as 'deep*'")
    parser.add_argument("--json", action="store_true", help="print JSON")
    group = parser.add_argument_group("for models and configs")
    group.add_argument("--realtime", action="store_true", help="those built for speed")
    group.add_argument("--backbone", metavar="NAME", help="models that take it, configurations that use it")
    group.add_argument("--dataset", metavar="NAME", help="configurations on this data set, models that have one")
    group.add_argument("--paper", nargs="?", const="", metavar="TEXT", help="show the papers; those that contain TEXT")


def _matches(names: list[str], pattern: str) -> bool:
    pattern = pattern.lower() if set(pattern) & set("*?[") else f"*{pattern.lower()}*"
    return any(fnmatch.fnmatch(name.lower(), pattern) for name in names)


def registry_rows(registry: Registry, pattern: str = "*") -> list[dict[str, Any]]:
    """Name, short names, summary and facts of each entry whose name or short name matches `pattern`."""
    return [
        {"name": e.name, "aliases": list(e.aliases), "summary": e.summary, **e.meta}
        for e in registry.entries()
        if _matches([e.name, *e.aliases], pattern)
    ]


def config_rows(pattern: str = "*", folder: Path = CONFIGS) -> list[dict[str, Any]]:
    """File, other names, network, data set, description and published figures of each shipped configuration."""
    from ..config import read_yaml

    rows = []
    for name, aliases in shipped(folder).items():
        if not _matches([name, *aliases], pattern):
            continue
        values = read_yaml(folder / name)
        model, published = values.get("model", {}), values.get("published", {})
        row = {"name": name, "aliases": aliases, "model": model.get("name", ""), "backbone": model.get("backbone", "")}
        row |= {"data": values.get("data", {}).get("name", ""), "summary": values.get("description", "")}
        rows.append(row | _facts(row["model"]) | {"published": published, "mIoU": published.get("mIoU", "")})
    return rows


def _facts(model: str) -> dict[str, Any]:
    """What a configuration shares with its model."""
    meta = MODELS.entry(model).meta if model else {}
    return {"realtime": meta.get("realtime", False), "paper": meta.get("paper", "")}


def format_table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Align `rows` under the titles of `columns` (key: title); lists are joined by commas."""

    def text(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

    table = [list(columns.values()), *([text(row.get(key, "")) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)


def markdown_table(titles: dict[str, str], rows: list[list[str]]) -> str:
    """Markdown table of `titles` (title: alignment) and rows of as many cells."""
    lines = [list(titles), list(titles.values()), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def weights_rows(pattern: str = "*") -> list[dict[str, Any]]:
    """Name and facts of each entry of the manifest of ready weights."""
    from ..ready import ready_weights

    entries = ready_weights().items()
    return [{"name": name, **entry.model_dump()} for name, entry in entries if _matches([name], pattern)]


def _rows(kind: str, pattern: str) -> list[dict[str, Any]]:
    if kind == "weights":
        return weights_rows(pattern)
    return config_rows(pattern) if kind == "configs" else registry_rows(_REGISTRIES[kind], pattern)


def _filter(kind: str, rows: list[dict[str, Any]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows that pass the flags."""
    if args.realtime:
        rows = [row for row in rows if row.get("realtime")]
    if args.backbone:
        name = BACKBONES.entry(args.backbone).name
        rows = [
            row for row in rows if name in ([row["backbone"]] if kind == "configs" else usable_backbones(row["name"]))
        ]
    if args.dataset:
        data = DATASETS.entry(args.dataset).name
        column = "name" if kind == "configs" else "model"
        kept = {row[column] for row in config_rows() if row["data"] == data}
        rows = [row for row in rows if row["name"] in kept]
    return [row for row in rows if (args.paper or "").lower() in row.get("paper", "").lower()]


_COLUMNS = {
    "models": {"name": "model", "aliases": "short names", "default_backbone": "default backbone"},
    "configs": {"name": "configuration", "aliases": "run", "mIoU": "published mIoU"},
    "weights": {"name": "name", "megabytes": "MB"},
}


def _columns(kind: str, paper: bool) -> dict[str, str]:
    columns = _COLUMNS.get(kind, {"name": "name", "aliases": "short names"})
    return columns | ({"paper": "paper"} if paper else {"summary": "summary"})


def run(args: argparse.Namespace) -> int:
    """Print the listing.

    Raises
    ------
    ConfigError
        If nothing matches, or a filter does not belong to what is listed.
    """
    filtered = args.realtime or args.backbone or args.dataset or args.paper is not None
    if args.kind is None and not filtered:
        counts = [{"kind": kind, "count": len(_rows(kind, "*")), "type": f"mxnetseg list {kind}"} for kind in KINDS]
        print(json.dumps(counts) if args.json else format_table(counts, {"kind": "kind", "count": "names", "type": ""}))
        return 0
    kind = args.kind or "models"
    if filtered and kind not in _FILTERED:
        raise ConfigError(f"--realtime, --backbone, --dataset and --paper do not filter {kind}", "models or configs")
    rows = _rows(kind, args.pattern)
    if not rows and args.pattern != "*":
        names = [n for row in _rows(kind, "*") for n in (row["name"], *row.get("aliases", ()))]
        hint = suggest(args.pattern, names) or f"`mxnetseg list {kind}` lists them"
        raise ConfigError(f"none of the {kind} matches {args.pattern!r}", remedy=hint)
    if filtered and not (rows := _filter(kind, rows, args)):
        raise ConfigError(f"none of the {kind} passes all filters", remedy=f"`mxnetseg list {kind}` lists all of them")
    print(json.dumps(rows, indent=2) if args.json else format_table(rows, _columns(kind, args.paper is not None)))
    return 0
