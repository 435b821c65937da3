"""Weights files of other programs, read without executing anything that they contain."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CheckpointError, UserError
from .plain import looks_like_safetensors, read_npz, read_safetensors
from .state import State, find_state, strip_prefix
from .torch_file import Arrays, read_legacy, read_zip

__all__ = ["Source", "read_source"]

# Archives may expand to this many bytes, or to this many times their size, whichever is more.
MAX_BYTES, MAX_EXPANSION = 2**28, 20
_PARAMS = b"\x12\x01\0\0\0\0\0\0"


@dataclass
class Source:
    """A weights file.

    Attributes
    ----------
    path : Path
        Where it is.
    kind : str
        Its format, in words.
    sha256 : str
        Of the whole file, hexadecimal.
    arrays : dict of str to ndarray
        Weights by name.
    others : list of str
        Entries beside the weights that are no tensors.
    notes : list of str
        What was unwrapped, taken away or left behind.
    """

    path: Path
    kind: str
    sha256: str
    arrays: dict[str, np.ndarray]
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_source(path: str | Path, entry: str | None = None) -> Source:
    """Read the weights of a PyTorch, NumPy, safetensors or MXNet file; its content decides, not its name.

    Parameters
    ----------
    path : path
        File.
    entry : str, optional
        Entry of a PyTorch checkpoint that holds the weights, where there are several.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind, or wants anything but tensors.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", "an existing weights file") from error
    kind, state = _read(data, path, entry)
    if not state.tensors:
        raise CheckpointError(f"{path} holds no tensors", "a file of named tensors")
    return Source(path, kind, hashlib.sha256(data).hexdigest(), state.tensors, state.others, state.notes)


def _read(data: bytes, path: Path, entry: str | None) -> tuple[str, State]:
    """Format and weights."""
    what = str(path)
    if data.startswith(b"PK"):
        return _read_archive(data, what, entry)
    if data.startswith(b"\x80"):
        return "PyTorch, legacy", _with_arrays(read_legacy(data, what), what, entry)
    if data.startswith(_PARAMS):
        return "MXNet .params", _plain(_read_params(path))
    if looks_like_safetensors(data):
        return "safetensors", _plain(read_safetensors(data, what))
    is_tar = data[257:262] == b"ustar"
    raise CheckpointError(
        f"{what} is {'a tar archive' if is_tar else 'of an unknown kind'}",
        "a file of PyTorch (.pth, .pt), an .npz, .safetensors or MXNet .params file",
        "unpack it first" if is_tar else "",
    )


def _read_archive(data: bytes, what: str, entry: str | None) -> tuple[str, State]:
    """Weights in a zip archive: PyTorch's or NumPy's."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        _check_expansion(archive, len(data), what)
        names = archive.namelist()
        if names and all(name.endswith(".npy") for name in names):
            return "NumPy .npz", _plain(read_npz(archive, what))
        return "PyTorch", _with_arrays(read_zip(archive, what), what, entry)
    except UserError:
        raise
    except Exception as error:  # whatever the bytes provoke, it is their fault
        raise CheckpointError(
            f"{what} is damaged: its archive cannot be read ({str(error)[:100]})", "a complete file"
        ) from error


def _check_expansion(archive: zipfile.ZipFile, size: int, what: str) -> None:
    """Refuse archives that would fill the memory."""
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if total > max(MAX_BYTES, MAX_EXPANSION * size):
        raise CheckpointError(
            f"{what} would expand from {size} to {total} bytes", f"at most {MAX_EXPANSION} times the file's size"
        )
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise CheckpointError(f"{what} is compressed in an unusual way", "an archive that is stored or deflated")


def _with_arrays(content: tuple[Any, Arrays], what: str, entry: str | None) -> State:
    """Weights of a PyTorch file as arrays."""
    value, arrays = content
    state = find_state(value, what, entry)
    state.tensors = {name: arrays(tensor) for name, tensor in state.tensors.items()}
    return state


def _plain(arrays: dict[str, np.ndarray]) -> State:
    """Weights of a file without wrappers."""
    tensors, notes = strip_prefix(arrays)
    return State(tensors, [], notes)


def _read_params(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an MXNet file that is not one of ours."""
    from ...engine.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    if checkpoint.meta:
        raise CheckpointError(
            f"{path} is a checkpoint of this program already", "a file of another program", "use it as it is"
        )
    return {name: array.asnumpy() for name, array in checkpoint.params.items()}
