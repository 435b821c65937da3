"""docs/costs.md: published parameters and operations against ours, recomputed."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from pathlib import Path

import mxnet as mx
import pytest

from mxnetseg import cli
from mxnetseg.tools.benchmark import jobs
from mxnetseg.tools.cost import network_cost
from mxnetseg.tools.targets import open_target

PAGE = Path(__file__).resolve().parents[2] / "docs" / "costs.md"
# Words, figure, convention, published, ours, difference, remark.
ROW = re.compile(r"\| `(.+?)` \| (parameters|operations), (\w+) \| ([\d.]+) [MG] \| (.+?) \| (.+?) \|(.*)\|")
ROWS = [match.groups() for match in map(ROW.fullmatch, PAGE.read_text().splitlines()) if match]
QUICK = ("mlmsv2 --classes 2", "mlmsnet --aux", "bisenet")


@lru_cache(maxsize=1)
def network(target, settings):
    return open_target(target, mx.cpu(), settings)[0]


def count(words: str, figure: str, convention: str) -> float:
    """Our figure, in M or G."""
    (job,) = jobs(cli.parse(["benchmark", *shlex.split(words)])[1])
    cost = network_cost(network(job.target, job.settings), *job.shape[2:], job.settings.aux)
    found = cost.as_dict()["conventions"][convention][figure]
    return found / 1e6 if figure == "parameters" else found


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=" ".join(r[:3]), marks=[] if r[0].startswith(QUICK) else pytest.mark.slow) for r in ROWS]
)
def test_row(row):
    """What the page says of ours is true; a difference beyond the published digits has a remark."""
    words, figure, convention, published, *written, remark = row
    ours = count(words, figure, convention)
    shown = f"{ours:.6f} M" if figure == "parameters" else f"{ours:.4f} G"
    assert written == [shown, f"{round(100 * (ours / float(published) - 1), 3) + 0.0:+.3f} %"]
    digits = len(published.partition(".")[2])
    assert (f"{ours:.{digits}f}" == published) == (not remark.strip())


def test_page_has_all_systems():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(ROWS) == sum(not line.startswith("| `mxnetseg benchmark`") for line in lines)
    assert {"bisenet", "mlmsv2", "mfaranet", "mlcrnet"} <= {re.match(r"\w+", row[0])[0] for row in ROWS}
