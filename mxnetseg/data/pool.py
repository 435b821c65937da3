"""Worker processes that share nothing with their parent but a socket and a block of memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import weakref
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any

from ..compat import LIGHT
from ..errors import DataError, TrainingError

__all__ = ["WorkerPool"]

_COMMAND = "import sys; from mxnetseg.data.worker import main; main(sys.argv[1:])"
_PATIENCE = 2.0  # seconds for a worker to end by itself


class WorkerPool:
    """Processes running :mod:`mxnetseg.data.worker`.

    They are fresh interpreters: no state of the parent is copied, its main script is not imported, and
    locks or contexts of mxnet cannot be inherited. Each has a process group of its own, so that Ctrl-C
    reaches the parent only, and ends when its socket does.

    Parameters
    ----------
    count : int
        Number of processes.
    handle : int
        File descriptor of the shared memory.
    setup : object
        First message, sent to every worker.
    """

    def __init__(self, count: int, handle: int, setup: object):
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        self._finalizer = weakref.finalize(self, _end, self._processes, self._connections)
        self._tickets: list[deque[Any]] = [deque() for _ in range(count)]
        for _ in range(count):
            self._start(handle)
        for worker in range(count):
            self._transmit(worker, setup)

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [p.pid for p in self._processes]

    @property
    def outstanding(self) -> int:
        """Messages that have not been answered."""
        return sum(map(len, self._tickets))

    def _start(self, handle: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", _COMMAND, str(theirs.fileno()), str(handle)],
                    env={
                        **os.environ,
                        LIGHT: "1",
                        "OMP_NUM_THREADS": "1",
                        "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
                    },
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), handle),
                    process_group=0,
                )
            )
        self._connections.append(Connection(ours.detach()))

    def send(self, worker: int, message: object, ticket: object) -> None:
        """Give a task to a worker; `ticket` comes back with its answer."""
        self._transmit(worker, message)
        self._tickets[worker].append(ticket)

    def _transmit(self, worker: int, message: object) -> None:
        try:
            self._connections[worker].send(message)
        except OSError as error:
            raise self._lost(worker) from error

    def receive(self) -> tuple[Any, Any]:
        """Wait for an answer; return (ticket, answer).

        Raises
        ------
        DataError
            That a worker met.
        TrainingError
            If a worker ended or failed.
        """
        for connection in wait(self._connections):
            worker = self._connections.index(connection)
            try:
                answer = connection.recv()
            except (EOFError, OSError) as error:
                raise self._lost(worker) from error
            if isinstance(answer, str):
                raise TrainingError(f"loader worker {worker} failed:\n{answer}")
            if isinstance(answer, tuple):
                raise DataError(*answer)
            return self._tickets[worker].popleft(), answer
        raise TrainingError("no loader worker is running")

    def _lost(self, worker: int) -> TrainingError:
        process = self._processes[worker]
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return TrainingError(
            f"loader worker {worker} (process {process.pid}) was {how}",
            "workers that live as long as the training",
            "if memory ran out, use fewer workers (data.workers) or a smaller crop; --resume continues the run",
        )

    def close(self) -> None:
        """End all workers; harmless when repeated."""
        self._finalizer()


def _end(processes: list[subprocess.Popen[bytes]], connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()
    for process in processes:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
