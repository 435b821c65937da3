"""Loader processes of a training: one that dies ends it with a message, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mxnetseg.engine.checkpoint import load_checkpoint

from .resume import write_images

TESTS = Path(__file__).parents[1]
SCRIPT = """
import pathlib, signal, sys
# A process started in the background of a shell inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
import mxnetseg
import mxnet as mx
from engine.toy import ToyNet, config
from mxnetseg.engine.trainer import Trainer
from mxnetseg.errors import UserError
from reliability.resume import SETTINGS
folder = pathlib.Path(sys.argv[2])
settings = config(folder, *SETTINGS, f"data.root={folder}", "data.workers=2", "train.steps=100000000")
run = Trainer(settings, [mx.cpu()], model=ToyNet(), progress=False)
advance = run.updater.step
def step(*values):
    advance(*values)
    if run.updater.updates == 3:
        print(*run.loader.worker_pids, flush=True)
run.updater.step = step
try:
    sys.exit(run.fit().exit_code)
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


def living(pids):
    """Those of the processes that have not ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        time.sleep(0.05)
    return left


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "number"), [("worker", signal.SIGKILL), ("training", signal.SIGINT)])
def test_training_ends_and_nothing_outlives_it(tmp_path, victim, number):
    write_images(tmp_path)
    before = set(os.listdir("/dev/shm"))
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(TESTS), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        try:
            pids = [int(word) for word in training.stdout.readline().split()]
            assert len(pids) == 2
            begin = time.monotonic()
            os.kill(pids[1] if victim == "worker" else training.pid, number)
            said = training.communicate(timeout=100)[1]
            print(f"{victim}: ended after {time.monotonic() - begin:.1f} s")
        finally:
            training.kill()
    if victim == "worker":
        assert training.returncode == 1
        assert f"loader worker 1 (process {pids[1]}) was killed by SIGKILL" in said
        assert "--resume" in said
    else:
        assert training.returncode == 130, said
    assert not living(pids)
    assert set(os.listdir("/dev/shm")) <= before
    assert load_checkpoint(next(tmp_path.rglob("*_last.state"))).meta["position"]["step"] >= 3
