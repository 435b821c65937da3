"""The command: arguments to configuration, and one whole run of a real network on generated images."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mxnetseg import cli, train
from mxnetseg.engine.trainer import TrainResult
from mxnetseg.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def resolved(*words):
    return train.resolve(cli.parse(["train", *words])[1])


def test_flags_set_configuration_keys():
    config = resolved(
        "--model", "fcn", "--backbone", "resnet18", "--ctx", "0", "1", "--data", "cityscapes", "--lr", "0.5"
    )
    assert (config.model.name, config.model.backbone, config.data.name) == ("FCNResNet", "resnet18", "Cityscapes")
    assert config.optimizer.lr == 0.5
    config = resolved("--no-val", "--epochs", "3", "--batch-size", "2", "--seed", "9", "--workers", "0", "--wd", "0.1")
    assert (config.train.val_interval, config.train.epochs, config.train.batch_size) == (0, 3, 2)
    assert (config.train.seed, config.data.workers, config.optimizer.wd) == (9, 0, 0.1)


def test_command_line_wins_over_file(tmp_path):
    (tmp_path / "c.yaml").write_text("optimizer: {lr: 0.2, wd: 0.3}")
    config = resolved("--config", str(tmp_path / "c.yaml"), "--lr", "0.5", "train.ema=0.9")
    assert (config.optimizer.lr, config.optimizer.wd, config.train.ema) == (0.5, 0.3, 0.9)


@pytest.mark.parametrize(
    "words", [["--model", "fcnn"], ["lrr=1"], ["--config", "missing.yaml"], ["--ctx", "0", "--modle", "a"]]
)
def test_mistakes_are_user_errors(words):
    with pytest.raises(UserError):
        resolved(*words)


def test_every_flag_is_explained():
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    assert all(action.help for action in parser._actions)
    assert set(train._FLAGS) <= {a.dest for a in parser._actions}


def run(folder, *words):
    environment = {**os.environ, "MXNETSEG_DATA": str(folder / "data")}
    command = [sys.executable, "-W", "ignore", str(ROOT / "train.py"), *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


SMALL = (
    "data.options={train: 4, val: 2, size: [64, 128]}",
    "data.base_size=128",
    "data.crop_size=[64, 128]",
    "train.batch_size=2",
    "train.log_interval=1",
)


@pytest.mark.parametrize(("worker", "logged", "pages"), [(0, True, 1), (1, True, 0), (0, False, 0)])
def test_only_the_worker_that_keeps_the_log_writes_the_page(tmp_path, capsys, worker, logged, pages):
    """All see the same folder."""
    start = {"event": "start", "step": 0, "train_images": 4, "total_steps": 2, "contexts": ["cpu(0)"], "config": {}}
    if logged:
        (tmp_path / "log.jsonl").write_text(json.dumps(start) + "\n")
    train._write_page(TrainResult({}, None, None, tmp_path / "state", tmp_path, 2, 1.0, worker=worker))
    page = tmp_path / "report.html"
    assert capsys.readouterr().err == f"page: {page}\n" * pages
    assert page.exists() == bool(pages)
    assert not pages or "of 2; 4 images" in page.read_text()


@pytest.mark.slow
def test_real_run_is_interrupted_and_resumed(tmp_path):
    """Synthetic images, worker processes, a real network, validation: 2 epochs = 1 epoch + --resume."""
    words = ["--model", "bisenet", "--ctx", "cpu", "--epochs", "2", *SMALL]
    whole = run(tmp_path, *words)
    assert whole.returncode == 0, whole.stderr
    best = re.search(r"best mIoU .*: (\S+_best.params)", whole.stderr)
    assert (tmp_path / best[1]).exists()
    part = run(tmp_path, *words, "train.max_steps=3", "--workers", "0")
    assert part.returncode == 0, part.stderr
    state = sorted(tmp_path.rglob("*_last.state"), key=os.path.getmtime)[-1]
    resumed = run(tmp_path, "--resume", str(state), "train.max_steps=null")
    assert resumed.returncode == 0, resumed.stderr
    losses = {}
    for log in (tmp_path / "runs").glob("*/log.jsonl"):
        folder, rows = log.parent, [json.loads(line) for line in log.read_text().splitlines()]
        losses[folder.name] = [row["train/loss"] for row in rows if row["event"] == "step"]
        page = (folder / "report.html").read_text()
        assert "best validation" in page and "Training loss" in page and page.count("<img") >= 4
    first, second = losses.values()
    assert first == second
    assert len(first) == 4


def test_gpu_without_cuda_ends_with_the_remedy(tmp_path):
    done = run(tmp_path, "--model", "fcn", "--ctx", "97")
    assert done.returncode == 2
    assert "--ctx cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "weights").exists()
