"""Whether a measurement says something about what was measured, or about what else ran at the same time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["RULE", "Interference", "Watch", "doubts"]

# When a measurement says nothing about the network.
SPREAD, STOLEN, FREE, SECONDS = 1.25, 0.02, 0.9, 0.5
RULE = (
    f"conclusive: p95 at most {SPREAD:g} x the median, at least {SECONDS:g} s timed, other processes leave at least "
    f"{FREE:g} of a processor per thread, at most {100 * STOLEN:g} % of the processors' time stolen"
)

# Columns of a processor's line in /proc/stat, in ticks: user nice system idle iowait irq softirq steal ...
_BUSY, _STEAL = (0, 1, 2, 5, 6), 7


@dataclass(frozen=True)
class Interference:
    """Processor time that this process could not have had.

    Attributes
    ----------
    seconds : float
        How long was watched.
    cpus : int
        Processors that this process may use.
    others : float
        Of these, how many other processes kept busy, on average.
    stolen : float
        How many the hypervisor gave to other machines.
    """

    seconds: float
    cpus: int
    others: float
    stolen: float

    @property
    def free(self) -> float:
        """Processors that were left for this process."""
        return self.cpus - self.others - self.stolen


class Watch:
    """Context manager that sees what else uses this process's processors; ``result`` is None where nothing tells."""

    result: Interference | None = None

    def __enter__(self) -> Watch:
        self._start = _clocks()
        return self

    def __exit__(self, *_: object) -> None:
        start, end = self._start, _clocks()
        if start is None or end is None:
            return
        wall, own, busy, stolen = (b - a for a, b in zip(start, end, strict=True))
        others = max(0.0, busy - own) / wall
        self.result = Interference(wall, len(os.sched_getaffinity(0)), others, stolen / wall)


def _clocks() -> tuple[float, float, float, float] | None:
    """Seconds of wall, of this process, of all work on the usable processors, and stolen from them."""
    try:
        names = {f"cpu{i}" for i in os.sched_getaffinity(0)}
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        counts = [[int(word) for word in line[1:]] for line in lines if line and line[0] in names]
        busy, stolen = sum(row[i] for row in counts for i in _BUSY), sum(row[_STEAL] for row in counts)
    except (OSError, AttributeError, ValueError, IndexError):
        return None
    if len(counts) < len(names):
        return None
    tick = os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), time.process_time(), busy / tick, stolen / tick


def doubts(times: list[float], seen: Interference | None, count: int) -> list[str]:
    """Why a measurement allows no conclusion; empty if it does.

    Parameters
    ----------
    times : list of float
        Seconds of each pass.
    seen : Interference, optional
        What else ran; unknown when empty.
    count : int
        Threads of the measured program.
    """
    median, p95 = np.percentile(times, (50, 95))
    found = []
    if p95 > SPREAD * median:
        found.append(f"p95 is {p95 / median:.2f} x the median")
    if seen is None:
        return [*found, "what else ran is unknown"]
    if seen.seconds < SECONDS:
        found.append(f"only {seen.seconds:.2f} s were timed")
    if seen.free < FREE * min(count, seen.cpus):
        found.append(f"others left {seen.free:.2f} of {seen.cpus} processors for {count} threads")
    if seen.stolen > STOLEN * seen.cpus:
        found.append(f"{100 * seen.stolen / seen.cpus:.1f} % of the processors' time was stolen")
    return found
