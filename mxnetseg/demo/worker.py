"""The one thread on which networks run."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..tools.media import read_picture
from .networks import open_network

__all__ = ["Progress", "Segmented", "Worker"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Segmented:
    """A segmented picture.

    Attributes
    ----------
    image : ndarray of uint8, (H, W, 3)
        RGB, upright.
    labels : ndarray of uint8 or uint16, (H, W)
        Classes.
    classes : list of str
    palette : ndarray of uint8, (K, 3)
    windows : int
        Parts in which it was run.
    """

    image: np.ndarray
    labels: np.ndarray
    classes: list[str]
    palette: np.ndarray
    windows: int


class Worker:
    """Runs networks, one picture at a time, always on the same thread: a hybridized network is not thread-safe.

    The network used last stays loaded.

    Parameters
    ----------
    networks : dict of str to Path
        As :func:`.networks.find_networks` gives them.
    ctx : mx.Context
        Device.
    whole_limit : float
        Largest image run in one forward, in million pixels.
    """

    def __init__(self, networks: dict[str, Path], ctx: Any, whole_limit: float):
        self.networks, self._ctx, self._whole_limit = networks, ctx, whole_limit
        self._thread = ThreadPoolExecutor(1, "inference")
        self._loaded: tuple[str, Any, dict[str, Any]] | None = None
        self._ending = threading.Event()

    def segment(self, picture: Path, network: str, max_pixels: int, progress: Progress) -> Segmented:
        """Segment a file; waits for its turn.

        Parameters
        ----------
        picture : Path
            Image file.
        network : str
            Name of a network.
        max_pixels : int
            Larger images are refused before they are decoded.
        progress : callable
            Given the number of windows done and of all windows.

        Raises
        ------
        DataError
            If the file is no image, is damaged or too large, there is no such network, or :meth:`end` was called.
        CheckpointError
            If the network's file cannot be used.
        """
        if network not in self.networks:
            raise DataError(f"no network {network!r}", f"one of {', '.join(self.networks)}")
        # Gradio knows by context variables whose progress it is.
        run = contextvars.copy_context().run
        return self._thread.submit(run, self._segment, picture, network, max_pixels, progress).result()

    def _segment(self, picture: Path, network: str, max_pixels: int, progress: Progress) -> Segmented:
        image = read_picture(picture, max_pixels)
        segmenter, meta = self._open(network)
        total, done, steps = segmenter.forwards(image), 0, segmenter.steps(image, "the picture")
        while not self._ending.is_set():
            progress(min(done, total), total)
            try:
                next(steps)
            except StopIteration as stop:
                palette = np.asarray(meta["palette"], np.uint8)
                return Segmented(image, stop.value, list(meta["classes"]), palette, total)
            done += 1
        raise DataError("the demo is ending")

    def end(self) -> None:
        """Break off after the window under way; nothing is segmented any more."""
        self._ending.set()

    def _open(self, name: str) -> tuple[Any, dict[str, Any]]:
        if not self._loaded or self._loaded[0] != name:
            self._loaded = None  # one network's memory at a time
            self._loaded = (name, *open_network(self.networks[name], self._ctx, self._whole_limit))
        return self._loaded[1:]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._thread.shutdown(cancel_futures=True)
