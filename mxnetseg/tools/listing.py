"""``mxnetseg list``: what is registered, and which configurations are shipped."""

from __future__ import annotations

import argparse
import fnmatch
import json
from pathlib import Path
from typing import Any

from ..catalog import CONFIGS
from ..errors import ConfigError, suggest
from ..registry import BACKBONES, DATASETS, LOSSES, MODELS, Registry

__all__ = ["CONFIGS", "HELP", "add_arguments", "config_rows", "format_table", "registry_rows", "run"]

HELP = "List models, backbones, data sets, losses or shipped configurations."
_REGISTRIES = {"models": MODELS, "backbones": BACKBONES, "datasets": DATASETS, "losses": LOSSES}
KINDS = (*_REGISTRIES, "configs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("kind", nargs="?", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("pattern", nargs="?", default="*", help="part of a name, or a wildcard pattern such as 'deep*'")
    parser.add_argument("--json", action="store_true", help="print JSON")


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


def config_rows(pattern: str = "*", folder: Path | None = None) -> list[dict[str, Any]]:
    """File, network, data set, description and published figures of each shipped configuration."""
    from ..config import read_yaml

    folder, rows = folder or CONFIGS, []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).as_posix()
        if "_base_" in name or not _matches([name], pattern):
            continue
        values = read_yaml(path)
        model = values.get("model", {})
        row = {"name": name, "model": model.get("name", ""), "backbone": model.get("backbone", "")}
        row |= {"data": values.get("data", {}).get("name", ""), "summary": values.get("description", "")}
        rows.append(row | {"published": values.get("published", {})})
    return rows


def format_table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Align `rows` under the titles of `columns` (key: title); lists are joined by commas."""

    def text(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

    table = [list(columns.values()), *([text(row.get(key, "")) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)


def _rows(kind: str, pattern: str) -> list[dict[str, Any]]:
    return config_rows(pattern) if kind == "configs" else registry_rows(_REGISTRIES[kind], pattern)


_COLUMNS = {
    "models": {"name": "model", "aliases": "short names", "default_backbone": "default backbone", "summary": "summary"},
    "configs": {"name": "configuration", "model": "model", "backbone": "backbone", "summary": "summary"},
}


def run(args: argparse.Namespace) -> int:
    """Print the listing.

    Raises
    ------
    ConfigError
        If nothing matches the pattern.
    """
    if args.kind is None:
        counts = [{"kind": kind, "count": len(_rows(kind, "*")), "type": f"mxnetseg list {kind}"} for kind in KINDS]
        print(json.dumps(counts) if args.json else format_table(counts, {"kind": "kind", "count": "names", "type": ""}))
        return 0
    rows = _rows(args.kind, args.pattern)
    if not rows and args.pattern != "*":
        names = [n for row in _rows(args.kind, "*") for n in (row["name"], *row.get("aliases", ()))]
        raise ConfigError(f"none of the {args.kind} matches {args.pattern!r}", remedy=suggest(args.pattern, names))
    columns = _COLUMNS.get(args.kind, {"name": "name", "aliases": "short names", "summary": "summary"})
    print(json.dumps(rows, indent=2) if args.json else format_table(rows, columns))
    return 0
