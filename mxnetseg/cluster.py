"""Processes of a distributed run: their roles, and how the death of one ends all.

The roles come from the environment variables of MXNet's parameter server, the same under every launcher:
``DMLC_ROLE`` (scheduler, server or worker), ``DMLC_PS_ROOT_URI`` and ``DMLC_PS_ROOT_PORT`` (address of the scheduler),
``DMLC_NUM_WORKER`` and ``DMLC_NUM_SERVER``. One command serves all roles: a scheduler or server stays in
:func:`serve` until the workers are done.

Every process sends heartbeats to the scheduler. Synchronous training waits for ever for a worker that is gone, so the
scheduler ends when a process stays silent, and workers and servers end when the scheduler does.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import Any

from .errors import ConfigError, TrainingError

__all__ = ["ANNOUNCED", "PATIENCE", "Watch", "role", "serve"]

ANNOUNCED = "MXNETSEG_ANNOUNCED"  # set for workers beside one that says what all of them wait for
PATIENCE = 20  # seconds of silence after which a process counts as dead
_HEARTBEAT = 2  # seconds between signs of life
_NEEDED = ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")
# Groups of processes as the parameter server numbers them.
_SCHEDULER, _SERVERS_AND_WORKERS = 1, 2 + 4


def role() -> str:
    """``scheduler``, ``server``, ``worker``, or empty outside of a distributed run.

    Raises
    ------
    ConfigError
        If the environment describes no complete job.
    """
    name = os.environ.get("DMLC_ROLE", "")
    if not name:
        return ""
    missing = [key for key in _NEEDED if not os.environ.get(key)]
    if missing or name not in ("scheduler", "server", "worker"):
        found = f"DMLC_ROLE={name} without {', '.join(missing)}" if missing else f"DMLC_ROLE={name}"
        raise ConfigError(
            found,
            f"scheduler, server or worker, with {', '.join(_NEEDED)}",
            "`mxnetseg launch` sets all of them; unset DMLC_ROLE to train in one process",
        )
    os.environ.setdefault("PS_HEARTBEAT_INTERVAL", str(_HEARTBEAT))
    return name


def serve() -> int:
    """Be the scheduler or a server until the workers are done; return 0."""
    name = os.environ.pop("DMLC_ROLE")  # with it, importing mxnet would serve and never return
    import mxnet as mx

    os.environ["DMLC_ROLE"] = name
    store = mx.kv.create("dist_sync")
    with Watch(store, name):
        mx.kvstore.KVStoreServer(store).run()
    return 0


class Watch:
    """Ends this process when another one that it depends on is silent for :data:`PATIENCE` seconds.

    A thread does it: the main one may be waiting inside MXNet, where neither exceptions nor signals reach it.

    Parameters
    ----------
    store : mx.kvstore.KVStore
        Connection to the others; it must outlive the watch.
    name : str
        Role of this process.
    title : str, optional
        What messages call it; its role when empty.
    """

    def __init__(self, store: Any, name: str, title: str = ""):
        self._store, self._title = store, title or name
        self._watched = _SERVERS_AND_WORKERS if name == "scheduler" else _SCHEDULER
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mxnetseg-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _dead(self) -> int:
        from mxnet.base import _LIB, check_call

        count = ctypes.c_int()
        arguments = self._store.handle, ctypes.c_int(self._watched), ctypes.byref(count), ctypes.c_int(PATIENCE)
        check_call(_LIB.MXKVStoreGetNumDeadNode(*arguments))
        return count.value

    def _run(self) -> None:
        # Whoever waited long for the others to come counts as silent until its first sign of life.
        pause = PATIENCE
        while not self._done.wait(pause):
            pause = 1
            if count := self._dead():
                lost = "the scheduler" if self._watched == _SCHEDULER else f"{count} of the workers and servers"
                error = TrainingError(
                    f"{self._title}: {lost} did not answer for {PATIENCE} s, so the job has to end",
                    "processes that live as long as the training",
                    "look at their messages, then start the job again with --resume",
                )
                print(f"error: {error}", file=sys.stderr, flush=True)
                os._exit(error.exit_code)
