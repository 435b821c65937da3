"""Pages of runs are made from their files: trainings, evaluations, comparisons; looked at in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mxnetseg import cli
from mxnetseg.engine.examples import ExampleKeeper
from mxnetseg.errors import DataError
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.tools.records import read_run
from mxnetseg.tools.run_comparison import comparison_page, differing_settings
from mxnetseg.tools.run_page import run_page, write_run_page

CLASSES = ["road", "side <walk>", "sky"]
PALETTE = np.array([[128, 64, 128], [244, 35, 232], [70, 130, 180]], np.uint8)
CONTRAST = (Path(__file__).resolve().parents[1] / "contrast.js").read_text()


def counts(right):
    """Confusion matrix in which a share of the pixels of every class is right."""
    matrix = ConfusionMatrix(3)
    matrix.counts += np.eye(3, dtype=np.int64) * round(1000 * right) + round(500 * (1 - right))
    return matrix


def write_examples(folder):
    keeper = ExampleKeeper(CLASSES, PALETTE, 1)
    for i in range(3):
        label = np.arange(3, dtype=np.int32).repeat(20)[None].repeat(30, 0)
        prediction = np.roll(label, 5 * i, axis=1)
        keeper(SimpleNamespace(name=f"street_{i}", image=PALETTE[label], label=label), prediction)
    keeper.write(folder / "examples")


def write_training(folder, lr=0.1, scores=(0.5, 0.8, 0.7)):
    """Log of three epochs, of which the second was the best."""
    folder.mkdir(parents=True)
    config = {"model": {"name": "ENet"}, "data": {"name": "Own", "root": str(folder)}, "optimizer": {"lr": lr}}
    environment = {"mxnet": "1.9.1", "threads": "2"}
    start = {"event": "start", "step": 0, "train_images": 40, "total_steps": 6, "contexts": ["cpu(0)"]}
    rows = [start | {"config": config, "environment": environment}]
    for epoch, score in enumerate(scores, 1):
        for step in (2 * epoch - 1, 2 * epoch):
            numbers = {"train/loss": 2 / step, "train/lr": lr / step, "train/img_per_s": 5 + step % 2}
            rows.append({"event": "step", "step": step, "epoch": step / 2, "train/data_wait": 0.25} | numbers)
        matrix = counts(score)
        metrics = {f"val/{key}": value for key, value in matrix.summary().items()}
        facts = {"best": score == max(scores[:epoch]), "images": 10, "val/seconds": 2.0}
        detail = {"per_class": matrix.per_class(CLASSES), "confusion": matrix.counts.tolist()}
        rows.append({"event": "val", "step": 2 * epoch, "epoch": epoch} | metrics | facts | detail)
    rows.append({"event": "end", "step": 6, "seconds": 90.0, "interrupted": None})
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_examples(folder)
    return folder


def write_evaluation(folder, mode="val"):
    folder.mkdir(parents=True)
    matrix = counts(0.6)
    record = {"mode": mode, "data": "Own", "split": mode, "checkpoint": "enet_best.params", "protocol": "whole image"}
    record |= {"images": 10, "seconds": 4.0, "eval": {"flip": False}, "config": {"model": {"name": "ENet"}}}
    record |= {"environment": {"mxnet": "1.9.1"}, **(matrix if mode == "val" else ConfusionMatrix(3)).as_dict(CLASSES)}
    (folder / f"{mode}.json").write_text(json.dumps(record))
    write_examples(folder)
    return folder


def test_the_best_validation_of_a_training_is_shown(tmp_path):
    record = read_run(write_training(tmp_path / "run"))
    assert record.metrics["mIoU"] == pytest.approx(counts(0.8).miou)
    page = run_page(record)
    facts = {fact.label: (fact.value, fact.remark) for fact in page.facts}
    assert facts["mIoU"] == (f"{100 * counts(0.8).miou:.2f} %", "best validation, epoch 2")
    assert facts["Updates"] == ("6", "of 6; 40 images")
    assert facts["Time"] == ("90.0 s", "cpu(0)")
    assert facts["Speed"][0] == "5.5"
    assert dict(page.timings)["Waiting for data"] == "25.0 % of the time"
    assert dict(page.timings)["Validation"] == "2.0 s, 200 ms per image, reading included"
    assert [caption.split(",")[0] for caption in page.captions] == ["worst: street_2", "best: street_0"]
    assert "lr: 0.1" in page.config
    assert ("mxnet", "1.9.1") in page.environment


def test_what_a_resumed_run_did_again_is_counted_once(tmp_path):
    log = write_training(tmp_path / "run") / "log.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    again = [rows[0] | {"step": 4}, *(row for row in rows[1:] if row["step"] > 4)]
    log.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:-1], *again]) + '{"event": "step", "st')
    record = read_run(tmp_path / "run")
    assert [row["step"] for row in record.rows if row["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert record.metrics["mIoU"] == pytest.approx(counts(0.8).miou)


def test_a_run_that_broke_off_says_so(tmp_path):
    log = write_training(tmp_path / "run") / "log.jsonl"
    log.write_text("\n".join(log.read_text().splitlines()[:3]))
    page = run_page(read_run(tmp_path / "run"))
    assert "Ended early: no end in the log" in page.lead
    assert page.table == []


@pytest.mark.parametrize("mode", ["val", "test"])
def test_an_evaluation_has_a_page(tmp_path, mode):
    page = run_page(read_run(write_evaluation(tmp_path / "ev", mode)))
    facts = {fact.label: fact.value for fact in page.facts}
    assert facts["Images"] == "10"
    assert facts["Speed"] == "2.5"
    assert ("mIoU" in facts) == (mode == "val")
    assert (page.confusion is None) == (mode == "test")


@pytest.mark.parametrize(("name", "content"), [(None, ""), ("log.jsonl", ""), ("val.json", "[]"), ("val.json", "{")])
def test_folders_without_a_run_are_refused(tmp_path, name, content):
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError):
        read_run(tmp_path)


def test_comparison_shows_results_and_what_differs(tmp_path):
    runs = [write_training(tmp_path / "a"), write_training(tmp_path / "b", 0.2, (0.4, 0.9, 0.2))]
    records = [read_run(run) for run in runs]
    assert differing_settings(records) == {"optimizer.lr": [0.1, 0.2]}
    page = comparison_page(records)
    tables = {title: rows for title, _, rows in page.tables}
    assert [row[:2] for row in tables["Results"]] == [("A", "a"), ("B", "b")]
    classes = next(rows for title, rows in tables.items() if title.startswith("IoU per class"))
    assert [row[0] for row in classes] == CLASSES
    assert all(row[2].endswith(" *") and not row[1].endswith("*") for row in classes)
    assert set(page.curves[0][1]) == {"A", "B"}


def test_command_writes_the_page_of_a_run_and_compares_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [str(write_training(tmp_path / "a")), str(write_evaluation(tmp_path / "ev"))]
    assert cli.main(["report", runs[0]]) == 0
    assert (tmp_path / "a" / "report.html").is_file()
    assert cli.main(["report", *runs, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [run["kind"] for run in printed["runs"]] == ["training", "evaluation"]
    assert Path(printed["page"]).is_file()
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


@pytest.mark.slow
def test_pages_in_a_browser(chromium, tmp_path):
    """No complaint, every picture there, texts readable in light, dark and on paper, and nothing but the file."""
    runs = [write_training(tmp_path / "a"), write_training(tmp_path / "b", 0.2, (0.4, 0.9, 0.2))]
    pages = [write_run_page(folder) for folder in (*runs[:1], write_evaluation(tmp_path / "ev"))]
    assert cli.main(["report", *map(str, runs), "--out", str(tmp_path / "comparison.html")]) == 0
    complaints, requests = [], []
    tab = chromium.new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    for path, pictures in ((pages[0], 8), (pages[1], 8), (tmp_path / "comparison.html", 0)):
        for scheme, medium, width in (("light", "screen", 1200), ("dark", "screen", 400), ("dark", "print", 700)):
            tab.set_viewport_size({"width": width, "height": 900})
            tab.emulate_media(color_scheme=scheme, media=medium)
            tab.goto(path.as_uri())
            assert tab.evaluate(CONTRAST) == []
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            loaded = tab.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth > 0)")
            assert loaded == [True] * pictures
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.pdf(format="A4").startswith(b"%PDF")
    tab.close()
    assert complaints == []
    assert all(url.startswith(("file://", "data:")) for url in requests)
