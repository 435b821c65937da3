"""``mxnetseg fetch``: download ready weights by name."""

from __future__ import annotations

import argparse
import json

__all__ = ["HELP", "add_arguments", "run"]

HELP = "Download ready weights by name, verify them, and say where they are."
EXAMPLES = """\
mxnetseg list weights
mxnetseg fetch camvid-edanet
mxnetseg fetch our-crops --manifest our_weights.yaml --weights weights
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="`mxnetseg list weights` lists them")
    parser.add_argument("--weights", default="weights", metavar="DIR", help="folder to write to (%(default)s)")
    parser.add_argument(
        "--manifest", metavar="FILE", help="your own list: name: {sha256: ..., megabytes: ..., summary: ..., url: ...}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Fetch and print the path."""
    from ..ready import fetch

    path = fetch(args.name, args.weights, args.manifest)
    print(json.dumps({"name": args.name, "path": str(path)}) if args.json else path)
    return 0
