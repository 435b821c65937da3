"""Kill a training again and again, and look at what is left: make reliability, or in tests/ python -m reliability.kill.

One process imports MXNet, runs nothing, and forks a child per kill. Each child checks what the last one left, resumes,
and trains a toy network that saves after every step and validates after every epoch of five steps. Two thirds of the
children end by SIGKILL at an event of checkpoint writing (before or after an fsync, link, rename or unlink, or in the
middle of a write), one third by SIGKILL from outside after a random time. At the end the run is finished and compared
with one that was never killed.

Prints one JSON object; exit code 1 if anything was unreadable, lost, left behind or different.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import mxnetseg  # noqa: F401  (before mxnet)

# isort: split
from engine.test_trainer import digest
from engine.toy import trainer

from mxnetseg.engine.checkpoint import load_checkpoint
from mxnetseg.errors import UserError

SETTINGS = ("train.save_interval=1", "train.val_interval=1", "train.ema=0.9", "optimizer.name=adam", "lr=0.01")


class Killer:
    """Sends SIGKILL to this process at the given event of writing."""

    def __init__(self, at: int, rng: random.Random):
        self.left, self.rng = at, rng
        for name in ("fsync", "replace", "link", "unlink"):
            setattr(os, name, self._around(getattr(os, name)))
        Path.write_bytes = lambda path, data: self._write_bytes(path, data)

    def _event(self) -> bool:
        self.left -= 1
        return self.left == 0

    def _around(self, function):
        def call(*arguments, **options):
            if self._event():
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if self._event():
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    def _write_bytes(self, path, data):
        with path.open("wb") as file:
            if self._event():
                file.write(memoryview(data)[: self.rng.randrange(len(data))])
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            return file.write(data)


def inspect(folder: Path, told: dict) -> dict:
    """What the killed run left: files that cannot be read, good checkpoints that are gone."""
    found = {"unreadable": [], "lost": []}
    positions = {"last": 0, "best": 0}
    for kind, pattern in (("last", "*_last.state"), ("best", "*_best.params"), ("previous", "*_previous.state")):
        for path in folder.rglob(pattern):
            try:
                meta = load_checkpoint(path).meta
            except UserError as error:
                found["unreadable"].append(str(error))
                continue
            positions[kind] = meta["position"]["step"] if kind != "best" else meta["step"]
    found["lost"] = [f"{k}: {told[k]} was saved, {positions[k]} is there" for k in told if positions[k] < told[k]]
    return found


def child(folder: Path, epochs: int, told: dict, plan: int | None, seed: int, pipe) -> None:
    """Check, resume, train; every line sent is an event."""

    def say(**facts) -> None:
        os.write(pipe, json.dumps(facts).encode() + b"\n")

    say(**inspect(folder, told))
    if plan:
        Killer(plan, random.Random(seed))
    state = next(folder.rglob("*_last.state"), None)
    run = trainer(folder, *SETTINGS, f"epochs={epochs}", resume=state)
    say(stray=[str(p) for p in folder.rglob(".*.tmp")], step=run.position.step)
    save, weights = run._save, run._save_weights

    def save_and_say():
        save()
        say(last=run.position.step)

    def weights_and_say(path, metrics):
        weights(path, metrics)
        if path == run.paths.best:
            say(best=run.position.step)

    run._save, run._save_weights = save_and_say, weights_and_say
    run.fit()
    say(finished=digest(run), step=run.position.step)


def fork(folder: Path, epochs: int, told: dict, plan: int | None, seed: int, after: float | None = None):
    """Run a child to its end; return its status and what it said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        code = 1
        try:
            child(folder, epochs, told, plan, seed, writing)
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    os.close(writing)
    said, rest = [], b""
    while data := os.read(reading, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        said += map(json.loads, lines)
        if after is not None and any("stray" in line for line in said):
            time.sleep(after)
            os.kill(pid, signal.SIGKILL)
            after = None
    os.close(reading)
    return os.waitpid(pid, 0)[1], said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, told = random.Random(args.seed), {"last": 0, "best": 0}
    result = {"kills": 0, "at_writing": 0, "before_start": 0}
    result |= {key: [] for key in ("unreadable", "lost", "stray_after_start")}
    epochs = 2 + args.kills
    with tempfile.TemporaryDirectory() as place:
        folder, whole = Path(place) / "killed", Path(place) / "whole"
        while True:
            writing = rng.random() < 2 / 3
            plan = rng.randint(1, 45) if writing else None
            after = None if writing else rng.uniform(0, 0.15)
            if result["kills"] >= args.kills:
                plan = after = None
            status, said = fork(folder, epochs, told, plan, rng.randrange(1 << 30), after)
            for facts in said:
                result["unreadable"] += facts.get("unreadable", [])
                result["lost"] += facts.get("lost", [])
                result["stray_after_start"] += facts.get("stray", [])
                told |= {k: facts[k] for k in told if k in facts}
            if not os.WIFSIGNALED(status):
                break
            result["kills"] += 1
            result["at_writing"] += writing
            result["before_start"] += not any("stray" in facts for facts in said)
        result["exit"] = status
        result["steps"] = said[-1].get("step")
        final = said[-1].get("finished")
        _, said = fork(whole, epochs, {}, None, 0)
        result["equal_to_uninterrupted"] = bool(final) and final == said[-1].get("finished")
    print(json.dumps(result))
    bad = [result[k] for k in ("unreadable", "lost", "stray_after_start", "exit")]
    return int(any(bad) or not result["equal_to_uninterrupted"] or result["kills"] < args.kills)


if __name__ == "__main__":
    sys.exit(main())
