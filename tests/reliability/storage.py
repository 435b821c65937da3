"""Training on storage that fails: make reliability, or in tests/ python -m reliability.storage.

A run that saves after every step loses its storage after a few of them: the disk is full (a small tmpfs), files may not
grow (RLIMIT_FSIZE), the folder becomes read-only (remounted), or the process loses its permission (another user). Each
time the exit code, the message and the saved state are looked at. Mounting and changing the user need root; without it
these cases are reported as left out.

Prints one JSON object per case; exit code 1 if a case ended well, without a message, or damaged the saved state.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import mxnetseg  # noqa: F401  (before mxnet)

# isort: split
from engine.toy import trainer

from mxnetseg.engine.checkpoint import load_checkpoint
from mxnetseg.errors import UserError

GOOD = 3  # steps before the storage fails


def fill(folder: Path) -> None:
    """Use up the space."""
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


def limit(folder: Path) -> None:
    """No file may be longer than 1000 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def remount(folder: Path) -> None:
    """Nothing can be written any more."""
    weights = str(folder / "weights")
    subprocess.run(["mount", "--bind", weights, weights], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", weights], check=True)


def become_nobody(folder: Path) -> None:
    """The folders belong to someone else."""
    os.setuid(65534)


CASES = {"full": fill, "limit": limit, "read-only": remount, "permission": become_nobody}
MOUNTED = {"full": ".", "read-only": "weights"}  # what is to be unmounted afterwards


def run(folder: Path, fail) -> None:
    """Train; let the storage fail; print the message as the command does."""
    training = trainer(folder, "train.save_interval=1", "epochs=20")
    save = training._save

    def save_and_fail():
        save()
        if training.position.step == GOOD:
            fail(folder)

    training._save = save_and_fail
    try:
        training.fit()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def examine(folder: Path, name: str) -> dict:
    """Run a case in a process of its own and look at what it left."""
    command = [sys.executable, "-W", "ignore", "-m", "reliability.storage", name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    remains = [p.name for p in folder.rglob(".*.tmp")]
    state = next(folder.rglob("*_last.state"))
    step = load_checkpoint(state).meta["position"]["step"]
    lines = [line for line in done.stderr.splitlines() if line]
    traced = "Traceback" in done.stderr
    ok = done.returncode not in (0, -9) and step >= GOOD and not traced and str(state) in done.stderr
    return {"case": name, "ok": ok, "exit": done.returncode, "step": step, "temporary": remains, "said": lines}


def main() -> int:
    """All cases, or the one of the command line."""
    if len(sys.argv) == 3:
        run(Path(sys.argv[2]), CASES[sys.argv[1]])
        return 0
    bad = 0
    for name in CASES:
        if os.geteuid() and name != "limit":
            print(json.dumps({"case": name, "left_out": "needs root"}))
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            folder.chmod(0o755)
            if name == "full":
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], check=True)
            try:
                found = examine(folder, name)
            finally:
                if name in MOUNTED:
                    subprocess.run(["umount", str(folder / MOUNTED[name])], check=True)
        print(json.dumps(found), flush=True)
        bad += not found["ok"]
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
