"""Options of the commands that refine progressively (MagNet), as its published programs name them."""

from __future__ import annotations

import argparse
import re
from typing import Any

from .errors import ConfigError

__all__ = ["add_refine_arguments", "parse_scales", "refine_values"]

Size = tuple[int, int]


def parse_scales(text: str) -> float | list[Size]:
    """A factor, or with ``w-h,w-h,...`` the sizes (height, width) of a progression.

    Raises
    ------
    ConfigError
        If the text is neither.
    """
    if re.fullmatch(r"\d+-\d+(,\d+-\d+)*", text):
        sizes = [tuple(int(side) for side in part.split("-")) for part in text.split(",")]
        return [(height, width) for width, height in sizes]
    if re.fullmatch(r"\d*\.?\d+", text) and float(text):
        return float(text)
    raise ConfigError(f"--scales {text}", "a factor such as 0.75, or sizes WIDTH-HEIGHT such as 256-128,512-256")


def add_refine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, but for ``--scales``, which differs between the commands."""
    group = parser.add_argument_group("progressive refinement (MagNet), with --scales w-h,w-h,...")

    def add(name: str, **settings: Any) -> None:
        spellings = {f"--{name}", f"--{name.replace('-', '_')}"}
        group.add_argument(*sorted(spellings), dest=name.replace("-", "_"), **settings)

    group.add_argument(
        "--refinement",
        "--pretrained_refinement",
        nargs="+",
        metavar="FILE",
        help="refinement modules: one, or one per scale but the first",
    )
    pair = {"nargs": 2, "type": int, "metavar": ("W", "H")}
    add("crop-size", **pair, help="patch of every scale (the first scale)")
    add("input-size", **pair, help="size at which the networks see a patch (the patch's own)")
    add("n-points", type=float, metavar="N", help="pixels refined per scale: a number, or up to 1 their share (0.75)")
    add(
        "n-patches",
        type=int,
        metavar="K",
        help="patches refined per scale, the most uncertain: -1 all, which is MagNet (default), K > 0 MagNet-Fast, "
        "0 none",
    )
    add("smooth-kernel", type=int, metavar="K", help="side of the median filter of the points' scores, odd (5)")
    add("sub-batch-size", type=int, metavar="N", help="patches per forward; the result does not depend on it (1)")
    group.add_argument(
        "--selection",
        choices=("fixed", "official"),
        help="with --n-patches K: fixed (default) refines the most uncertain patches and points inside of them; "
        "official repeats the published program, which refines the least uncertain and points by chance",
    )
    add("save-pred", action="store_true", help="write pictures of every scale too")


_KEYS = ("n_points", "n_patches", "smooth_kernel", "sub_batch_size", "selection")


def refine_values(args: argparse.Namespace, recorded: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Section ``eval.refine`` of the configuration that the options ask for.

    Parameters
    ----------
    args : Namespace
        Parsed options of :func:`add_refine_arguments`, ``scales`` and, where the command has it, ``protocol``.
    recorded : dict, optional
        Section that they change; a protocol on the command line stands in its place.

    Returns
    -------
    dict or None
        None where nothing is to be refined.

    Raises
    ------
    ConfigError
        If there are options, but no scales, or scales and a protocol.
    """
    sizes = [size for part in args.scales or () if isinstance(part, list) for size in part]
    if protocol := getattr(args, "protocol", None):
        recorded = None
        if sizes:
            raise ConfigError(f"--protocol {protocol} with the sizes of a progression", "one of the two")
    given: dict[str, Any] = {key: getattr(args, key) for key in _KEYS if getattr(args, key) is not None}
    given |= {key: value[::-1] for key in ("crop_size", "input_size") if (value := getattr(args, key))}
    if args.refinement:
        given["weights"] = args.refinement
    if sizes:
        recorded = {**(recorded or {}), "scales": sizes, "crop_size": sizes[0], "input_size": sizes[0]}
    elif given and not recorded:
        raise ConfigError(
            f"--{next(iter(given)).replace('_', '-')} without the scales to refine",
            "--scales w-h,w-h,..., e.g. --scales 256-128,512-256,1024-512,2048-1024",
        )
    return {**recorded, **given} if recorded else None
