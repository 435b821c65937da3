"""Commands and Python that stand in the README, in the pages of ``docs/`` and in notebooks."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "docs").rglob("*.ipynb"))]
_FENCE = re.compile(r"^( *)(`{3,})(\w*)[^\n]*\n(.*?)^\1\2", re.M | re.S)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_PROGRAMS = "mxnetseg|make|python|python3.11|pytest|pip|wandb|docker|jupyter|source|cd"
_SHELLS = ("shell", "bash", "sh", "console")
# What is done with each command; says itself how it is read.
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "documented.yaml").read_text(encoding="utf-8"))


def small(*parts: str) -> str:
    """Words of the table that make a command small, by their names or literally."""
    return " ".join(TABLE["words"].get(part, part) for part in parts)


@dataclass(frozen=True)
class Code:
    """A command, or a block of another language, and the page that it stands on."""

    text: str
    page: str
    block: bool = True

    @property
    def key(self) -> str:
        """What stands in the table: the first line, which is all but of a script."""
        return self.text.partition("\n")[0]


def in_tutorial(code: Code) -> bool:
    """Whether a page is a tutorial."""
    return code.page.startswith("docs/tutorials/")


def is_followed(code: Code) -> bool:
    """Whether `test_tutorials.py` runs it, or `test_notebooks.py`."""
    return in_tutorial(code) and code.block and not code.text.startswith(tuple(TABLE["not_followed"]))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of a notebook's cells; any other page is one cell of Markdown."""
    if path.suffix != ".ipynb":
        yield "markdown", path.read_text(encoding="utf-8")
        return
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        yield cell["cell_type"], "".join(cell["source"])


def blocks(*languages: str) -> list[Code]:
    """Fenced blocks of these languages."""
    found = []
    for path in PAGES:
        for kind, text in _cells(path):
            for indent, _, language, body in _FENCE.findall(text) if kind == "markdown" else ():
                if language in languages:
                    found.append(Code(re.sub(f"^{indent}", "", body, flags=re.M), _name(path)))
    return found


def commands() -> list[Code]:
    """Every command once per page: in shell blocks, in inline code, and behind ``!`` in notebooks."""
    found = [Code(line, block.page) for block in blocks(*_SHELLS) for line in lines(block.text)]
    for path in PAGES:
        for kind, text in _cells(path):
            if kind == "code":
                found += [Code(line[1:].strip(), _name(path)) for line in text.splitlines() if line.startswith("!")]
            else:
                texts = (" ".join(code.split()) for code in _INLINE.findall(_FENCE.sub("", text)))
                found += [
                    Code(code, _name(path), block=False) for code in texts if re.match(rf"({_PROGRAMS}) \S", code)
                ]
    return list(dict.fromkeys(found))


def lines(block: str) -> Iterator[str]:
    """Commands of a shell block; a block that sets variables or loops is one script."""
    if re.search(r"^(for|if|while|export|#!|\w+=\S+$)", block, re.M):
        yield block.strip()
        return
    text = ""
    for line in block.replace("\\\n", " ").splitlines():
        text = f"{text}\n{line}" if text else line.strip().removeprefix("$ ")
        if not text or text.startswith("#"):
            text = ""
            continue
        try:
            shlex.split(text, comments=True)
        except ValueError:  # a quotation goes on in the next line
            continue
        yield text if "\n" in text else re.sub(r"\s+#\s.*$", "", " ".join(text.split()))
        text = ""


def mentioned_name(text: str) -> str | None:
    """Sub-command that a text like ``mxnetseg report`` mentions without giving arguments."""
    match = re.fullmatch(r"mxnetseg ([a-z][a-z-]+)", text)
    return match[1] if match else None


def environment(folder: Path) -> dict[str, str]:
    """Variables with which a shell finds `mxnetseg` and `python` of this environment; `folder` has the package."""
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    for name, words in {"mxnetseg": "-W ignore -m mxnetseg ", "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
        (programs / name).chmod(0o755)
    return os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(folder), "HOME": str(folder)}
