"""Several processes train as one: scheduler, server and workers on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mxnetseg import cli, cluster, launch
from mxnetseg.engine.checkpoint import load_checkpoint
from mxnetseg.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "tests/engine/toy_worker.py"
SETTINGS = ("batch_size=4", "epochs=5", "momentum=0.9", "train.val_interval=5", "train.ema=0.9", "train.log_interval=3")


def command(folder, workers, *overrides):
    words = ["launch", "-n", str(workers), "--", str(WORKER), str(folder), *SETTINGS, *overrides]
    return [sys.executable, "-W", "ignore", "-m", "mxnetseg", *words]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def train(folder, workers, *overrides, **more):
    run = command(folder, workers, *overrides)
    return subprocess.run(run, env=environment(**more), capture_output=True, text=True, timeout=300, check=False)


def alone(folder, *overrides, **more):
    run = [sys.executable, "-W", "ignore", str(WORKER), str(folder), *SETTINGS, *overrides]
    subprocess.run(run, env=environment(**more), capture_output=True, timeout=300, check=True)
    return arrays(folder, 0, 1)


def arrays(folder, rank, size):
    with np.load(folder / f"worker{rank}of{size}.npz") as file:
        return dict(file)


def rows(folder, event):
    log = next(folder.glob("runs/*/log.jsonl"))
    return [row for row in map(json.loads, log.read_text().splitlines()) if row["event"] == event]


def test_two_workers_equal_one_process_with_the_whole_batch(tmp_path):
    done = train(tmp_path / "two", 2)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("waiting for 2 workers and 1 servers") == 1
    one = alone(tmp_path / "one")
    first, second = (arrays(tmp_path / "two", rank, 2) for rank in (0, 1))
    assert first.keys() == one.keys()
    for name, value in one.items():
        np.testing.assert_allclose(first[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    logged = [rows(tmp_path / kind, "step") for kind in ("one", "two")]
    losses = [[row["train/loss"] for row in of] for of in logged]
    assert len(losses[0]) == 10
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    scores = [rows(tmp_path / kind, "val")[-1]["confusion"] for kind in ("one", "two")]
    assert scores[0] == scores[1]
    assert len(list((tmp_path / "two").glob("runs/*"))) == len(list((tmp_path / "two").rglob("*_last.state"))) == 1
    assert len(set(losses[0])) == 10


@pytest.mark.slow
def test_dead_worker_ends_the_job_and_resume_goes_on(tmp_path):
    whole = train(tmp_path / "whole", 2, "train.val_interval=0", TOY_NORM="bn")
    assert whole.returncode == 0, whole.stderr
    done = train(tmp_path / "part", 2, "train.val_interval=0", "train.save_interval=1", TOY_DIES="7", TOY_NORM="bn")
    assert done.returncode == 1
    assert re.search(r"a worker \(process \d+\) was killed by SIGKILL.*\n.*\n.*--resume", done.stderr)
    state = next((tmp_path / "part").rglob("*_last.state"))
    step = load_checkpoint(state).meta["position"]["step"]
    assert 4 <= step <= 7
    again = train(
        tmp_path / "part", 2, "train.val_interval=0", "train.save_interval=1", TOY_NORM="bn", TOY_RESUME=str(state)
    )
    assert again.returncode == 0, again.stderr
    assert rows(tmp_path / "part", "start")[-1]["step"] == step
    for name, value in arrays(tmp_path / "whole", 0, 2).items():
        np.testing.assert_array_equal(arrays(tmp_path / "part", 0, 2)[name], value, err_msg=name)


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all_after_the_same_step(tmp_path):
    run = command(tmp_path, 2, "epochs=100000", "train.val_interval=0")
    with subprocess.Popen(run, env=environment(), stderr=subprocess.PIPE, text=True) as job:
        for line in job.stderr:
            if line.startswith("step "):
                break
        job.send_signal(signal.SIGINT)
        rest = job.stderr.read()
    assert job.returncode == 130, rest
    assert "go on with --resume" in rest
    assert load_checkpoint(next(tmp_path.rglob("*_last.state"))).meta["position"]["step"] > 0
    assert not descendants(job.pid)


def descendants(pid):
    """Living processes that were started for the job of this process."""
    return [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(WORKER).encode() in _read(p)]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_silence_ends_every_process_without_a_launcher(tmp_path):
    """As under ssh, MPI or Kubernetes: nobody sees a worker die but the scheduler."""
    jobs = {}
    shared = environment(
        DMLC_PS_ROOT_URI="127.0.0.1",
        DMLC_PS_ROOT_PORT=str(launch._free_port()),
        DMLC_NODE_HOST="127.0.0.1",
        DMLC_NUM_WORKER="2",
        DMLC_NUM_SERVER="1",
        TOY_DIES="5",
    )
    run = [sys.executable, "-W", "ignore", str(WORKER), str(tmp_path), *SETTINGS]
    for name in ("scheduler", "server", "worker 0", "worker 1"):
        own = {**shared, "DMLC_ROLE": name.split()[0]}
        jobs[name] = subprocess.Popen(run, env=own, stderr=subprocess.PIPE, text=True)
    try:
        while all(jobs[n].poll() is None for n in ("worker 0", "worker 1")):
            time.sleep(0.1)
        began = time.monotonic()
        said = {name: job.communicate(timeout=120)[1] for name, job in jobs.items()}
        assert time.monotonic() - began < 60
    finally:
        for job in jobs.values():
            job.kill()
    assert sorted(job.returncode for job in jobs.values()) == [-9, 1, 1, 1]
    assert all("waiting for 2 workers" in said[name] for name in ("worker 0", "worker 1"))
    assert "1 of the workers and servers did not answer" in said["scheduler"]
    assert sum("the scheduler did not answer" in text and "--resume" in text for text in said.values()) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-n", "0", "--", "train.py"], "--workers 0"),
        (["-n", "2"], "no command"),
        (["-n", "2", "-s", "0", "--", "train"], "--servers 0"),
    ],
)
def test_mistakes(words, text, capsys):
    assert cli.main(["launch", *words]) == 2
    assert text in capsys.readouterr().err


def test_incomplete_environment(monkeypatch):
    monkeypatch.setenv("DMLC_ROLE", "worker")
    monkeypatch.delenv("DMLC_NUM_WORKER", raising=False)
    with pytest.raises(ConfigError, match=r"without .*DMLC_NUM_WORKER"):
        cluster.role()


def test_slow_start_is_no_silence(monkeypatch):
    """Who waited long for the others has heard nothing of them yet when the watch begins."""
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    for patience, silent in ((60, True), (0.05, False)):
        monkeypatch.setattr(cluster, "PATIENCE", patience)
        watch = cluster.Watch(None, "server")
        watch._dead = lambda: 1
        with watch:
            deadline = time.monotonic() + (1.5 if silent else 30)
            while not left and time.monotonic() < deadline:
                time.sleep(0.05)
        assert bool(left) is not silent


def test_commands():
    assert launch._words(["--", "train.py", "lr=1"]) == [sys.executable, "train.py", "lr=1"]
    assert launch._words(["train", "lr=1"]) == [sys.executable, "-m", "mxnetseg", "train", "lr=1"]
    assert launch._words(["--", "hostname"]) == ["hostname"]
