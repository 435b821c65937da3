"""Names of runs, and which state a run goes on from."""

from __future__ import annotations

import datetime
import os
import subprocess
from types import SimpleNamespace

import pytest
from mxnet import nd

from mxnetseg.engine import run
from mxnetseg.engine.checkpoint import save_checkpoint
from mxnetseg.engine.run import differences, environment, find_state, intact_state, new_run, previous_state
from mxnetseg.errors import CheckpointError

from .toy import config

SECOND = datetime.datetime(2026, 5, 4, 3, 2, 1)


@pytest.fixture
def clock(monkeypatch):
    """Times that the next runs begin at."""
    times = []
    now = SimpleNamespace(now=lambda: times.pop(0))
    monkeypatch.setattr(run, "datetime", SimpleNamespace(datetime=now))
    return times


def state(path, settings=None, age=0, **meta):
    """A state of a configuration, as many seconds old."""
    meta |= {"config": settings.model_dump(mode="json")} if settings else {}
    save_checkpoint(path, {"a": nd.ones(2)}, {"kind": "state", **meta})
    moment = path.stat().st_mtime - age
    os.utime(path, (moment, moment))
    return path


def spoil(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("overrides", "prefix"),
    [
        ((), "bisenet_resnet18_synthetic"),
        (("model.backbone=resnet50",), "bisenet_resnet50_synthetic"),
        (("train.refines=a.params",), "bisenet_resnet18_synthetic_refinement"),
        (("log.name=my run/2 (ü)",), "my-run-2-ü-"),
    ],
)
def test_runs_are_named_after_what_they_train(tmp_path, clock, overrides, prefix):
    clock += [SECOND]
    paths = new_run(config(tmp_path, "model.name=bisenet", *overrides))
    assert paths.stem == f"{prefix}_20260504_030201"
    assert paths.folder == tmp_path / "runs" / paths.stem and paths.folder.is_dir()
    assert paths.weights == tmp_path / "weights" / "bisenet" and paths.weights.is_dir()


def test_runs_of_one_second_get_a_name_each(tmp_path, clock, monkeypatch):
    slept = []
    monkeypatch.setattr(run, "time", SimpleNamespace(sleep=slept.append))
    clock += [SECOND] * 3 + [SECOND + datetime.timedelta(seconds=1)]
    first, second = new_run(config(tmp_path)), new_run(config(tmp_path))
    assert (first.stem[-6:], second.stem[-6:]) == ("030201", "030202")
    assert len(slept) == 2


@pytest.mark.parametrize("kind", ["runs", "weights"])
def test_folders_that_cannot_be_made_are_named(tmp_path, kind):
    (tmp_path / kind).write_text("a file where a folder should be")
    with pytest.raises(CheckpointError, match=rf"cannot make .*{kind}"):
        new_run(config(tmp_path))


def test_good_state_is_taken_as_it_is(tmp_path):
    path = state(tmp_path / "r_last.state")
    state(previous_state(path))
    assert intact_state(path) == (path, "")


@pytest.mark.parametrize("other", [None, "damaged", "itself"])
def test_without_a_good_state_there_is_none(tmp_path, other):
    path = spoil(state(tmp_path / "r_last.state"))
    if other == "damaged":
        spoil(state(previous_state(path)))
    if other == "itself":
        path = path.rename(previous_state(path))
    with pytest.raises(CheckpointError, match=f"{'previous' if other else 'last'}.state is damaged"):
        intact_state(path)


def test_weights_of_mxnet_are_no_state(tmp_path):
    path = tmp_path / "r_last.state"
    nd.save(str(path), {"a": nd.ones(2)})
    with pytest.raises(CheckpointError, match="neither metadata nor checksum"):
        intact_state(path)


def test_auto_takes_the_newest_state_of_this_configuration(tmp_path, capsys):
    settings, folder = config(tmp_path), run.run_paths(config(tmp_path), "x").weights
    assert find_state("auto", settings) is None
    state(folder / "old_last.state", settings, age=50)
    wanted = state(folder / "wanted_last.state", settings, age=40)
    spoil(state(folder / "spoiled_last.state", settings, age=30))
    state(folder / "other_last.state", config(tmp_path, "lr=0.3"), age=20)
    state(folder / "bare_last.state", age=10)
    state(folder / "previous.state", settings)
    assert find_state("auto", settings) == wanted
    said = capsys.readouterr().err
    assert said.count("passing over") == 1 and "spoiled_last.state is damaged" in said


def test_auto_passes_a_damaged_state_by_its_previous_one(tmp_path):
    settings, folder = config(tmp_path), run.run_paths(config(tmp_path), "x").weights
    path = spoil(state(folder / "r_last.state", settings))
    state(previous_state(path), settings)
    assert find_state("auto", settings) == path


def test_run_folder_leads_to_its_state(tmp_path):
    settings, folder = config(tmp_path), tmp_path / "run"
    folder.mkdir()
    with pytest.raises(CheckpointError, match="belongs to no saved state"):
        find_state(folder, settings)
    inside = [state(folder / f"{name}_last.state", age=age) for name, age in (("older", 20), ("newer", 10))]
    assert find_state(folder, settings) == inside[1]
    (folder / "state").write_text(str(tmp_path / "elsewhere" / inside[0].name) + "\n")
    assert find_state(folder, settings) == inside[0], "moved beside the run"
    elsewhere = state(tmp_path / "elsewhere" / inside[0].name)
    assert find_state(folder, settings) == elsewhere


def test_differences_are_those_that_matter(tmp_path):
    old = config(tmp_path).model_dump(mode="json")
    new = config(tmp_path, "lr=0.3", "data.workers=7", "log.name=x", "model.options={a: 1}").model_dump()
    assert differences(old, old) == {}
    assert differences(old, new) == {
        "optimizer.lr": (0.1, 0.3),
        "model.options": ({}, None),
        "model.options.a": (None, 1),
    }
    assert differences({"a": (1, 2)}, {"a": [1, 2]}) == {}


def test_commit_is_named_where_there_is_one(tmp_path, monkeypatch):
    commit = run._commit.__wrapped__
    monkeypatch.setattr(run, "__file__", str(tmp_path / "mxnetseg" / "engine" / "run.py"))
    assert commit() == "", "no repository"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert commit() == "", "nothing committed"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    found = commit()
    assert len(found) >= 7 and int(found, 16) >= 0
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "", "no git"
    monkeypatch.setattr(run, "_commit", lambda: "")
    assert "commit" not in environment()
    monkeypatch.setattr(run, "_commit", lambda: found)
    assert environment()["commit"] == found
