"""The fast form of a network, for prediction, and how its labels compare with the network's own."""

from __future__ import annotations

import zlib
from typing import Any

import mxnet as mx
import numpy as np

from ..data import Example
from ..errors import DataError
from ..models.base import SegmentationModel
from .fold import folded_network

__all__ = ["LEAST_EQUAL", "Comparison", "FastModel", "fast_network"]

# Share of equal labels below which the fast form must not stand for the network.
LEAST_EQUAL = 0.9999


def fast_network(model: Any, ctx: mx.Context) -> Any:
    """Network (N, 3, h, w) -> logits with batch normalisation folded; what was exported is in its fast form already."""
    return folded_network(model, ctx) if isinstance(model, SegmentationModel) else model.inference


class FastModel:
    """A model in its fast form, for the evaluator; everything but ``inference`` is the model's.

    Parameters
    ----------
    model : SegmentationModel
    ctx : mx.Context or list of mx.Context
        Where the parameters go.

    Attributes
    ----------
    inference : gluon.SymbolBlock
        (N, 3, h, w) in, class scores (N, K, h, w) out.
    """

    def __init__(self, model: SegmentationModel, ctx: mx.Context | list[mx.Context]):
        self._model, self.inference = model, folded_network(model, ctx)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class Comparison:
    """Two predictions of the same images: the first ones are kept, compressed, until the second ones come."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._equal = self._pixels = 0

    def keep(self, example: Example, labels: np.ndarray) -> None:
        """Take a first prediction, class indices (H, W)."""
        self._kept[example.name] = zlib.compress(labels.tobytes(), 1)

    def compare(self, example: Example, labels: np.ndarray) -> None:
        """Take the second prediction of the same image.

        Raises
        ------
        DataError
            If there was no first one of its size.
        """
        kept = np.frombuffer(zlib.decompress(self._kept.pop(example.name, zlib.compress(b""))), labels.dtype)
        if kept.size != labels.size:
            raise DataError(f"{example.name}: no first prediction of its size", "two predictions of the same images")
        self._equal += int((kept == labels.ravel()).sum())
        self._pixels += labels.size

    @property
    def equal(self) -> float:
        """Share of pixels with the same class."""
        return self._equal / max(self._pixels, 1)
