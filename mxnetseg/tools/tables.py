"""The tables of models and data sets, written from the registry, and those of trainings and speed, from records.

``python -m mxnetseg.tools.tables`` writes them between their markers, and the pictures of the records; with
``--check`` it only says whether the tables are up to date. Parameters and multiply-accumulates come from the networks'
symbols: no weights are made.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..registry import DATASETS, MODELS, Entry
from . import realtime, scaling
from .listing import config_rows, markdown_table
from .training import training_table

__all__ = [
    "dataset_table",
    "figures",
    "main",
    "model_table",
    "name_list",
    "pages",
    "pictures",
    "splice",
    "written_costs",
]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CLASSES, SIZE = 19, (512, 1024)
_MARKERS = "<!-- {0}: written by `make tables` -->\n", "<!-- end of {0} -->\n"


def figures(entry: Entry) -> tuple[str, str]:
    """Parameters and multiply-accumulates of a model on its default backbone, as the table shows them.

    19 classes, auxiliary heads left out, one image of 512x1024 (or the next multiple that the model accepts).
    """
    constructor = entry.load()
    options = {"aux": False} if "aux" in inspect.signature(constructor).parameters else {}
    network = constructor(CLASSES, **options)
    height, width = (-(-side // network.divisor) * network.divisor for side in SIZE)
    return f"{network.parameter_count() / 1e6:.2f} M", f"{network.macs(height, width) / 1e9:.1f} G"


def _published() -> dict[str, str]:
    """Best published single-scale mIoU of each model's configurations, per data set."""
    best: dict[str, dict[str, float]] = {}
    for row in config_rows():
        if row["mIoU"]:
            scores = best.setdefault(row["model"], {})
            scores[row["data"]] = max(row["mIoU"], scores.get(row["data"], 0))
    return {model: ", ".join(f"{data} {score}" for data, score in scores.items()) for model, scores in best.items()}


def _equalities() -> dict[str, str]:
    """What is proven of every model, by its name."""
    oracles = [*json.loads((DOCS / "oracles.json").read_text(encoding="utf-8")).values()]
    return {name: _equality(name, oracles) for name in MODELS.names()}


def _equality(model: str, oracles: list[dict[str, Any]]) -> str:
    """How many reference cases a model meets, and its largest relative error in plain and in strong-signal cases."""
    own = [oracle for oracle in oracles if oracle["model"] == model]
    if not own:
        return "no reference"
    cases, equal = (sum(oracle[key] for oracle in own) for key in ("cases", "equal"))
    worst, strong = (max(oracle[key] for oracle in own) for key in ("worst", "worst_strong"))
    count = f"{cases}" if cases == equal else f"{equal} of {cases}"
    errors = " / ".join(f"{error:.0e}" if error else "-" for error in (worst, strong))
    return f"{count} case{'s' if cases > 1 else ''}, {errors}"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def model_table(costs: dict[str, tuple[str, str]]) -> str:
    """Markdown table of all models.

    Parameters
    ----------
    costs : dict
        :func:`figures` by model name.
    """
    published, equalities, rows = _published(), _equalities(), []
    for entry in MODELS.entries():
        backbones = _backbones(entry)
        row = [f"`{entry.name}`", _code(entry.aliases), backbones, *costs[entry.name], published.get(entry.name, "")]
        rows.append([*row, equalities[entry.name], entry.meta["paper"]])
    titles = {"model": ":--", "short names": ":--", "backbones (default)": ":--", "parameters": "--:", "MACs": "--:"}
    return markdown_table(titles | {"published mIoU": ":--", "equal to the original": ":--", "paper": ":--"}, rows)


def _backbones(entry: Entry) -> str:
    """Backbones of a model and, in brackets, its default one."""
    default = entry.meta.get("default_backbone")
    return f"{_code(entry.meta['backbones'])} (`{default}`)" if default else "none"


def dataset_table() -> str:
    """Markdown table of all data sets."""
    rows = []
    for entry in DATASETS.entries():
        splits = ", ".join(f"{k} {v}" if v else k for k, v in entry.meta["splits"].items())
        classes, home = entry.meta["classes"], entry.meta.get("homepage", "")
        name = f"[`{entry.name}`]({home})" if home else f"`{entry.name}`"
        rows.append([name, _code(entry.aliases), str(classes or "yours"), splits or "yours"])
        rows[-1].append(entry.summary.replace("``", "`"))
    return markdown_table({"data set": ":--", "short names": ":--", "classes": "--:", "images": ":--", "": ":--"}, rows)


def name_list() -> str:
    """Names of all models and data sets, as two Markdown paragraphs."""
    parts = {"networks": MODELS.names(), "data sets": DATASETS.names()}
    return "\n\n".join(f"{len(names)} {kind}: {', '.join(names)}." for kind, names in parts.items()) + "\n"


def _block(text: str, name: str) -> re.Match[str]:
    begin, end = (re.escape(marker.format(name)) for marker in _MARKERS)
    found = re.search(f"(?<={begin})(.*?)(?={end})", text, re.S)
    if found is None:
        raise ValueError(f"no markers of {name!r} in the text")
    return found


def splice(text: str, name: str, table: str) -> str:
    """Put a table between the markers of its name.

    Raises
    ------
    ValueError
        If the text has no such markers.
    """
    found = _block(text, name)
    return text[: found.start()] + table + text[found.end() :]


def written_costs(text: str) -> dict[str, tuple[str, str]]:
    """Parameters and multiply-accumulates that the table in `text` has."""
    rows = [[cell.strip() for cell in line.split(" | ")] for line in _block(text, "models")[1].splitlines()[2:]]
    return {row[0].strip("|` "): (row[3], row[4]) for row in rows}


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the tables, draw the pictures; 1 if the tables are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(argv)
    stale = [path for path, write in pages().items() if _refresh(path, write, args.check)]
    for path in stale:
        print(f"{path.name}: " + ("tables are out of date, run `make tables`" if args.check else "tables written"))
    if not args.check:
        for path, content in pictures().items():
            path.write_bytes(content)
    return int(args.check and bool(stale))


def pages() -> dict[Path, Callable[[str], str]]:
    """Every file with a table, and what writes its text anew."""
    return {
        ROOT / "README.md": lambda text: splice(text, "names", name_list()),
        DOCS / "models.md": lambda text: splice(text, "models", model_table(_costs())),
        DOCS / "datasets.md": lambda text: splice(text, "data sets", dataset_table()),
        DOCS / "training.md": lambda text: splice(text, "trainings", training_table(DOCS / "training.json")),
        DOCS / "realtime.md": lambda text: splice(
            text, "realtime", realtime.realtime_table(realtime.RECORDS, _equalities())
        ),
        DOCS / "scaling.md": lambda text: splice(text, "scaling", scaling.scaling_tables(scaling.RECORDS)),
    }


def pictures() -> dict[Path, bytes]:
    """Content of every picture of records."""
    drawn = {"realtime.png": realtime, "scaling.png": scaling}
    return {DOCS / name: tool.picture(json.loads(tool.RECORDS.read_text("utf-8"))) for name, tool in drawn.items()}


def _costs() -> dict[str, tuple[str, str]]:
    return {entry.name: figures(entry) for entry in MODELS.entries()}


def _refresh(path: Path, write: Callable[[str], str], check: bool) -> bool:
    """Write a file's tables anew, unless `check`; whether they were out of date."""
    text = path.read_text(encoding="utf-8")
    fresh = write(text)
    if fresh != text and not check:
        path.write_text(fresh, encoding="utf-8")
    return fresh != text


if __name__ == "__main__":
    sys.exit(main())
