"""A quantized ONNX file beside the one in float32, if it is faster and loses little."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper

from ...tools.machine import threads
from ..calibration import CalibrationImages, whole_image
from ..judgement import Say, Segment, first_that_holds
from ..runtime import OnnxSegmenter
from .files import write_onnx
from .int8 import convolutions, quantize_onnx

__all__ = ["reduce_onnx"]


def reduce_onnx(path: Path, images: CalibrationImages, say: Say) -> Path | None:
    """Write ``<stem>_int8.onnx`` and its SHA-256 beside a file of `mxnetseg export`, if it is worth having.

    Parameters
    ----------
    path : Path
        The file in float32.
    images : CalibrationImages
        What to calibrate with, and to judge by.
    say : callable
        Told the figures of every attempt.

    Returns
    -------
    Path or None
        None if int8 is slower, or loses too much whatever stays in float32.

    Raises
    ------
    ConfigError
        If ONNX Runtime cannot quantize the network.
    CheckpointError
        If the file cannot be written.
    """
    model, reference = onnx.load(str(path)), OnnxSegmenter(path, threads())
    names = convolutions(model)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-", suffix=".tmp") as folder:

        def make(first: int, last: int) -> tuple[ModelProto, Segment]:
            excluded = names[:first] + names[len(names) - last :]
            made = quantize_onnx(model, _batches(reference, images), Path(folder), excluded)
            candidate = Path(folder) / "candidate.onnx"
            onnx.save(made, str(candidate))
            return made, OnnxSegmenter(candidate, threads()).labels

        found = first_that_holds(make, len(names), reference.labels, images, say)
    if found is None:
        return None
    made, judgement = found
    facts = {"name": "int8", **judgement.as_dict()}
    entries = {entry.key: entry.value for entry in made.metadata_props} | {"precision": json.dumps(facts)}
    helper.set_model_props(made, entries)
    target = path.with_name(f"{path.stem}_int8.onnx")
    write_onnx(target, made.SerializeToString())
    return target


def _batches(reference: OnnxSegmenter, images: CalibrationImages) -> Iterator[np.ndarray]:
    """What goes into the file, for every image to calibrate with."""
    for image in images.one_size(reference.size):
        raw = reference.meta["raw"]
        yield image[None] if raw else whole_image(image, reference.meta["mean"], reference.meta["std"])
