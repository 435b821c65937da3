"""``mxnetseg prepare``: downloaded archives and files into the form that the data sets read."""

from __future__ import annotations

import argparse
import importlib
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, DataError, suggest
from ...registry import DATASETS, Entry

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["HELP", "STEPS", "add_arguments", "run"]

HELP = "Bring downloaded data into the form that a data set reads: unpack, convert, check."
EXAMPLES = """\
mxnetseg prepare cityscapes --source gtFine_trainvaltest.zip leftImg8bit_trainvaltest.zip --root /data/Cityscapes
mxnetseg prepare potsdam --source downloads --root /data/Potsdam tile=512 stride=256
"""

# Module of the data sets that need more than unpacking.
STEPS = {
    "CamVid": "camvid",
    "CityCoarse": "cityscapes",
    "Cityscapes": "cityscapes",
    "COCOStuff": "cocostuff",
    "MHPv1": "mhp",
    "MSCOCO": "mscoco",
    "NYUv2": "nyuv2",
    "PascalContext": "pascal_context",
    "PascalVOCAug": "pascal_voc_aug",
    "Potsdam": "isprs",
    "SBD": "sbd",
    "SiftFlow": "siftflow",
    "StanfordBackground": "stanford_background",
    "Vaihingen": "isprs",
    "WeizmannHorses": "weizmann_horses",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="data set (`mxnetseg list datasets`)")
    parser.add_argument(
        "--source",
        nargs="+",
        default=[],
        metavar="PATH",
        help="downloaded archives or folders; without it they are looked for in the data set's folder",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="folder of the data set; <datasets folder>/<its usual name> when empty"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="numbers for the conversion, e.g. tile=512 stride=256 (Potsdam)",
    )


def run(args: argparse.Namespace) -> int:
    """Prepare the data and print the sizes of the splits.

    Raises
    ------
    DataError
        If sources are missing or damaged, or the result cannot be read.
    ConfigError
        If an option is unknown.
    """
    from ...config import DataConfig
    from ...data.base import dataset_root

    entry = DATASETS.entry(args.name)
    root = dataset_root(DataConfig(name=entry.name, root=args.root))
    if not entry.load().source:
        _generate(entry, root)
    else:
        _prepare(entry, root, tuple(Path(s).expanduser() for s in args.source), args.overrides)
    return 0


def _generate(entry: Entry, root: Path) -> None:
    """Data that are generated prepare themselves; own data need nothing."""
    if entry.meta["classes"] is None:
        raise DataError(f"{entry.name} data are read as they are", remedy="describe them in data.options")
    entry.load().prepare(root)
    _report(entry, root, _open_splits(entry, root))


def _prepare(entry: Entry, root: Path, given: tuple[Path, ...], overrides: list[str]) -> None:
    from .workspace import Workspace

    steps = importlib.import_module(f".{STEPS.get(entry.name, 'unpack')}", __name__).prepare
    options = _options(steps, overrides)
    work = Workspace(entry.name, root, given, entry.load().source, options)
    splits = _open_splits(entry, root)
    if work.is_complete(_sizes(splits)):
        print(f"{entry.name} is prepared already (remove {work.manifest_path.name} to do it again)")
    else:
        work.open()
        _take(steps, work, splits)
        splits = _open_splits(entry, root)
        if not _sizes(splits):
            raise next(iter(splits.values()))
        work.close(_sizes(splits))
    _report(entry, root, splits)


def _take(steps: Callable[[Workspace], None], work: Workspace, splits: dict[str, int | DataError]) -> None:
    """Run the conversion; where there is nothing at all, the data set's own message says more."""
    try:
        steps(work, **work.options)
    except DataError as error:
        nothing = not work.given and not work.root.is_dir()
        raise (next(iter(splits.values())) if nothing else error) from error


def _options(steps: Callable[[Workspace], None], overrides: list[str]) -> dict[str, int]:
    known = [name for name in inspect.signature(steps).parameters if name != "work"]
    options = {}
    for word in overrides:
        key, _, value = word.partition("=")
        if key not in known:
            raise ConfigError(f"unknown option {word!r}", ", ".join(known) or "no options", suggest(key, known))
        if not value.isdecimal():
            raise ConfigError(f"{word!r} is no number", f"{key}=NUMBER")
        options[key] = int(value)
    return options


def _open_splits(entry: Entry, root: Path) -> dict[str, int | DataError]:
    """Number of images of every split, or why it cannot be read."""
    splits: dict[str, int | DataError] = {}
    for split in entry.meta["splits"]:
        try:
            with warnings.catch_warnings(action="ignore"):
                data: Any = entry.load()(root, split)
            data.read(0)
            splits[split] = len(data)
        except DataError as error:
            splits[split] = error
    return splits


def _sizes(splits: dict[str, int | DataError]) -> dict[str, int]:
    return {split: count for split, count in splits.items() if isinstance(count, int)}


def _report(entry: Entry, root: Path, splits: dict[str, int | DataError]) -> None:
    print(f"{entry.name} in {root}:")
    for split, count in splits.items():
        official = entry.meta["splits"][split]
        if isinstance(count, DataError):
            print(f"  {split:12} cannot be read: {count.found}")
        else:
            differs = official not in (None, count)
            print(f"  {split:12} {count:6} images" + (f", the official split has {official}" if differs else ""))
