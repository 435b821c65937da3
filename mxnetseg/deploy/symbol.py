"""A checkpoint as an MXNet symbol: files that any MXNet loads without this package, checked before they appear."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np

from ..engine.checkpoint import load_model
from ..errors import CheckpointError
from ..models.base import SegmentationModel
from .fold import model_graph

__all__ = ["ExportedFiles", "export_symbol", "save_symbol", "verify_symbol"]

ExportedFiles = dict[str, Path]

TOLERANCE = 1e-5

# Runs in an interpreter of its own: only NumPy's removed names and mxnet, nothing of this package.
_RELOAD = """
import sys
import numpy as np
for builtin in (bool, int, float, complex, object, str):
    builtin.__name__ in np.__dict__ or setattr(np, builtin.__name__, builtin)
import mxnet as mx
symbol, params, *inputs = sys.argv[1:]
net = mx.gluon.SymbolBlock.imports(symbol, ["data"], params)
for path in inputs:
    np.save(path + ".out.npy", net(mx.nd.array(np.load(path))).asnumpy())
assert not any(m.split(".")[0] == "mxnetseg" for m in sys.modules), "the package was imported"
"""


def save_symbol(model: SegmentationModel, folder: Path, stem: str) -> ExportedFiles:
    """Write ``<stem>-symbol.json`` and ``<stem>-0000.params`` of the main logits.

    The input is called ``data`` and may have any size; auxiliary heads are not in the files, batch normalisation is
    part of the convolutions.
    """
    graph = model_graph(model)
    symbol = graph.symbol()
    arrays = {f"arg:{n}": mx.nd.array(graph.params[n]) for n in symbol.list_arguments() if n != "data"}
    arrays |= {f"aux:{n}": mx.nd.array(graph.params[n]) for n in symbol.list_auxiliary_states()}
    files = {"symbol": folder / f"{stem}-symbol.json", "params": folder / f"{stem}-0000.params"}
    symbol.save(str(files["symbol"]))
    mx.nd.save(str(files["params"]), arrays)
    return files


def verify_symbol(model: SegmentationModel, files: ExportedFiles, sizes: Sequence[tuple[int, int]]) -> float:
    """Reload the files in a fresh interpreter without this package and compare the logits.

    Parameters
    ----------
    model : SegmentationModel
        The network the files were written from, on the CPU.
    files : dict
        As :func:`save_symbol` returned it.
    sizes : sequence of (int, int)
        Input sizes (height, width) to compare at.

    Returns
    -------
    float
        Largest relative error, max |a - b| / max |b|, over the sizes.

    Raises
    ------
    CheckpointError
        If the files cannot be loaded or the error exceeds 1e-5.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = [_write_input(Path(folder), size) for size in sizes]
        words = [str(files["symbol"]), str(files["params"]), *map(str, inputs)]
        done = subprocess.run([sys.executable, "-I", "-c", _RELOAD, *words], capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise CheckpointError(f"the exported symbol does not load: {lines[-1]}", "a symbol that MXNet alone runs")
        errors = []
        for path in inputs:
            expected = model.predict(mx.nd.array(np.load(path))).asnumpy()
            got = np.load(f"{path}.out.npy")
            errors.append(_relative_error(got, expected))
    if not max(errors) <= TOLERANCE:
        listed = ", ".join(f"{e:.2g} at {h}x{w}" for e, (h, w) in zip(errors, sizes, strict=True))
        raise CheckpointError(f"the exported symbol differs from the network: {listed}", f"at most {TOLERANCE:g}")
    return max(errors)


def _write_input(folder: Path, size: tuple[int, int]) -> Path:
    path = folder / f"{size[0]}x{size[1]}.npy"
    np.save(path, np.random.default_rng(0).standard_normal((1, 3, *size), np.float32))
    return path


def _relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest value; infinite where the shapes differ."""
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _describe(
    model: SegmentationModel, meta: dict[str, Any], files: ExportedFiles, checkpoint: Path, error: float
) -> dict[str, Any]:
    """Content of the metadata file."""
    kept = ("classes", "palette", "mean", "std", "model", "data", "metrics", "epoch", "step", "created", "versions")
    return {
        "format": 1,
        "input": {
            "name": "data",
            "layout": "NCHW",
            "channels": "RGB",
            "dtype": "float32",
            "range": "(x/255 - mean)/std",
            "divisor": model.divisor,
            "min_size": model.min_size,
        },
        "output": {"layout": "NCHW", "meaning": "logits per class, at the input's size"},
        **{key: meta.get(key) for key in kept},
        "checkpoint": {"file": checkpoint.name, "sha256": _digest(checkpoint)},
        "max_relative_error": error,
        "files": {path.name: _digest(path) for path in files.values()},
    }


def export_symbol(
    checkpoint: str | Path,
    out: str | Path | None = None,
    sizes: Sequence[tuple[int, int]] = ((128, 192), (96, 64)),
) -> tuple[ExportedFiles, float]:
    """Export a checkpoint as symbol, parameters and metadata; all three appear only when the check has passed.

    Parameters
    ----------
    checkpoint : path
        Weights written by training.
    out : path, optional
        Folder; the checkpoint's own when empty.
    sizes : sequence of (int, int)
        Input sizes (height, width) of the check; rounded up to what the network accepts.

    Returns
    -------
    files : dict of str to Path
        ``symbol``, ``params`` and ``meta``.
    error : float
        Largest relative error of the check.

    Raises
    ------
    CheckpointError
        If the checkpoint is unusable or the check fails; nothing is left behind then.
    """
    checkpoint = Path(checkpoint)
    out = Path(out) if out else checkpoint.parent
    model, loaded = load_model(checkpoint, mx.cpu())
    out.mkdir(parents=True, exist_ok=True)
    d = model.divisor
    sizes = [(-(-h // d) * d, -(-w // d) * d) for h, w in sizes]
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-", suffix=".tmp") as folder:
        files = save_symbol(model, Path(folder), checkpoint.stem)
        error = verify_symbol(model, files, sizes)
        files["meta"] = Path(folder) / f"{checkpoint.stem}-meta.json"
        described = _describe(model, loaded.meta, {k: files[k] for k in ("symbol", "params")}, checkpoint, error)
        files["meta"].write_text(json.dumps(described, indent=1))
        for kind, path in files.items():
            os.replace(path, out / path.name)
            files[kind] = out / path.name
    return files, error
