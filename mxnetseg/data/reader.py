"""Ordered reading of whole examples for evaluation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ..errors import DataError
from .base import SegmentationDataset
from .images import DamagedSampleError

__all__ = ["EvalLoader", "Example"]


@dataclass
class Example:
    """One image at its full size.

    Attributes
    ----------
    index : int
        Place in the data set.
    name : str
        Name of the sample.
    image : uint8 array (H, W, 3)
        RGB.
    label : int32 array (H, W) or None
        Training ids; None where the split has no masks.
    """

    index: int
    name: str
    image: np.ndarray
    label: np.ndarray | None


class EvalLoader:
    """Reads a data set in order, a few examples ahead.

    Decoding releases Python's global lock, so threads serve here: images of any size come without copies,
    and nothing has to be started before mxnet is used. Memory does not grow with the data set.

    Parameters
    ----------
    dataset : SegmentationDataset
    workers : int
        Threads, each one example ahead; 0 reads when asked.
    max_bad_samples : int
        Damaged files that are left out before it is an error.
    limit : int, optional
        Read only the first examples.
    share : callable, optional
        Part of the indices that this process reads; all of them when empty.

    Attributes
    ----------
    skipped : list of (file, reason)
        Damaged files that were left out in the last pass.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        workers: int = 1,
        max_bad_samples: int = 0,
        limit: int | None = None,
        share: Callable[[Sequence[int]], Sequence[int]] = tuple,
    ):
        self.dataset, self.workers, self.max_bad_samples = dataset, workers, max_bad_samples
        self.indices = share(range(len(dataset) if limit is None else min(limit, len(dataset))))
        self.skipped: list[tuple[str, str]] = []
        self._running: Iterator[object] = iter(())

    def __len__(self) -> int:
        return len(self.indices)

    def close(self) -> None:
        """End the threads of a pass that was broken off."""
        if isinstance(self._running, Generator):
            self._running.close()

    def __iter__(self) -> Iterator[Example]:
        """Yield the examples in order.

        Raises
        ------
        DataError
            On labels outside the classes, or more damaged files than ``max_bad_samples``.
        """
        self.skipped = []
        self._running = self._outcomes()
        for index, outcome in zip(self.indices, self._running, strict=True):
            if isinstance(outcome, DamagedSampleError):
                self._skip(index, outcome)
            else:
                yield Example(index, self.dataset.sample_name(index), *outcome)

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray | None] | DamagedSampleError:
        try:
            return self.dataset.read(index)
        except DamagedSampleError as error:
            return error

    def _outcomes(self) -> Iterator[tuple[np.ndarray, np.ndarray | None] | DamagedSampleError]:
        indices = iter(self.indices)
        if self.workers == 0:
            yield from map(self._read, indices)
            return
        with ThreadPoolExecutor(self.workers, "mxnetseg-reader") as pool:
            ahead = deque(pool.submit(self._read, i) for i in islice(indices, self.workers))
            while ahead:
                outcome = ahead.popleft().result()
                ahead.extend(pool.submit(self._read, i) for i in islice(indices, 1))
                yield outcome

    def _skip(self, index: int, error: DamagedSampleError) -> None:
        self.skipped.append((str(self.dataset.samples[index].image), error.found))
        if len(self.skipped) > self.max_bad_samples:
            raise DataError(
                "damaged files:\n    " + "\n    ".join(reason for _, reason in self.skipped),
                f"at most {self.max_bad_samples} (data.max_bad_samples)",
                f"repair or remove them, or allow them with data.max_bad_samples={len(self.skipped)}",
            ) from error
