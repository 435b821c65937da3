"""Sweeps: wandb's own file, search and command, run on this machine."""

from __future__ import annotations

import functools
import json
import sys

import pytest
import yaml

from mxnetseg import cli
from mxnetseg.catalog import CONFIGS
from mxnetseg.config import load_config
from mxnetseg.sweep import Sweep, read_sweep

SHIPPED = sorted((CONFIGS / "sweeps").glob("*.yaml"))
# Stands for a training: its score is best at 0.03, and it writes what a training writes.
TRIAL = """
import json, pathlib, sys
words = dict(word.split("=", 1) for word in sys.argv[1:])
folder = pathlib.Path(words["train.runs_dir"], "run")
folder.mkdir(parents=True)
lr = float(words["optimizer.lr"])
for score in (0.1, 1 - abs(lr - 0.03)):
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({"event": "val", "val/mIoU": score, "words": words}) + chr(10))
sys.exit(int(words.get("exit", 0)))
"""


@pytest.fixture
def sweep(tmp_path, capsys):
    """Run a sweep over such trials."""
    (tmp_path / "trial.py").write_text(TRIAL)

    def start(*words, out="out", **settings):
        values = {
            "method": "grid",
            "metric": {"name": "val/mIoU", "goal": "maximize"},
            "parameters": {"optimizer.lr": {"values": [0.1, 0.03, 0.5]}},
            "command": ["${interpreter}", str(tmp_path / "trial.py"), "${args_no_hyphens}"],
        }
        (tmp_path / "s.yaml").write_text(yaml.safe_dump({**values, **settings}))
        code = cli.main(["sweep", str(tmp_path / "s.yaml"), "--out", str(tmp_path / out), *words])
        return code, capsys.readouterr()

    return start


def test_grid_is_run_whole_and_the_best_is_told(sweep, tmp_path):
    code, printed = sweep("--json", "model.name=fcn")
    record = json.loads(printed.out)
    assert code == 0
    assert [trial["parameters"]["optimizer.lr"] for trial in record["trials"]] == [0.1, 0.03, 0.5]
    assert [round(trial["value"], 2) for trial in record["trials"]] == [0.93, 1.0, 0.53]
    assert record["best"] == "trial-002"
    assert record == json.loads((tmp_path / "out" / "sweep.json").read_text())
    words = json.loads((tmp_path / "out/trial-001/run/log.jsonl").read_text().splitlines()[0])["words"]
    assert words["model.name"] == "fcn"
    assert words["log.group"] == record["group"]


RANGE = {"optimizer.lr": {"distribution": "uniform", "min": 0.0, "max": 0.1}}


@pytest.mark.filterwarnings("ignore:The optimal value found")
@pytest.mark.parametrize("method", ["random", "bayes"])
def test_search_depends_on_the_seed_alone(sweep, method):
    chosen = []
    for out, seed in enumerate(("1", "1", "2")):
        words = ("--count", "3", "--seed", seed, "--json")
        code, printed = sweep(*words, out=str(out), method=method, parameters=RANGE)
        assert code == 0
        chosen.append([trial["parameters"]["optimizer.lr"] for trial in json.loads(printed.out)["trials"]])
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(0 <= lr <= 0.1 for lr in chosen[0])
    assert len(set(chosen[0])) == 3


def test_failed_trials_are_told_and_the_others_go_on(sweep):
    code, printed = sweep(parameters={"optimizer.lr": {"value": 0.1}, "exit": {"values": [1, 0]}})
    assert code == 1
    assert [line.split()[-1] for line in printed.out.splitlines()[1:3]] == ["failed", "finished"]


def test_another_sweep_is_not_written_over(sweep):
    assert sweep()[0] == 0
    code, printed = sweep()
    assert code == 2
    assert "holds another sweep" in printed.err


def test_wrong_use_ends_the_sweep(sweep):
    code, printed = sweep("--json", "exit=2")
    assert code == 2
    assert len(json.loads(printed.out)["trials"]) == 1


def test_interrupted_trial_ends_the_sweep(sweep):
    code, printed = sweep("--json", "exit=130")
    assert code == 130
    assert [trial["state"] for trial in json.loads(printed.out)["trials"]] == ["killed"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweep_sets_keys_of_the_configuration(path, tmp_path):
    settings = read_sweep(path)
    trial = Sweep(settings, tmp_path, "group", ["train.epochs=1"])
    parameters = {
        key: (entry.get("values") or [entry.get("value", entry.get("min"))])[0]
        for key, entry in settings["parameters"].items()
    }
    words = trial.command("trial-001", parameters)
    assert words[:4] == ["/usr/bin/env", sys.executable, "-m", "mxnetseg"]
    _, args = cli.parse(words[4:])
    config = load_config(args.config, args.overrides)
    for key, value in parameters.items():
        assert functools.reduce(getattr, key.split("."), config) == value
    assert (config.log.group, config.train.epochs) == ("group", 1)
