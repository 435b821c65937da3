"""Which networks a page offers, and how each kind of file is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.lookup import find_checkpoint
from ..errors import CheckpointError
from ..ready import find_ready, ready_weights

__all__ = ["find_networks", "open_network"]

_ONNX, _SYMBOL = ".onnx", "-symbol.json"


def find_networks(given: Sequence[str], weights: str | Path = "weights") -> dict[str, Path]:
    """Files to choose from by the name shown.

    Parameters
    ----------
    given : sequence of str
        Paths, or names of checkpoints in `weights`; when empty everything there, the newest first, and what is shipped.
    weights : path
        Folder of the models' folders.

    Raises
    ------
    CheckpointError
        If one does not exist, or is of another kind.
    """
    paths = [_existing(name, weights) for name in given] or [*_newest_first(Path(weights)), *_shipped(Path(weights))]
    names = [path.name for path in paths]
    return {path.name if names.count(path.name) == 1 else str(path): path for path in paths}


def _existing(name: str, weights: str | Path) -> Path:
    path = Path(name)
    if path.name.endswith((_ONNX, _SYMBOL)):
        if not path.is_file():
            raise CheckpointError(f"no file {path}", "what `mxnetseg export` wrote")
        return path
    path = find_checkpoint(name, weights=weights)
    if path.suffix != ".params":
        raise CheckpointError(f"{path} is no network", "a .params, -symbol.json or .onnx file")
    return path


def _shipped(weights: Path) -> list[Path]:
    """Ready weights that are not in `weights` anyway."""
    return [
        path
        for name, entry in ready_weights().items()
        if entry.url is None and not (weights / f"{name}.params").exists() and (path := find_ready(name, weights))
    ]


def _newest_first(folder: Path) -> list[Path]:
    """Networks of a folder; the parameters of exported symbols are no networks of their own."""
    found = [path for pattern in ("*.params", f"*{_SYMBOL}", f"*{_ONNX}") for path in folder.rglob(pattern)]
    found = [path for path in found if not path.name.endswith("-0000.params")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def open_network(path: Path, ctx: Any, whole_limit: float) -> tuple[Any, dict[str, Any]]:
    """Load a network.

    Parameters
    ----------
    path : Path
        One of :func:`find_networks`.
    ctx : mx.Context
        Device; ONNX files run on the processor.
    whole_limit : float
        Largest image run in one forward, in million pixels.

    Returns
    -------
    segmenter : ImageSegmenter
    meta : dict
        ``classes``, ``palette``, ``mean``, ``std`` and what else the file says of itself.

    Raises
    ------
    CheckpointError
        If the file is damaged, or does not say what it needs to be used.
    """
    from ..predict import ImageSegmenter

    model, meta, fixed = _load(path, ctx)
    if missing := [key for key in ("classes", "palette", "mean", "std") if not meta.get(key)]:
        raise CheckpointError(f"{path.name} does not say its {', '.join(missing)}", "a file that this package wrote")
    windows = {"protocol": "slide", "crop": fixed} if fixed else {}
    return ImageSegmenter(model, meta, ctx, whole_limit=whole_limit, **windows), meta


def _load(path: Path, ctx: Any) -> tuple[Any, dict[str, Any], tuple[int, int] | None]:
    """Network, metadata, and the size if it is fixed."""
    if path.suffix == _ONNX:
        from ..deploy.onnx.network import OnnxNetwork

        network = OnnxNetwork(path)
        return network, network.meta, network.size
    if path.name.endswith(_SYMBOL):
        from ..deploy.exported import ExportedNetwork

        exported = ExportedNetwork(path, ctx)
        return exported, exported.meta, None
    from ..engine.checkpoint import load_model

    model, loaded = load_model(path, ctx)
    return model, loaded.meta, None
