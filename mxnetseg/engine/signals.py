"""Ctrl-C and SIGTERM: the first one asks, the second one leaves."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

__all__ = ["StopRequest"]


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a request; a second one ends the process at once.

    Use as a context manager around the loop. Outside of the main thread it does nothing.

    Parameters
    ----------
    alone : bool
        False where several processes have to stop after the same step: then the request is granted only when
        :meth:`agree` is told so.

    Attributes
    ----------
    signal : signal.Signals or None
        The signal that came.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, alone: bool = True):
        self.signal: signal.Signals | None = None
        self._alone, self._agreed, self._came = alone, False, False
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None if self._alone else self._agreed

    def agree(self) -> None:
        """All processes know that one of them was asked to stop."""
        self._agreed, self.signal = True, self.signal or signal.SIGTERM

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, 0 when nothing came."""
        return 128 + self.signal if self and self.signal else 0

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if not self._came:
            # Another process may have been heard before: the first signal of this one still asks.
            self._came, self.signal = True, signal.Signals(number)
            print("\nstopping after this step (again: leave at once)", file=sys.stderr, flush=True)
            return
        # Files are replaced atomically and loader workers end with their socket: there is nothing to tidy up.
        os._exit(128 + number)
