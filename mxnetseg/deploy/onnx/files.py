"""A checkpoint as an ONNX file that is written only if ONNX Runtime computes what MXNet computes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from ...engine.atomic import replace_file
from ...engine.checkpoint import load_model
from ...errors import CheckpointError, ConfigError
from ...models.base import SegmentationModel
from ..fold import model_graph
from .translate import OUTPUTS, Form, build_onnx

__all__ = ["LABELS", "TOLERANCE", "OnnxOptions", "Parity", "check_onnx", "export_onnx", "onnx_model", "write_onnx"]

# Largest relative difference of scores, smallest share of equal labels.
TOLERANCE, LABELS = 1e-4, 0.9999

Size = tuple[int, int]


@dataclass(frozen=True)
class OnnxOptions:
    """What the user chooses.

    Attributes
    ----------
    size : (int, int), optional
        Height and width, if they are to be fixed; otherwise the file takes any.
    output : {"logits", "probabilities", "labels"}
        What comes out.
    raw : bool
        Whether RGB pixels go in (uint8), instead of normalised values.

    Raises
    ------
    ConfigError
        If the output is unknown.
    """

    size: Size | None = None
    output: str = "logits"
    raw: bool = False

    def __post_init__(self):
        if self.output not in OUTPUTS:
            raise ConfigError(f"unknown output {self.output!r}", f"one of {', '.join(OUTPUTS)}")


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime's results are from MXNet's.

    Attributes
    ----------
    error : float
        Largest difference of scores relative to the largest score.
    labels : float
        Share of pixels with the same class.
    """

    error: float
    labels: float

    @property
    def holds(self) -> bool:
        """Whether the file may be written."""
        return self.error <= TOLERANCE and self.labels >= LABELS


def onnx_model(
    model: SegmentationModel,
    options: OnnxOptions,
    metadata: dict[str, str],
    **normalisation: Sequence[float],
) -> tuple[ModelProto, Form, str]:
    """ONNX model of a network, its form, and the name of the scores inside; arguments as of :class:`Form`."""
    sizes = {"divisor": model.divisor, "min_size": model.min_size}
    form = Form(options.raw, options.output, options.size, **normalisation, **sizes)
    built, scores = build_onnx(model_graph(model), form, metadata)
    return built, form, scores


def check_onnx(
    model: SegmentationModel, built: ModelProto, form: Form, scores: str, sizes: Sequence[Size]
) -> list[Parity]:
    """Compare ONNX Runtime with MXNet on generated images, at every size: one image at the first, two at the others.

    Parameters
    ----------
    model : SegmentationModel
        The network, on the CPU.
    built : ModelProto
        Its ONNX form.
    form : Form
        Input and output of it.
    scores : str
        Name of the class scores inside the graph.
    sizes : sequence of (int, int)
        Heights and widths.

    Returns
    -------
    list of Parity
        One for each size.

    Raises
    ------
    CheckpointError
        If ONNX Runtime cannot run the graph.
    """
    batches = [_images(form, i, *size) for i, size in enumerate(sizes)]
    try:
        onnx.checker.check_model(built)
        got = [*_run(_with_scores(built, scores), [scores], batches)]
        final = got if form.output == "logits" else [*_run(built, [form.output], batches)]
    except Exception as error:  # ONNX Runtime's and the checker's errors have no common class
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"ONNX Runtime does not run the graph: {reason}", "a graph that it runs") from error
    expected = [_expected(model, form, batch) for batch in batches]
    return [_parity(*arrays, form.output) for arrays in zip(got, final, expected, strict=True)]


def _images(form: Form, seed: int, height: int, width: int) -> np.ndarray:
    rng, count = np.random.default_rng(seed), 1 if seed == 0 else 2
    if form.raw:
        return rng.integers(0, 256, (count, height, width, 3), np.uint8)
    return rng.standard_normal((count, 3, height, width), np.float32)


def _with_scores(built: ModelProto, scores: str) -> ModelProto:
    """The model with its class scores as only output."""
    model = ModelProto()
    model.CopyFrom(built)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(scores, TensorProto.FLOAT, ["N", "K", "h", "w"]))
    return model


def _run(model: ModelProto, outputs: list[str], batches: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0").split(",")[0])
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    for batch in batches:
        yield session.run(outputs, {session.get_inputs()[0].name: batch})[0]


def _expected(model: SegmentationModel, form: Form, batch: np.ndarray) -> np.ndarray:
    """MXNet's scores of images of any size."""
    if form.raw:
        factor = np.array([1 / (255 * s) for s in form.std], np.float32)
        offset = np.array([-m / s for m, s in zip(form.mean, form.std, strict=True)], np.float32)
        batch = (batch * factor + offset).transpose(0, 3, 1, 2)
    height, width = batch.shape[2:]
    full = [-(-max(side, form.min_size) // form.divisor) * form.divisor for side in (height, width)]
    batch = np.pad(batch, ((0, 0), (0, 0), (0, full[0] - height), (0, full[1] - width)))
    return model.predict(mx.nd.array(batch)).asnumpy()[:, :, :height, :width]


def _parity(scores: np.ndarray, final: np.ndarray, expected: np.ndarray, output: str) -> Parity:
    if scores.shape != expected.shape:
        return Parity(float("inf"), 0.0)
    largest = max(float(np.abs(expected).max()), 1e-12)
    error = float(np.abs(scores - expected).max() / largest)
    if output == "probabilities":
        exps = np.exp(expected - expected.max(axis=1, keepdims=True))
        error = max(error, float(np.abs(final - exps / exps.sum(axis=1, keepdims=True)).max()))
    labels = final if output == "labels" else final.argmax(axis=1)
    equal = float((labels == expected.argmax(axis=1)).mean())
    return Parity(error if np.isfinite(error) else float("inf"), equal)


def export_onnx(
    checkpoint: str | Path,
    out: str | Path | None = None,
    options: OnnxOptions | None = None,
    sizes: Sequence[Size] = ((128, 192), (96, 64)),
) -> tuple[Path, Parity]:
    """Write ``<checkpoint's name>.onnx`` and its SHA-256 beside it, if the check is passed.

    Parameters
    ----------
    checkpoint : path
        Weights written by training.
    out : path, optional
        Folder; the checkpoint's own when empty.
    options : OnnxOptions, optional
        Input, output, size.
    sizes : sequence of (int, int)
        Input sizes of the check, if the size is not fixed.

    Returns
    -------
    path : Path
        The file.
    parity : Parity
        The worst over the sizes.

    Raises
    ------
    ConfigError
        If an operator has no ONNX form.
    CheckpointError
        If the checkpoint is unusable or the check fails; nothing is written then.
    """
    checkpoint, options = Path(checkpoint), options or OnnxOptions()
    path = (Path(out) if out else checkpoint.parent) / f"{checkpoint.stem}.onnx"
    model, loaded = load_model(checkpoint, mx.cpu())
    normalisation = {key: loaded.meta[key] for key in ("mean", "std") if loaded.meta.get(key)}
    metadata = _metadata(loaded.meta, checkpoint, options)
    built, form, scores = onnx_model(model, options, metadata, **normalisation)
    results = check_onnx(model, built, form, scores, [options.size] if options.size else sizes)
    worst = Parity(max(r.error for r in results), min(r.labels for r in results))
    if not worst.holds:
        raise CheckpointError(
            f"ONNX Runtime differs from MXNet: scores by {worst.error:.2g}, {worst.labels:.4%} of the labels are equal",
            f"at most {TOLERANCE:g}, and at least {LABELS:.2%}",
            "nothing was written; please report the network",
        )
    helper.set_model_props(built, metadata | {"parity": json.dumps({"error": worst.error, "labels": worst.labels})})
    write_onnx(path, built.SerializeToString())
    return path, worst


def write_onnx(path: Path, data: bytes) -> None:
    """Write a file and, beside it, its SHA-256.

    Raises
    ------
    CheckpointError
        If that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
        replace_file(
            path.with_name(path.name + ".sha256"), f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode()
        )
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror}", "a writable folder with enough space"
        ) from error


def _metadata(meta: dict[str, Any], checkpoint: Path, options: OnnxOptions) -> dict[str, str]:
    """Entries of the file's metadata, each in JSON."""
    kept = ("classes", "palette", "mean", "std", "model", "data", "metrics", "epoch", "step", "created", "versions")
    source = {"file": checkpoint.name, "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest()}
    entries = {"format": 1, "raw": options.raw, "output": options.output, "checkpoint": source}
    return {key: json.dumps(value) for key, value in (entries | {k: meta.get(k) for k in kept}).items()}
