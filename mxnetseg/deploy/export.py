"""The command ``mxnetseg export``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from .calibration import CalibrationImages

HELP = "write a symbol or an ONNX file that runs without this package"
EXAMPLES = """\
mxnetseg export --checkpoint RUN_best.params --format onnx --raw --output labels
mxnetseg export --checkpoint RUN_best.params --out exported --size 512x1024
"""

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
    parser.add_argument(
        "--precision",
        choices=("fp32", "int8", "bf16"),
        default="fp32",
        help="int8, bf16 (symbol only): write that too, if images that were held out show that it is faster and loses "
        "at most 0.5 points of mIoU (without labels: 1 %% of the labels)",
    )
    parser.add_argument(
        "--calibration",
        metavar="FOLDER|DATA",
        help="images to calibrate and to judge with: a folder (every fourth judges), or a data set (training part "
        "calibrates, validation part judges)",
    )
    parser.add_argument("--data-root", metavar="DIR", help="folder of that data set")
    parser.add_argument("--limit", type=int, metavar="N", help="calibrate with at most N images, and judge by N (64)")


def run(args: argparse.Namespace) -> int:
    """Export, check, and print what was written."""
    size = None if args.size == "dynamic" else parse_size(args.size)
    if args.format == "symbol" and (args.raw or args.output != "logits"):
        raise ConfigError("--raw or --output for a symbol", "normalised values in, logits out", "add --format onnx")
    if args.format == "onnx" and args.precision == "bf16":
        raise ConfigError(
            "--precision bf16 for ONNX",
            "fp32 or int8",
            "OpenVINO computes the fp32 file in bf16 if asked to",
        )
    if (args.precision == "fp32") != (args.calibration is None):
        raise ConfigError(
            f"--precision {args.precision} {'with' if args.calibration else 'without'} --calibration",
            "--calibration FOLDER or a data set, for int8 and bf16 only",
        )
    from ..engine.lookup import find_checkpoint

    checkpoint = find_checkpoint(args.checkpoint)
    images = _images(checkpoint, args) if args.calibration else None
    return {"symbol": _symbol, "onnx": _onnx}[args.format](checkpoint, size, args, images)


def _images(checkpoint: Path, args: argparse.Namespace) -> CalibrationImages:
    from ..engine.checkpoint import read_meta
    from .calibration import LIMIT, calibration_images

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}", "1 or more")
    return calibration_images(args.calibration, read_meta(checkpoint), args.data_root, args.limit or LIMIT)


def _symbol(
    checkpoint: Path, size: tuple[int, int] | None, args: argparse.Namespace, images: CalibrationImages | None
) -> int:
    from .symbol import export_symbol

    sizes = [size, (max(32, size[0] // 2), max(32, size[1] // 2))] if size else _CHECKED
    files, error = export_symbol(checkpoint, args.out, sizes)
    for path in files.values():
        print(path)
    print(f"reloaded without mxnetseg at two sizes: largest relative error {error:.2g}")
    if images:
        from .reduce import reduce_symbol

        reduced = reduce_symbol(files, args.precision, images, sizes, lambda text: print(f"{args.precision}, {text}"))
        _report(args.precision, [*reduced.values()] if reduced else [])
    return 0


def _onnx(
    checkpoint: Path, size: tuple[int, int] | None, args: argparse.Namespace, images: CalibrationImages | None
) -> int:
    from .onnx import OnnxOptions, export_onnx, reduce_onnx

    path, parity = export_onnx(checkpoint, args.out, OnnxOptions(size, args.output, args.raw), _CHECKED)
    print(path)
    where = "at this size" if size else "at two sizes"
    print(f"ONNX Runtime {where}: largest relative error {parity.error:.2g}, {parity.labels:.3%} equal labels")
    if images:
        reduced = reduce_onnx(path, images, lambda text: print(f"{args.precision}, {text}"))
        _report(args.precision, [reduced] if reduced else [])
    return 0


def _report(precision: str, files: list[Path]) -> None:
    """Say what was written in lower precision, if it was."""
    for path in files:
        print(path)
    if not files:
        print(f"{precision} is not worth having here and was not written; the file in fp32 is")
