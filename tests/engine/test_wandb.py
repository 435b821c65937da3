"""What wandb itself writes of a training without network or login, read back from its files."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from .toy import trainer
from .wandb_files import OfflineRun

SETTINGS = (
    "log.wandb=toys",
    "log.group=pairs",
    "log.tags=[a, b]",
    "log.images=1",
    "train.val_interval=1",
    "train.log_interval=3",
)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Runs: a training that stops after 4 of its 10 updates, and its resumption; with the rows of log.jsonl."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SWEEP_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", "/nonexistent")
        part = trainer(folder, *SETTINGS, "train.max_steps=4").fit()
        whole = trainer(folder, *SETTINGS, resume=part.state_path).fit()
    paths = sorted(Path(part.run_dir).rglob("*.wandb"), key=lambda path: path.stat().st_mtime)
    lines = map(json.loads, (whole.run_dir / "log.jsonl").read_text().splitlines())
    return [OfflineRun(path) for path in paths], list(lines), whole


def test_run_is_described(offline):
    first = offline[0][0]
    run = first.run
    assert (run.project, run.run_group, run.job_type, list(run.tags)) == ("toys", "pairs", "train", ["a", "b"])
    assert run.display_name == offline[2].run_dir.name == first.config["run"]
    assert first.exit_code == 0


def test_resumption_continues_the_run(offline):
    (first, second), _, _ = offline
    assert first.run.run_id == second.run.run_id
    assert second.column("step") == sorted(second.column("step"))
    assert max(first.column("step")) == 4
    assert [row["step"] for row in second.rows if "train/loss" in row] == list(range(5, 11))


def test_configuration_and_environment(offline):
    for run in offline[0]:
        assert run.config["optimizer"]["lr"] == 0.1
        assert run.config["log"]["tags"] == ["a", "b"]
        assert run.config["environment"].keys() >= {"mxnet", "numpy", "python", "threads"}


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ("step", "train/loss"),
        ("step", "train/lr"),
        ("step", "train/img_per_s"),
        ("step", "train/data_wait"),
        ("epoch", "train/loss_epoch"),
        ("val", "val/PA"),
        ("val", "val/mIoU"),
        ("val", "val/mAcc"),
    ],
)
def test_history_is_that_of_the_run_folder(offline, event, key):
    runs, lines, _ = offline
    kept = [row[key] for row in lines if row["event"] == event]
    assert kept
    assert [value for run in runs for value in run.column(key)] == kept


def test_curves_run_over_steps_and_epochs(offline):
    metrics = offline[0][0].metrics
    assert (metrics["train/*"].step_metric or "step") == "step"
    assert metrics["val/mIoU"].summary.max


def test_summary_holds_the_best_scores(offline):
    runs, _, whole = offline
    assert runs[-1].summary["best/mIoU"] == whole.best_metrics["mIoU"]
    assert runs[-1].summary["step"] == 10


def test_pictures_have_masks_with_names(offline):
    run = offline[0][-1]
    (shown,) = run.column("val/pictures")[-1]["filenames"]
    assert Image.open(run.files / shown).size == (16, 16)
    masks = run.column("val/pictures")[-1]["all_masks"][0]
    assert masks.keys() == {"prediction", "ground_truth"}
    labels = {name: set(np.unique(Image.open(run.files / mask["path"]))) - {255} for name, mask in masks.items()}
    assert labels["prediction"] | labels["ground_truth"] <= {0, 1, 2}
    assert Image.open(run.files / run.column("val/confusion")[-1]["path"]).size[0] > 100


def test_table_has_a_row_per_class(offline):
    run = offline[0][-1]
    table = json.loads((run.files / run.column("val/per_class")[-1]["path"]).read_text())
    assert [row[0] for row in table["data"]] == ["sky", "road", "car"]
    assert table["columns"][0] == "class"


def test_described_workspace_shows_what_is_logged(offline):
    text = (Path(__file__).resolve().parents[2] / "docs" / "wandb.md").read_text()
    sections = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", text, re.M | re.S)[1])["sections"]
    run = offline[0][-1]
    logged = {key for row in run.rows for key in row}
    for panel in (panel for panels in sections.values() for panel in panels):
        named = [name for field in ("y", "keys", "columns") for name in panel.get(field, [])]
        assert named
        for name in [*named, *filter(None, (panel.get("x"), panel.get("group")))]:
            if name.startswith("config."):
                functools.reduce(dict.__getitem__, name.split(".")[1:], run.config)
            else:
                assert name in logged
