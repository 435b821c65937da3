"""The command ``mxnetseg export``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..errors import ConfigError

HELP = "write a symbol or an ONNX file that runs without this package"

__all__ = ["HELP", "add_arguments", "parse_size", "run"]

_CHECKED = ((128, 192), (96, 64))


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
    parser.add_argument("--format", choices=("symbol", "onnx"), default="symbol", help="MXNet's symbol (default), ONNX")
    parser.add_argument(
        "--size",
        metavar="HxW|dynamic",
        default="dynamic",
        help="onnx: fix the size of the input; symbol, which takes any: first size of the check, half of it the second",
    )
    parser.add_argument(
        "--output",
        choices=("logits", "probabilities", "labels"),
        default="logits",
        help="what comes out; the last two in ONNX only",
    )
    parser.add_argument("--raw", action="store_true", help="onnx: RGB pixels go in (uint8 NHWC), not normalised values")


def run(args: argparse.Namespace) -> int:
    """Export, check, and print what was written."""
    size = None if args.size == "dynamic" else parse_size(args.size)
    if args.format == "symbol" and (args.raw or args.output != "logits"):
        raise ConfigError("--raw or --output for a symbol", "normalised values in, logits out", "add --format onnx")
    from ..engine.lookup import find_checkpoint

    return {"symbol": _symbol, "onnx": _onnx}[args.format](find_checkpoint(args.checkpoint), size, args)


def _symbol(checkpoint: Path, size: tuple[int, int] | None, args: argparse.Namespace) -> int:
    from .symbol import export_symbol

    sizes = [size, (max(32, size[0] // 2), max(32, size[1] // 2))] if size else _CHECKED
    files, error = export_symbol(checkpoint, args.out, sizes)
    for path in files.values():
        print(path)
    print(f"reloaded without mxnetseg at two sizes: largest relative error {error:.2g}")
    return 0


def _onnx(checkpoint: Path, size: tuple[int, int] | None, args: argparse.Namespace) -> int:
    from .onnx import OnnxOptions, export_onnx

    path, parity = export_onnx(checkpoint, args.out, OnnxOptions(size, args.output, args.raw), _CHECKED)
    print(path)
    where = "at this size" if size else "at two sizes"
    print(f"ONNX Runtime {where}: largest relative error {parity.error:.2g}, {parity.labels:.3%} equal labels")
    return 0
