"""Deployment: networks that run without this package."""

from typing import Any

__all__ = ["OnnxSegmenter"]


def __getattr__(name: str) -> Any:
    """Import what needs ONNX Runtime only when it is asked for."""
    if name == "OnnxSegmenter":
        from .runtime import OnnxSegmenter

        return OnnxSegmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
