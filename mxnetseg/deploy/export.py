"""The command ``mxnetseg export``."""

from __future__ import annotations

import argparse
import re

from ..errors import ConfigError

HELP = "write a symbol that runs without this package"

__all__ = ["HELP", "add_arguments", "parse_size", "run"]


def parse_size(text: str) -> tuple[int, int]:
    """Size (height, width) from ``HxW`` or from one side of a square.

    Raises
    ------
    ConfigError
        If the text is neither.
    """
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (height and width):
        raise ConfigError(f"size {text!r}", "HEIGHTxWIDTH in pixels, e.g. 512x1024")
    return height, width


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="weights: a path, or a name in weights/")
    parser.add_argument("--out", metavar="DIR", help="folder of the files (the checkpoint's own)")
    parser.add_argument("--size", metavar="HxW", help="first size of the check (128x192); the second is half of it")


def run(args: argparse.Namespace) -> int:
    """Export, check, and print what was written."""
    sizes = [(128, 192), (96, 64)]
    if args.size:
        height, width = parse_size(args.size)
        sizes = [(height, width), (max(32, height // 2), max(32, width // 2))]
    from ..engine.lookup import find_checkpoint
    from .symbol import export_symbol

    files, error = export_symbol(find_checkpoint(args.checkpoint), args.out, sizes)
    for path in files.values():
        print(path)
    print(f"reloaded without mxnetseg at two sizes: largest relative error {error:.2g}")
    return 0
