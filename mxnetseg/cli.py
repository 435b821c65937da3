"""The command ``mxnetseg``: finds the sub-command, loads only its module, turns errors into messages.

A command's module offers ``HELP`` (one line), ``EXAMPLES`` (command lines, shown below its help),
``add_arguments(parser)`` and ``run(args) -> int``, and imports mxnet only inside ``run``. ``--help`` and misspelt names
therefore answer at once.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from . import __version__
from .errors import UserError, suggest

__all__ = ["COMMANDS", "Parser", "UsageError", "command_parser", "load_command", "main", "parse"]

# name: (module, one line of help)
COMMANDS = {
    "train": ("mxnetseg.train", "train a network, or resume a run"),
    "launch": ("mxnetseg.launch", "train on several processes or machines"),
    "sweep": ("mxnetseg.sweep", "train many times with other parameters, from a wandb sweep file"),
    "eval": ("mxnetseg.eval", "score a checkpoint, write its predictions, or measure its speed"),
    "predict": ("mxnetseg.predict", "segment an image, a folder or a video"),
    "convert": ("mxnetseg.tools.convert", "published weights (.pth, .npz, .safetensors, ...) as a checkpoint"),
    "export": ("mxnetseg.deploy.export", "write a symbol or an ONNX file that runs without this package"),
    "benchmark": ("mxnetseg.tools.benchmark", "measure latency, throughput, memory and cost of networks"),
    "demo": ("mxnetseg.demo", "segment pictures on a page in the browser"),
    "quickstart": ("mxnetseg.quickstart", "the whole loop on generated data, in minutes"),
    "report": ("mxnetseg.tools.run_reports", "the page of a run, or several runs compared"),
    "check-data": ("mxnetseg.tools.check_data", "find what is wrong with a data set before training"),
    "prepare": ("mxnetseg.tools.prepare", "bring downloaded data into the form that a data set reads"),
    "list": ("mxnetseg.tools.listing", "names of models, backbones, data sets, losses, configurations"),
    "fetch": ("mxnetseg.tools.fetch", "download ready weights by name"),
    "config": ("mxnetseg.tools.settings", "every configuration key with its meaning, or a resolved file"),
    "completion": ("mxnetseg.completion", "completion of commands, flags and names for a shell"),
    "doctor": ("mxnetseg.tools.doctor", "check the installation and say what to type"),
}

_ENDINGS = """\
--version, --help; --debug (or MXNETSEG_DEBUG=1) shows tracebacks
exit codes: 0 done, 1 failed or something was found, 2 wrong use, 130 Ctrl-C"""

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
        # argparse takes a list that may be empty for a required one.
        message = re.sub(", key=value$", "", message, flags=re.IGNORECASE)
        found, expected, hint = message, "", ""
        if unknown := re.search(r"unrecognized arguments: (.+)", message):
            flags = [word.partition("=")[0] for word in unknown[1].split() if word.startswith("-")]
            hint = "; ".join(filter(None, (suggest(flag, self._option_string_actions) for flag in flags)))
        elif choice := re.search(r"(.*invalid choice: '?([^']+)'?) \(choose from (.+)\)", message):
            found, expected = choice[1], f"one of {choice[3]}"
            hint = suggest(choice[2], re.findall(r"[\w.-]+", choice[3]))
        elif number := re.search(r"(.*)invalid (int|float) value: (.*)", message):
            found, expected = number[1] + number[3], {"int": "a whole number", "float": "a number"}[number[2]]
        elif number := re.search(r"(.*) is not (a .*)", message):
            found, expected = number[1], number[2]
        raise UsageError(f"{self.prog}: {found}", expected, hint or f"`{self.prog} --help` lists what it takes")


def _top_parser() -> Parser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items())
    parser = Parser(
        prog="mxnetseg",
        usage="mxnetseg COMMAND ...   (mxnetseg COMMAND --help: arguments, examples)",
        description=f"Semantic segmentation on MXNet Gluon. Commands:\n{listing}",
        epilog=_ENDINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    # One line in the epilog stands for all three.
    parser.add_argument("--help", "-h", action="help", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"mxnetseg {__version__}", help=argparse.SUPPRESS)
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    return parser


def load_command(name: str) -> ModuleType:
    """Import the module of a command.

    Raises
    ------
    UsageError
        If there is no such command.
    """
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


def command_parser(name: str) -> Parser:
    """Parser of a command, with its examples.

    Raises
    ------
    UsageError
        If there is no such command.
    """
    module = load_command(name)
    parser = Parser(prog=f"mxnetseg {name}", description=module.HELP)
    if examples := getattr(module, "EXAMPLES", ""):
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = f"examples:\n{textwrap.indent(examples, '  ')}"
    module.add_arguments(parser)
    return parser


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
    module, parser = load_command(name), command_parser(name)
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
        0 done; 1 failed, or a check found something; 2 for a mistake in what was typed, named or configured; 130 after
        Ctrl-C, 143 after SIGTERM (a training has then saved its state); 141 when the reader of the output has gone.
    """
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        from .completion import answer

        answer()
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
    except OSError as error:
        if error.filename is None:
            return _report_unexpected(error, debug)
        message, code = _explain_os(error)
        return _report(message, code, debug)
    except Exception as error:  # whatever it is, a user gets one line of it
        return _report_unexpected(error, debug)


# What can be done about a file; where nothing is said, the machine has failed and not its user.
_FILE_REMEDIES = {
    errno.ENOENT: "check the spelling; paths count from the folder you are in",
    errno.EEXIST: "a file is where a folder is needed: choose another name",
    errno.ENOTDIR: "a file is where a folder is needed: choose another name",
    errno.EISDIR: "a folder is where a file is needed: add the name of the file",
    errno.EACCES: "choose a place that you may read and write, or ask its owner",
    errno.EPERM: "choose a place that you may read and write, or ask its owner",
    errno.EROFS: "choose a place that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def _explain_os(error: OSError) -> tuple[str, int]:
    """Message and exit code for a file that cannot be used as it was named."""
    remedy = _FILE_REMEDIES.get(error.errno or 0, "")
    told = UserError(f"{error.filename}: {error.strerror}", "a file or folder that can be used", remedy or _DEBUG_HINT)
    return str(told), 2 if remedy else 1


_DEBUG_HINT = "re-run with --debug to see where it happened"


def _report_unexpected(error: Exception, debug: bool) -> int:
    hint = "" if debug else f"\n  remedy:   {_DEBUG_HINT}"
    return _report(f"unexpected {type(error).__name__}: {error}{hint}", 1, debug)


def _report(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return code
