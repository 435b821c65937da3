"""``mxnetseg launch``: all processes of a distributed run on this machine."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from .cluster import ANNOUNCED
from .compat import usable_cpus
from .errors import ConfigError, TrainingError

__all__ = ["EXAMPLES", "HELP", "Job", "add_arguments", "run"]

HELP = "Start scheduler, servers and workers of a distributed run on this machine."

EXAMPLES = """\
mxnetseg launch -n 2 -s 1 -- train.py --config configs/camvid/bisenetr_resnet18.yaml --ctx cpu
mxnetseg launch -n 2 -- train.py --resume runs/NAME

train.batch_size counts the images of all workers together, so that the number of workers does not change the result.
docs/distributed.md has the same for ssh, MPI, Slurm and Kubernetes.
"""

_GRACE = 10.0  # seconds for scheduler and servers to end after the workers
_SAME_FATE = 2.0  # seconds for other workers to meet the same error, and say so
_STOPPED = (130, 143)  # exit codes of a worker that Ctrl-C or SIGTERM ended
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("-n", "--workers", type=int, required=True, metavar="N", help="processes that train")
    add("-s", "--servers", type=int, default=1, metavar="S", help="processes that sum gradients (1)")
    add("--port", type=int, metavar="P", help="port of the scheduler; a free one when empty")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what every process runs: train.py ARGUMENTS")


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _words(command: Sequence[str]) -> list[str]:
    """Command line of a process: a Python file, `train` or `eval` of this package, or a program."""
    words = list(command[1:] if command[:1] == ["--"] else command)
    if not words:
        raise ConfigError("no command to launch", "mxnetseg launch -n 2 -s 1 -- train.py ARGUMENTS")
    if words[0].endswith(".py"):
        return [sys.executable, *words]
    return [sys.executable, "-m", "mxnetseg", *words] if words[0] in ("train", "eval") else words


def _threads(workers: int) -> str:
    """Threads of a worker: what the user chose, or an equal share of the processors."""
    given = os.environ["OMP_NUM_THREADS"]
    return str(max(1, usable_cpus() // workers)) if given == str(usable_cpus()) else given


class Job:
    """The processes of a run.

    They have process groups of their own, so that Ctrl-C reaches this process, which asks the workers to stop; they
    are asked too when this process dies. Scheduler and servers end when the workers have.

    Parameters
    ----------
    command : sequence of str
        What every process runs.
    workers, servers : int
        How many there are besides the scheduler.
    port : int, optional
        Of the scheduler.
    """

    def __init__(self, command: Sequence[str], workers: int, servers: int = 1, port: int | None = None):
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": _threads(workers),
            "DMLC_PS_ROOT_URI": "127.0.0.1",
            "DMLC_PS_ROOT_PORT": str(port or _free_port()),
            "DMLC_NODE_HOST": "127.0.0.1",
            "DMLC_NUM_WORKER": str(workers),
            "DMLC_NUM_SERVER": str(servers),
        }
        self._command = list(command)
        self.helpers = [self._start("scheduler"), *(self._start("server") for _ in range(servers))]
        first = self._start("worker")
        self.workers = [first, *(self._start("worker", **{ANNOUNCED: "1"}) for _ in range(workers - 1))]

    def _start(self, role: str, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env={**self._environment, "DMLC_ROLE": role, **more},
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_end_with_parent if role == "worker" else None,
        )

    def ask(self, number: int) -> None:
        """Send a signal to the workers."""
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self) -> int:
        """Wait for the workers; return their exit code.

        Raises
        ------
        TrainingError
            If one process ended before the others were done; these are ended too.
        """
        while any(p.poll() is None for p in self.workers):
            for process in [*self.workers, *self.helpers]:
                if process.poll() and process.returncode not in _STOPPED:
                    self._await(self.workers, _SAME_FATE)
                    raise self._lost(process)
            time.sleep(0.2)
        codes = [p.returncode for p in self.workers]
        self._await(self.helpers, _GRACE)
        failed = next((p for p in self.workers if p.returncode not in (0, *_STOPPED)), None)
        if failed:
            raise self._lost(failed)
        return max(codes)

    def _lost(self, process: subprocess.Popen[bytes]) -> TrainingError:
        kind = "a worker" if process in self.workers else "a server or the scheduler"
        code = process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return TrainingError(
            f"{kind} (process {process.pid}) {how}; the others are ended",
            "processes that live as long as the training",
            "look at its message above, then launch again with --resume to go on from the last saved state",
        )

    def close(self) -> None:
        """End whatever still runs."""
        for process in [*self.workers, *self.helpers]:
            if process.poll() is None:
                process.kill()
                process.wait()

    @staticmethod
    def _await(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
        end = time.monotonic() + seconds
        while any(p.poll() is None for p in processes) and time.monotonic() < end:
            time.sleep(0.1)


def run(args: argparse.Namespace) -> int:
    """Run the job; return the workers' exit code."""
    for name in ("workers", "servers"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name} {getattr(args, name)}", "at least 1")
    job = Job(_words(args.command), args.workers, args.servers, args.port)
    before = {n: signal.signal(n, lambda number, _: job.ask(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        return job.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        job.close()
