"""Whether a documented command is one that the program which it calls accepts; nothing is run."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise

from documentation import ROOT

from mxnetseg import cli
from mxnetseg.config import load_config

# Programs whose arguments are theirs to understand.
OTHERS = set("cd cp docker gdal_translate jupyter mkdir mpirun mv pip rm sha256sum source vips wandb".split())  # noqa: SIM905
_OWN_WORDS = ("convert", "prepare")  # what follows them as key=value are no keys of the configuration


def check(text: str, part: bool = False) -> None:
    """Fail unless every command of a shell text is understood; of a `part`, only its flags have to exist."""
    if re.search(r"[&|;<>$(\n]", text):
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    if "\n" in text:  # a script of a scheduler's or another program's
        return
    for words in simple_commands(text):
        _check_one(words, part)


def simple_commands(text: str) -> Iterator[list[str]]:
    """Words of the commands of a line, without variables before and redirections behind them."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="()&|;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("()&|;"):
            words.append(word)
            continue
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if any(set(word) <= set("<>") for word in words):
            words = words[: next(i for i, word in enumerate(words) if set(word) <= set("<>"))]
        if words:
            yield words
        words = []


def _check_one(words: list[str], part: bool) -> None:
    program, *rest = words
    program = program.rpartition("/")[2].removesuffix("3.11")
    if program == "mxnetseg":
        _own(rest, part)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert next(word for word in rest if "=" not in word) in targets
    elif program == "pytest":
        _paths(rest)
    elif program == "python":
        _python(rest, part)
    else:
        assert program in OTHERS, program
        if program == "pip":
            assert all((ROOT / name).is_file() for flag, name in pairwise(rest) if flag == "-r")


def _paths(words: list[str]) -> None:
    for word in words:
        if word.startswith("tests/"):
            assert (ROOT / word.partition("::")[0]).exists(), word


def _python(words: list[str], part: bool) -> None:
    first, *rest = words
    if first == "-m" and rest[0] == "pytest":
        _paths(rest[1:])
    elif first == "-m":
        assert rest[0] in ("build", "venv") or (ROOT / "tests" / f"{rest[0].replace('.', '/')}.py").is_file(), rest[0]
    elif first in ("train.py", "eval.py"):
        _own([first.removesuffix(".py"), *rest], part)
    else:
        places = [ROOT / first, ROOT / "mxnetseg" / "deploy" / first]
        (script,) = [path for path in places if path.is_file()]
        known = script.read_text()
        assert all(f'"{word}"' in known for word in rest if word.startswith("--")), rest


def _own(words: list[str], part: bool) -> None:
    """A command of this package: its parser, and the configuration that it would take."""
    if words[0].startswith("-") or "--help" in words:
        assert words[0] in cli.COMMANDS or words == ["--help"]
    elif part:
        options = {*cli.command_parser(words[0])._option_string_actions, "--"}
        assert {word for word in words if word.startswith("--")} <= options, words
    else:
        _, args = cli.parse(words)
        if words[0] == "launch":
            _python(words[words.index("--") + 1 :], part)
        elif words[0] not in _OWN_WORDS:
            load_config(getattr(args, "config", None), getattr(args, "overrides", []))
