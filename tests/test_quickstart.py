"""The quickstart runs from data to page, and again."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from mxnetseg import cli, quickstart
from mxnetseg.catalog import CONFIGS
from mxnetseg.config import load_config

TINY = [
    "data.options={train: 4, val: 2, size: [64, 96]}",
    "data.crop_size=[64, 64]",
    "data.workers=0",
    "model.options={capacity: 8}",
    "train.batch_size=2",
    "train.max_steps=2",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out, printed = tmp_path_factory.mktemp("quickstart"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.main(["quickstart", "--fast", "--out", str(out), *TINY]) == 0
    (out / "printed.txt").write_text(printed.getvalue())
    return out


def test_page_shows_pictures_and_curves(finished):
    text = (finished / "report.html").read_text()
    assert text.count("<img") == 2 * 4
    assert "Training loss" in text
    assert "Score on the validation images" in text


def test_everything_is_written(finished):
    assert len(list(finished.glob("predictions/**/*_color.png"))) == 2
    assert len(list(finished.glob("predictions/**/*_overlay.png"))) == 2
    assert len(list(finished.glob("export/*-symbol.json"))) == 1
    assert (finished / "examples.png").is_file()
    assert json.loads((finished / "eval.json").read_text())["images"] == 2


def test_last_line_tells_score_time_and_page(finished):
    last = (finished / "printed.txt").read_text().splitlines()[-1]
    match = re.fullmatch(r"quickstart: mIoU=\d\.\d\d seconds=\d+ page=(.+)", last)
    assert Path(match[1]) == finished / "report.html"


@pytest.mark.slow
def test_second_run_keeps_the_data_and_the_first_run(finished):
    data = {path: path.stat().st_mtime_ns for path in finished.glob("data-fast/**/*.png")}
    assert cli.main(["quickstart", "--fast", "--out", str(finished), *TINY]) == 0
    assert data == {path: path.stat().st_mtime_ns for path in finished.glob("data-fast/**/*.png")}
    assert len(list(finished.glob("runs/*"))) == 2


def test_next_steps_of_the_page_are_understood():
    for _, commands in quickstart._steps(Path("best.params")):
        for line in commands.splitlines():
            if line.startswith("mxnetseg "):
                cli.parse(line.split()[1:])
            else:
                assert Path(line).is_relative_to(CONFIGS)
                load_config(line)
