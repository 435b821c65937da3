"""The command ``mxnetseg report``: the page of a run, or several runs compared."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import ConfigError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "the page of a run, or several runs compared"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "examples:\n  mxnetseg report runs/NAME\n  mxnetseg report runs/* --out comparison.html"
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="folders of trainings (runs/NAME) or evaluations (predictions/...)")
    add("--out", metavar="FILE", help="the page (report.html in the folder of one run, else comparison.html)")
    add("--json", action="store_true", help="print JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    """Write the page and print the results."""
    from .records import read_run
    from .report import write_report
    from .run_comparison import MOST, SUMMARY, comparison_page, differing_settings, summary_rows
    from .run_page import PAGE, run_page

    folders = list(dict.fromkeys(args.runs))
    if len(folders) > MOST:
        raise ConfigError(f"{len(folders)} runs", f"at most {MOST}, whose curves can be told apart")
    records = [read_run(folder) for folder in folders]
    alone = len(records) == 1
    target = Path(args.out or (records[0].folder / PAGE if alone else "comparison.html"))
    page = write_report(target, run_page(records[0]) if alone else comparison_page(records))
    settings = {} if alone else differing_settings(records)
    if args.json:
        results = [{"run": str(r.folder), "kind": r.kind, "metrics": r.metrics} for r in records]
        print(json.dumps({"page": str(page), "runs": results, "differing": settings}))
        return 0
    from .listing import format_table

    shown = SUMMARY[alone:]
    rows = [dict(zip(shown, row[alone:], strict=True)) for row in summary_rows(records)]
    print(format_table(rows, {name: name for name in shown}))
    for key, values in settings.items():
        print(f"{key}: {', '.join(json.dumps(value) for value in values)}")
    print(f"page: {page}")
    return 0
