"""The training loader: worker processes write finished batches into shared memory."""

from __future__ import annotations

import mmap
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .base import SegmentationDataset
from .pool import WorkerPool
from .presets import Transform, build_transform
from .sampling import Sampler, Written, epoch_order
from .worker import slot_arrays, slot_bytes

if TYPE_CHECKING:
    from ..config import DataConfig

__all__ = ["Batch", "TrainLoader"]

_AHEAD = 3  # batches prepared before they are asked for


@dataclass
class Batch:
    """Training samples; the arrays are valid until the next batch is requested, then they are overwritten.

    Attributes
    ----------
    image : float32 array (N, 3, h, w)
        Normalised.
    label : int32 array (N, h, w)
        Training ids, ``IGNORE`` where void.
    names : list of str
        Names of the samples.
    indices : list of int
        Their places in the data set.
    valid : int
        Labelled pixels.
    """

    image: np.ndarray
    label: np.ndarray
    names: list[str]
    indices: list[int]
    valid: int


@dataclass
class _Pending:
    """A batch that workers are filling."""

    epoch: int
    number: int
    slot: int
    written: list[Written | None]
    missing: int


class TrainLoader:
    """Endless, resumable source of shuffled and transformed batches.

    Order and randomness depend on (seed, epoch, index) only: neither the number of workers nor an
    interruption changes a pixel. Workers are started by :meth:`start` (or by the first epoch), import
    neither mxnet nor the main script, and end when the loader is closed or its process is gone. The shared
    memory has no name, so nothing is left behind however the process ends.

    Parameters
    ----------
    dataset : SegmentationDataset
    data_config : DataConfig
        Sizes, augmentation and ``max_bad_samples``.
    crop : tuple of int
        (height, width).
    batch_size : int
    seed : int
    workers : int
        Processes; 0 loads in this process, when a batch is asked for.
    transform : callable, optional
        Instead of the configuration's; its samples have the size of the crop.
    share : callable, optional
        Part of a batch's indices that this process loads; all of them when empty.

    Attributes
    ----------
    wait_seconds : float
        Time the consumer waited for batches so far.
    skipped : list of (file, reason)
        Damaged files met so far; other samples took their places.

    Raises
    ------
    DataError
        If the data set is smaller than a batch or there is no memory for the batches.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        data_config: DataConfig,
        crop: tuple[int, int],
        batch_size: int,
        seed: int,
        workers: int,
        transform: Transform | None = None,
        share: Callable[[list[int]], list[int]] = list,
    ):
        if len(dataset) < batch_size:
            raise DataError(
                f"{dataset.name} {dataset.split} has {len(dataset)} images, a batch {batch_size}",
                "at least one full batch per epoch",
                f"train.batch_size={len(dataset)} or less",
            )
        self.dataset, self.batch_size, self.seed, self.workers = dataset, batch_size, seed, workers
        self.crop, self.max_bad_samples, self._share = crop, data_config.max_bad_samples, share
        self._size = len(share(list(range(batch_size))))
        self.wait_seconds, self.skipped = 0.0, []
        transform = transform or build_transform(data_config)
        transform.crop = crop
        self._sampler = Sampler(dataset, transform, seed)
        self._pool: WorkerPool | None = None
        self._pending: deque[_Pending] = deque()

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch; the rest is dropped."""
        return len(self.dataset) // self.batch_size

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the running workers."""
        return self._pool.pids if self._pool else []

    def start(self) -> TrainLoader:
        """Start the workers, best before the first mxnet context exists; harmless when repeated."""
        if self.workers and self._pool is None:
            slots = _AHEAD + 1
            self._handle = os.memfd_create("mxnetseg-batches")
            self._memory = self._map(slots * slot_bytes(self._size, self.crop))
            self._slots = [slot_arrays(self._memory, s, self._size, self.crop) for s in range(slots)]
            self._free = deque(range(slots))
            self._lent: int | None = None
            self._pool = WorkerPool(self.workers, self._handle, (self._sampler, self._size))
        return self

    def _map(self, size: int) -> mmap.mmap:
        """Reserve the shared memory now, so that a lack of it is an error here and not a crash later."""
        try:
            os.posix_fallocate(self._handle, 0, size)
        except OSError as error:
            os.close(self._handle)
            raise DataError(
                f"no room for {size / 2**20:.0f} MiB of prepared batches ({error.strerror})",
                "free memory (and, in a container, a limit above it)",
                "use a smaller train.batch_size or data.crop_size, or data.workers=0",
            ) from error
        return mmap.mmap(self._handle, size)

    def close(self) -> None:
        """End the workers and release the memory; batches handed out stay readable."""
        if self._pool is not None:
            self._pool.close()
            os.close(self._handle)
            self._pool = None
            self._pending.clear()
            del self._slots, self._memory

    def __enter__(self) -> TrainLoader:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches of an epoch.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        start : int
            Batches to leave out, without loading them.

        Yields
        ------
        Batch

        Raises
        ------
        DataError
            On labels outside the classes, or more damaged files than ``max_bad_samples``.
        TrainingError
            If a worker died.
        """
        self.start()
        for number in range(start, self.steps_per_epoch):
            begin = time.perf_counter()
            batch = self._load(epoch, number) if self._pool is None else self._receive(epoch, number)
            self.wait_seconds += time.perf_counter() - begin
            yield batch

    def _indices(self, epoch: int, number: int) -> list[int]:
        order = epoch_order(self.seed, epoch, len(self.dataset))
        return self._share(order[number * self.batch_size : (number + 1) * self.batch_size].tolist())

    def _load(self, epoch: int, number: int) -> Batch:
        images = np.empty((self._size, 3, *self.crop), np.float32)
        labels = np.empty((self._size, *self.crop), np.int32)
        indices = self._indices(epoch, number)
        written = [self._sampler.write(epoch, i, images[p], labels[p]) for p, i in enumerate(indices)]
        return self._finish(images, labels, written)

    def _receive(self, epoch: int, number: int) -> Batch:
        try:
            if self._lent is not None:
                self._free.append(self._lent)
                self._lent = None
            if self._pending and (self._pending[0].epoch, self._pending[0].number) != (epoch, number):
                self._discard()
            self._schedule(epoch, number)
            while self._pending[0].missing:
                self._accept()
        except BaseException:
            self.close()
            raise
        head = self._pending.popleft()
        self._lent = head.slot
        return self._finish(*self._slots[head.slot], head.written)

    def _accept(self) -> None:
        """Take one answer of a worker."""
        pending, answer = self._pool.receive()
        for position, written in answer:
            pending.written[position] = written
            pending.missing -= 1

    def _discard(self) -> None:
        """Forget batches that were prepared for another place (a skipped or broken-off epoch)."""
        while self._pool.outstanding:
            self._accept()
        self._free.extend(p.slot for p in self._pending)
        self._pending.clear()

    def _schedule(self, epoch: int, number: int) -> None:
        """Hand out the batches from (epoch, number) on that are not under way, as far as slots are free."""
        if self._pending:
            epoch, number = self._pending[-1].epoch, self._pending[-1].number + 1
        while self._free:
            if number >= self.steps_per_epoch:
                epoch, number = epoch + 1, 0
            pending = _Pending(epoch, number, self._free.popleft(), [None] * self._size, self._size)
            self._pending.append(pending)
            tasks = list(enumerate(self._indices(epoch, number)))
            for worker in range(self.workers):
                # Workers take turns at being first, so that small batches keep all of them busy.
                share = tasks[(worker + number) % self.workers :: self.workers]
                if share:
                    self._pool.send(worker, (pending.slot, epoch, share), pending)
            number += 1

    def _finish(self, images: np.ndarray, labels: np.ndarray, written: list[Written]) -> Batch:
        met = dict(d for sample in written for d in sample.damaged)
        self.skipped += [d for d in met.items() if d not in self.skipped]
        if len(self.skipped) > self.max_bad_samples:
            self.close()
            raise DataError(
                "damaged files:\n    " + "\n    ".join(reason for _, reason in self.skipped),
                f"at most {self.max_bad_samples} (data.max_bad_samples)",
                f"repair or remove them, or allow them with data.max_bad_samples={len(self.skipped)}",
            )
        names, indices = [s.name for s in written], [s.index for s in written]
        return Batch(images, labels, names, indices, sum(s.valid for s in written))
