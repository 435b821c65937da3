"""The workers of a distributed run: who they are, and sums over them."""

from __future__ import annotations

import atexit
import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd

from ..cluster import ANNOUNCED, Watch, role
from ..errors import ConfigError

__all__ = ["Group", "Workers", "join"]

# Gluon's Trainer counts its keys from 0.
_FIRST_KEY = 1 << 20
_SHIFTS = (0, 16, 32, 48)


class Group:
    """One process alone; :class:`Workers` are several.

    Every method but :meth:`share` is for all workers together: each one has to call it, in the same order.

    Attributes
    ----------
    rank, size : int
        Number of this worker, and how many there are. Worker 0 logs and saves.
    kvstore : KVStore or str
        What ``gluon.Trainer`` reduces gradients with.
    """

    rank, size = 0, 1
    kvstore: Any = "device"

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """Part of `items` for this worker: consecutive ones, the first workers one more where they do not divide."""
        whole, more = divmod(len(items), self.size)
        start = self.rank * whole + min(self.rank, more)
        return items[start : start + whole + (self.rank < more)]

    def add(self, array: nd.NDArray, name: str) -> None:
        """Replace `array` by its sum over the workers, asynchronously."""

    def total(self, values: np.ndarray, name: str) -> np.ndarray:
        """Sum of `values` over the workers: float32, or exact for integers of 0 or more and up to 256 workers."""
        if values.dtype.kind == "f":
            return self._sum(values, name).astype(values.dtype)
        # Servers add floating-point numbers; 16 bits at a time stay exact in them.
        parts = np.stack([values >> shift & 0xFFFF for shift in _SHIFTS])
        sums = self._sum(parts, name).astype(values.dtype)
        return sum(part << shift for part, shift in zip(sums, _SHIFTS, strict=True))

    def _sum(self, values: np.ndarray, name: str) -> np.ndarray:
        array = nd.array(values, dtype="float32")
        self.add(array, name)
        return array.asnumpy()

    def from_first(self, text: str, length: int = 4096) -> str:
        """The `text` of worker 0."""
        data = (text if self.rank == 0 else "").encode()
        sent = np.zeros(length)
        sent[: len(data)] = bytearray(data)
        return bytes(self.total(sent, "text").astype(np.uint8)).rstrip(b"\0").decode()

    def spread(self, arrays: Iterable[nd.NDArray]) -> None:
        """Give `arrays` the values that they have at worker 0."""
        for i, array in enumerate(arrays):
            if self.rank:
                array[:] = 0
            self.add(array, f"spread {i}")

    def require_same(self, what: str, text: str) -> None:
        """Refuse workers that were not started alike.

        Raises
        ------
        ConfigError
            If `text` differs from that of worker 0.
        """
        first = self.from_first(text)
        if first != text:
            raise ConfigError(
                f"worker {self.rank} has another {what} than worker 0: {text} instead of {first}",
                "the same command, files and code everywhere",
            )

    def close(self) -> None:
        """Part from the others when the work is done."""


class Workers(Group):
    """Workers around a parameter server.

    Parameters
    ----------
    kind : str
        ``dist_sync``, or ``dist_device_sync`` which reduces over the GPUs of a worker on these.
    """

    def __init__(self, kind: str = "dist_sync"):
        if not os.environ.get(ANNOUNCED):
            _announce()
        self.kvstore = mx.kv.create(kind)
        self.rank, self.size = self.kvstore.rank, self.kvstore.num_workers
        self._sums: dict[tuple, tuple[int, nd.NDArray]] = {}
        self._numbers = itertools.count(_FIRST_KEY)
        self._watch = Watch(self.kvstore, "worker", f"worker {self.rank}")
        self._watch.__enter__()
        # MXNet's own end would wait for the others, which may be waiting for this one.
        atexit.register(_leave)

    def add(self, array: nd.NDArray, name: str) -> None:
        """Replace `array` by its sum over the workers, asynchronously."""
        identity = name, array.shape, array.dtype
        if identity not in self._sums:
            self._sums[identity] = next(self._numbers), nd.zeros_like(array)
            self.kvstore.init(*self._sums[identity])
        # MXNet orders the sums of a key by their memory: another array each time might overtake the last one.
        key, memory = self._sums[identity]
        array.copyto(memory)
        self.kvstore.pushpull(key, memory)
        memory.copyto(array)

    def close(self) -> None:
        """Wait for all workers, then disconnect; servers and scheduler end with the last one."""
        from mxnet.base import _LIB, KVStoreHandle, check_call

        nd.waitall()
        self.kvstore._barrier()
        self._watch.__exit__()
        check_call(_LIB.MXKVStoreFree(self.kvstore.handle))
        self.kvstore.handle = KVStoreHandle()  # nothing is left for its destructor
        atexit.unregister(_leave)


def _announce() -> None:
    """Tell what is waited for: a process that never comes would be waited for in silence."""
    where = f"{os.environ['DMLC_PS_ROOT_URI']}:{os.environ['DMLC_PS_ROOT_PORT']}"
    counts = f"{os.environ['DMLC_NUM_WORKER']} workers and {os.environ['DMLC_NUM_SERVER']} servers"
    print(f"waiting for {counts} to meet at {where}", file=sys.stderr, flush=True)


def _leave() -> None:
    """End a worker that failed; the others notice its silence."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def join(contexts: Sequence[mx.Context]) -> Group:
    """Group that the environment describes: this process alone, or the workers of a distributed run.

    Parameters
    ----------
    contexts : sequence of mx.Context
        Devices of this worker.

    Raises
    ------
    ConfigError
        If the environment describes no complete job.
    """
    if role() != "worker":
        return Group()
    return Workers("dist_device_sync" if contexts[0].device_type == "gpu" else "dist_sync")
