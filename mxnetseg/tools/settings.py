"""``mxnetseg config``: every configuration key with its meaning, or a file as it resolves."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ..config import Config, load_config

__all__ = ["HELP", "add_arguments", "describe_keys", "run"]

HELP = "Print every configuration key, or the resolved configuration of a file with overrides."
EXAMPLES = """\
mxnetseg config
mxnetseg config camvid/bisenetr_resnet18
mxnetseg config camvid/bisenetr_resnet18 optimizer.lr=0.02 data.root=/data/CamVid --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", nargs="?", help="YAML file, or name of a shipped configuration, to resolve")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values that win over the file's")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (Union, UnionType):
        return " | ".join(map(_type_name, arguments))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_type_name, arguments))}]"
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


def describe_keys(schema: type[BaseModel] = Config, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Yield key, type, default and description of every setting.

    Parameters
    ----------
    schema : type of BaseModel
        Section to describe.
    prefix : str
        Dotted name of the section, with a final dot.
    """
    for key, info in schema.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from describe_keys(info.annotation, f"{prefix}{key}.")
            continue
        default = info.get_default(call_default_factory=True)
        default = list(default) if isinstance(default, tuple) else default
        yield {
            "key": f"{prefix}{key}",
            "type": _type_name(info.annotation),
            "default": default,
            "description": info.description or "",
        }


def _print_keys() -> None:
    section = ""
    for row in describe_keys():
        head = row["key"].rpartition(".")[0]
        if head != section:
            print(f"\n{head}")
            section = head
        value = json.dumps(row["default"])
        print(
            f"  {row['key']} = {value}  ({row['type']})"
            + (f"\n      {row['description']}" if row["description"] else "")
        )


def run(args: argparse.Namespace) -> int:
    """Print the keys, or the configuration that the file and the overrides give."""
    if args.file is None and not args.overrides:
        print(json.dumps(list(describe_keys()), indent=2)) if args.json else _print_keys()
        return 0
    config = load_config(args.file, args.overrides)
    print(json.dumps(config.model_dump(mode="json"), indent=2) if args.json else config.to_yaml(), end="")
    return 0
