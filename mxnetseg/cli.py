"""The command ``mxnetseg``: finds the sub-command, loads only its module, turns errors into messages.

A command's module offers ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int``, and imports mxnet
only inside ``run``. ``--help`` and misspelt names therefore answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from . import __version__
from .errors import UserError, suggest

__all__ = ["COMMANDS", "Parser", "UsageError", "main", "parse"]

# name: (module, one line of help)
COMMANDS = {
    "train": ("mxnetseg.train", "train a network, or resume a run"),
    "launch": ("mxnetseg.launch", "train on several processes or machines"),
    "eval": ("mxnetseg.eval", "score a checkpoint, write its predictions, or measure its speed"),
    "predict": ("mxnetseg.predict", "segment an image, a folder or a video"),
    "convert": ("mxnetseg.tools.convert", "published weights (.pth, .npz, .safetensors, .params) as a checkpoint"),
    "export": ("mxnetseg.deploy.export", "write a symbol or an ONNX file that runs without this package"),
    "benchmark": ("mxnetseg.tools.benchmark", "measure latency, throughput, memory and cost of networks"),
    "quickstart": ("mxnetseg.quickstart", "the whole loop on generated data, in minutes"),
    "demo": ("mxnetseg.demo", "segment pictures on a page in the browser"),
    "report": ("mxnetseg.tools.run_reports", "the page of a run, or several runs compared"),
    "check-data": ("mxnetseg.tools.check_data", "find what is wrong with a data set before training"),
    "prepare": ("mxnetseg.tools.prepare", "bring downloaded data into the form that a data set reads"),
    "list": ("mxnetseg.tools.listing", "names of models, backbones, data sets, losses, configurations"),
    "config": ("mxnetseg.tools.settings", "every configuration key with its meaning, or a resolved file"),
    "doctor": ("mxnetseg.tools.doctor", "check the installation and say what to type"),
}

_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")


class UsageError(UserError):
    """A command line that cannot be understood."""


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are :class:`UsageError` with suggestions; abbreviations are not accepted."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting.

        Raises
        ------
        UsageError
            Always; with the closest flag or choice when there is one.
        """
        unknown = re.search(r"unrecognized arguments: (.+)", message)
        choice = re.search(r"invalid choice: '?([^' ]+)'? \(choose from (.+)\)", message)
        hint = ""
        if unknown:
            flags = [word.partition("=")[0] for word in unknown[1].split() if word.startswith("-")]
            hint = "; ".join(filter(None, (suggest(flag, self._option_string_actions) for flag in flags)))
        elif choice:
            hint = suggest(choice[1], re.findall(r"[\w.-]+", choice[2]))
        raise UsageError(f"{self.prog}: {message}", remedy=hint or f"`{self.prog} --help` lists what it takes")


def _listing() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(["commands:", *(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items())])


def _top_parser() -> Parser:
    parser = Parser(
        prog="mxnetseg",
        description="Semantic segmentation on MXNet Gluon.",
        epilog=_listing() + "\n\n`mxnetseg COMMAND --help` lists the arguments of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", help="one of the commands below")
    parser.add_argument("--version", action="version", version=f"mxnetseg {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks (also: MXNETSEG_DEBUG=1)")
    return parser


def _load(name: str) -> ModuleType:
    if name not in COMMANDS:
        raise UsageError(
            f"unknown command {name!r}", f"one of {', '.join(COMMANDS)}", suggest(name, COMMANDS) or "`mxnetseg --help`"
        )
    return importlib.import_module(COMMANDS[name][0])


def _take_overrides(parser: Parser, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate ``key=value`` words, which may stand anywhere (also after flags that take several values)."""
    overrides, rest = [], []
    for before, word in zip(["", *words], words, strict=False):
        action = parser._option_string_actions.get(before)
        is_value = action is not None and action.nargs is None
        (overrides if _OVERRIDE.match(word) and not is_value else rest).append(word)
    return overrides, rest


def parse(words: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """Module and arguments of a command line; mxnet is not imported.

    Parameters
    ----------
    words : sequence of str
        Command and its arguments.

    Raises
    ------
    UsageError
        If the command or one of its arguments is unknown or wrong.
    """
    name, *words = words
    module = _load(name)
    parser = Parser(prog=f"mxnetseg {name}", description=module.HELP)
    module.add_arguments(parser)
    overrides = []
    if any(action.dest == "overrides" for action in parser._actions):
        overrides, words = _take_overrides(parser, words)
    args = parser.parse_args(words)
    if overrides:
        args.overrides = [*overrides, *args.overrides]
    return module, args


def _dispatch(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        _top_parser().parse_args(words)
        _top_parser().print_help()
        return 0
    module, args = parse(words)
    return int(module.run(args) or 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; ``sys.argv[1:]`` when empty.

    Returns
    -------
    int
        0, or the code of the error: 2 for a mistake in what was typed, 1 for a failure, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("MXNETSEG_DEBUG", "0") not in ("", "0")
    try:
        code = _dispatch([word for word in words if word != "--debug"])
        sys.stdout.flush()
        return code
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UserError as error:
        return _report(str(error), error.exit_code, debug)
    except Exception as error:  # whatever it is, a user gets one line of it
        hint = "" if debug else "\n  remedy:   re-run with --debug to see where it happened"
        return _report(f"unexpected {type(error).__name__}: {error}{hint}", 1, debug)


def _report(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return code
