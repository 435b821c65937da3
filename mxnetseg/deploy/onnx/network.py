"""An exported ONNX file as a network of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np

from ...errors import CheckpointError
from ..runtime import OnnxSegmenter

__all__ = ["OnnxNetwork"]


class OnnxNetwork:
    """What ``mxnetseg export --format onnx`` wrote, with the members of a model that inference uses.

    Parameters
    ----------
    path : path
        The file.
    threads : int
        Threads of ONNX Runtime; 0 leaves the choice to it.

    Attributes
    ----------
    meta : dict
        What the file says of itself: classes, palette, mean, std and more.
    size : (int, int) or None
        Height and width, where they are fixed.
    divisor, min_size : int
        1: the graph fills up the images itself.

    Raises
    ------
    CheckpointError
        If the file is missing or was not written by ``mxnetseg export``.
    """

    divisor = min_size = 1

    def __init__(self, path: str | Path, threads: int = 0):
        try:
            self._runtime = OnnxSegmenter(path, threads)
        except ValueError as error:
            raise CheckpointError(str(error), "a file that `mxnetseg export --format onnx` wrote") from error
        self.meta: dict[str, Any] = self._runtime.meta
        self.size = self._runtime.size

    def inference(self, batch: mx.nd.NDArray) -> mx.nd.NDArray:
        """Logits (N, K, h, w) of normalised images (N, 3, h, w).

        Probabilities become their logarithms, labels the certainty of one class: their softmax is what was given.
        """
        images = batch.asnumpy()
        if self.meta["raw"]:
            images = self._pixels(images)
        results = [self._runtime.run(image) for image in images]
        return mx.nd.array(np.stack([self._logits(result) for result in results]))

    def _pixels(self, images: np.ndarray) -> np.ndarray:
        """Normalised images as pixels again, uint8 (N, h, w, 3)."""
        mean, std = (np.array(self.meta[key], np.float32)[:, None, None] for key in ("mean", "std"))
        return np.rint((images * std + mean) * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)

    def _logits(self, result: np.ndarray) -> np.ndarray:
        if self.meta["output"] == "probabilities":
            return np.log(np.maximum(result, np.finfo(np.float32).tiny))
        if self.meta["output"] == "labels":
            classes = np.arange(len(self._runtime.classes) or int(result.max()) + 1)
            return np.where(result == classes[:, None, None], np.float32(0), np.float32(-80))
        return result
