"""The quickstart runs from data to page, and again."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from mxnetseg import cli, quickstart, quickstart_refine
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
    (page,) = finished.glob("runs/*/report.html")
    assert page.read_text().count("<img") == 2 * 4
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
    for _, commands in quickstart._steps(Path("quickstart/weights/swiftnet/best.params")):
        for line in commands.splitlines():
            if line.startswith("mxnetseg "):
                cli.parse(line.split()[1:])
            else:
                assert Path(line).is_relative_to(CONFIGS)
                load_config(line)


@pytest.fixture(scope="module")
def refined(finished):
    """``--refine`` with the network that is there, on scenes of a few hundred pixels."""
    printed, sizes = (
        io.StringIO(),
        "{scales: [[16, 32], [32, 64], [64, 128]], crop_size: [16, 32], input_size: [16, 32]}",
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        for name in ("ZOOMED", "REFINED"):
            path = finished / f"{name.lower()}.yaml"
            text = [
                f"_base_: {getattr(quickstart_refine, name)}",
                "data:",
                "  options: {train: 4, val: 2, size: [64, 128]}",
            ]
            text += ["  crop_size: [16, 32]", "train: {batch_size: 2}"]
            text += [f"eval: {{refine: {sizes}}}"] if name == "REFINED" else ["eval: {base_size: 32}"]
            path.write_text("\n".join(text))
            patch.setattr(quickstart_refine, name, path)
        patch.setattr(quickstart_refine, "FAST", ("train.max_steps=2",))
        patch.setattr(quickstart_refine, "PICTURE", (32, 64))
        assert cli.main(["quickstart", "--refine", "--fast", "--out", str(finished)]) == 0
    return finished / "refine", printed.getvalue()


def test_refinement_takes_the_network_that_is_there(refined, finished):
    _, printed = refined
    network = re.search(r"network: the quickstart's (\S+_best\.params)", printed)[1]
    assert Path(network).parent.parent == finished / "weights"


def test_refinement_is_compared_and_shown(refined):
    out, printed = refined
    records = json.loads((out / "scores.json").read_text())
    assert [r["name"] for r in records][-1] == "refined" and len(records) == 4
    scores = [100 * r["mIoU"] for r in records]
    last = printed.splitlines()[-1]
    match = re.fullmatch(r"quickstart --refine: mIoU=(.+)->(.+) boundary=\S+ seconds=\d+ page=(.+)", last)
    assert [float(match[1]), float(match[2])] == [pytest.approx(scores[i], abs=0.051) for i in (1, 3)]
    text = Path(match[3]).read_text()
    assert text.count("<img") == 2 * 2 * 5 and "Training loss" in text
    assert (out / "examples.png").is_file()
