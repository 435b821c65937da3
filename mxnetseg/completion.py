"""``mxnetseg completion``: commands, flags, names and keys completed by the shell, through argcomplete."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from .catalog import shipped
from .cli import COMMANDS, Parser, load_command
from .registry import BACKBONES, DATASETS, LOSSES, MODELS, Registry

__all__ = ["EXAMPLES", "HELP", "SHELLS", "add_arguments", "answer", "run"]

HELP = "Print what makes a shell complete commands, flags, names and configuration keys."
SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """\
mxnetseg completion bash >> ~/.bashrc
mxnetseg completion zsh >> ~/.zshrc
mxnetseg completion fish > ~/.config/fish/completions/mxnetseg.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(args: argparse.Namespace) -> int:
    """Print the shell's code."""
    import argcomplete

    print(argcomplete.shellcode(["mxnetseg"], shell=args.shell))
    return 0


def _names(registry: Registry) -> list[str]:
    return [name.lower() for entry in registry.entries() for name in (entry.name, *entry.aliases)]


def _keys() -> list[str]:
    from .config import key_names

    return [f"{key}=" for key in key_names()]


def _configurations() -> list[str]:
    return [name for file, aliases in shipped().items() for name in (file.removesuffix(".yaml"), *aliases)]


# Destination of an argument, and what may stand there.
_CHOICES: dict[str, Callable[[], list[str]]] = {
    "model": lambda: _names(MODELS),
    "targets": lambda: _names(MODELS),
    "backbone": lambda: _names(BACKBONES),
    "data": lambda: _names(DATASETS),
    "dataset": lambda: _names(DATASETS),
    "loss": lambda: _names(LOSSES),
    "overrides": _keys,
}


def _parser(words: list[str]) -> Parser:
    """The parser of a command line; of the commands only the one that was typed declares its arguments."""
    import argcomplete

    parser = Parser(prog="mxnetseg")
    commands = parser.add_subparsers()
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name not in words[1:2]:
            continue
        load_command(name).add_arguments(command)
        for action in command._actions:
            if action.dest == "config" or (name, action.dest) == ("config", "file"):
                files = argcomplete.FilesCompleter(["yaml", "yml"])
                action.completer = lambda prefix, files=files, **_: [*_configurations(), *files(prefix)]
            elif (choices := _CHOICES.get(action.dest)) or (name, action.dest) == ("prepare", "name"):
                action.completer = lambda prefix, choices=choices or _CHOICES["data"], **_: choices()
    return parser


def answer() -> None:
    """Tell the shell what could follow, and exit."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(_parser(words), always_complete_options=False)
