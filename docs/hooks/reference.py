"""Reference of the commands, from their parsers, and of the configuration, from its schema."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mxnetseg import cli
from mxnetseg.config import Config
from mxnetseg.tools.settings import describe_keys


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the two pages."""
    files.append(File.generated(config, "reference/commands.md", content=commands()))
    files.append(File.generated(config, "reference/configuration.md", content=configuration()))
    return files


def commands() -> str:
    """Usage, arguments and examples of every command."""
    names = "".join(f"| [`{name}`](#{name}) | {text} |\n" for name, (_, text) in cli.COMMANDS.items())
    sections = "\n".join(_command(name) for name in cli.COMMANDS)
    return f"# Commands\n\n| `mxnetseg` | |\n| :-- | :-- |\n{names}\n{sections}"


def _command(name: str) -> str:
    parser = cli.command_parser(name)
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
    usage = parser.format_usage().removeprefix("usage: ")
    text = _sentence(parser.description.rstrip(".")) + "."
    groups = "".join(_group(group) for group in parser._action_groups)
    return f"## {name}\n\n{text}\n\n```text\n{usage}```\n{groups}{_examples(parser.epilog or '')}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _group(group: argparse._ArgumentGroup) -> str:
    rows = [_argument(action) for action in group._group_actions if action.dest != "help"]
    if not rows:
        return ""
    usual = group.title in ("positional arguments", "options")
    title = "" if usual else f"\n{_sentence(group.title)}:\n"
    return f"{title}\n| argument | meaning |\n| :-- | :-- |\n" + "".join(rows)


def _argument(action: argparse.Action) -> str:
    formatter = argparse.HelpFormatter("mxnetseg")
    words = formatter._format_action_invocation(action)
    meaning = formatter._expand_help(action) if action.help else ""
    return f"| {_code(words)} | {_cell(meaning)} |\n"


def _examples(epilog: str) -> str:
    """Example lines of a parser's epilog as a block, and the remarks below them as text."""
    lines = [line.strip() for line in epilog.removeprefix("examples:\n").splitlines()]
    shown = [line for line in lines if line.startswith("mxnetseg ")]
    remarks = "\n".join(line for line in lines if line not in shown).strip()
    return ("\n```shell\n" + "\n".join(shown) + f"\n```\n\n{remarks}\n") if shown else ""


def configuration() -> str:
    """Key, type, default and meaning of every setting, by section."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in describe_keys():
        sections.setdefault(row["key"].rpartition(".")[0], []).append(row)
    how = "It is given in a file, as `section: {key: value}`, or on the command line, as `section.key=value`."
    parts = [f"# Configuration\n\n{Config.__doc__} {how}"]
    return "\n\n".join(parts + [_section(name, rows) for name, rows in sections.items()]) + "\n"


def _section(name: str, rows: list[dict[str, Any]]) -> str:
    schema: Any = Config
    for part in filter(None, name.split(".")):
        schema = schema.model_fields[part].annotation
    head = f"## {name}\n\n{schema.__doc__}\n\n" if name else ""
    lines = [
        [_code(row["key"]), _code(row["type"]), _code(json.dumps(row["default"])), _cell(row["description"])]
        for row in rows
    ]
    return head + "| key | type | default | meaning |\n| :-- | :-- | :-- | :-- |\n" + _rows(lines)


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(text: str) -> str:
    """Text of a cell; outside of code, what would be markup stands for itself."""
    markup = {"<": "&lt;", "*": r"\*", "|": r"\|"}
    return re.sub(r"(`[^`]*`)|([<*|])", lambda m: m[1] or markup[m[2]], " ".join(text.split()))


def _code(text: str) -> str:
    return f"`{text}`"
