"""What a loader process runs (:class:`mxnetseg.data.pool.WorkerPool` starts it)."""

from __future__ import annotations

import mmap
import os
import signal
import traceback
from multiprocessing.connection import Connection

import cv2
import numpy as np

from ..errors import DataError
from .sampling import Sampler

__all__ = ["main", "slot_arrays", "slot_bytes"]


def slot_bytes(batch: int, crop: tuple[int, int]) -> int:
    """Bytes of one batch: float32 images (N, 3, h, w), then int32 labels (N, h, w)."""
    return 16 * batch * crop[0] * crop[1]


def slot_arrays(memory: mmap.mmap, slot: int, batch: int, crop: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a slot, as views of the shared memory."""
    start, pixels = slot * slot_bytes(batch, crop), batch * crop[0] * crop[1]
    images = np.frombuffer(memory, np.float32, 3 * pixels, start).reshape(batch, 3, *crop)
    labels = np.frombuffer(memory, np.int32, pixels, start + 12 * pixels).reshape(batch, *crop)
    return images, labels


def _serve(connection: Connection, memory: mmap.mmap) -> None:
    sampler: Sampler
    sampler, batch = connection.recv()
    crop = sampler.transform.crop
    while True:
        slot, epoch, tasks = connection.recv()
        images, labels = slot_arrays(memory, slot, batch, crop)
        try:
            result = [(p, sampler.write(epoch, index, images[p], labels[p])) for p, index in tasks]
        except DataError as error:
            result = error.found, error.expected, error.remedy
        except Exception:
            result = traceback.format_exc()
        connection.send(result)


def main(arguments: list[str]) -> None:
    """Serve samples until the other end of the socket is gone.

    Parameters
    ----------
    arguments : list of str
        File descriptors of the socket and of the shared memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    socket, handle = (int(a) for a in arguments)
    memory = mmap.mmap(handle, os.fstat(handle).st_size)
    try:
        _serve(Connection(socket), memory)
    except (EOFError, ConnectionError):
        os._exit(0)  # the trainer closed the loader, or is gone
