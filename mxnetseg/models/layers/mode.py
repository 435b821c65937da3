"""Which kind of graph is being built: for training, or for inference only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["building_for_inference", "inference_graph"]

_INFERENCE: ContextVar[bool] = ContextVar("mxnetseg_inference_graph", default=False)


@contextmanager
def inference_graph() -> Iterator[None]:
    """Layers called inside build the operators that are best when no gradient is needed."""
    token = _INFERENCE.set(True)
    try:
        yield
    finally:
        _INFERENCE.reset(token)


def building_for_inference() -> bool:
    """Whether the layer that asks is being built into an inference-only graph."""
    return _INFERENCE.get()
