"""Checkpoints: MXNet's own .params format, with metadata, a checksum and atomic replacement.

A file is an ordinary ``.params`` file (any MXNet reads it with ``load_parameters`` or ``mx.nd.load``), followed by
a trailer::

    JSON metadata | length of the JSON, 8 bytes little endian | SHA-256 of all before, 32 bytes | b"MXNETSEG-TRAIL-1"

MXNet's header has 8 reserved bytes, which it ignores; they hold ``b"MXNETSEG"``, so that a file that lost its trailer
is known to be damaged. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mxnet as mx
from mxnet import nd

from ..errors import CheckpointError
from .atomic import replace_file

if TYPE_CHECKING:
    from ..models.base import SegmentationModel

__all__ = ["Checkpoint", "load_checkpoint", "load_model", "read_meta", "save_checkpoint"]

_MARK = b"MXNETSEG"
_MAGIC = b"MXNETSEG-TRAIL-1"
_LIST = 0x112  # kMXAPINDArrayListMagic
_FOOTER = 8 + 32 + len(_MAGIC)
_EXTRA = "extra:"


@dataclass
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    params : dict of str to NDArray
        Parameters by structural name, on the CPU.
    meta : dict
        Metadata; empty for a plain ``save_parameters`` file.
    extra : dict of str to NDArray
        Further arrays (optimizer states, averages); empty in weights files.
    """

    params: dict[str, nd.NDArray]
    meta: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, nd.NDArray] = field(default_factory=dict)


def _serialize(arrays: dict[str, nd.NDArray]) -> bytearray:
    """MXNet's list format; each array in MXNet's own encoding, on the CPU."""
    out = bytearray(struct.pack("<Q8sQ", _LIST, _MARK, len(arrays)))
    for array in arrays.values():
        out += array.as_in_context(mx.cpu()).__getstate__()["handle"]
    out += struct.pack("<Q", len(arrays))
    for name in arrays:
        encoded = name.encode()
        out += struct.pack("<Q", len(encoded)) + encoded
    return out


def save_checkpoint(
    path: str | Path,
    params: dict[str, nd.NDArray],
    meta: dict[str, Any],
    extra: dict[str, nd.NDArray] | None = None,
) -> str:
    """Write a checkpoint atomically, and ``<path>.sha256`` beside it (``sha256sum -c`` checks it).

    Either the new file is complete on disk when this returns, or the previous one is untouched.

    Parameters
    ----------
    path : path
        Target; its folder is made.
    params : dict of str to NDArray
        Parameters by structural name.
    meta : dict
        What JSON can hold.
    extra : dict of str to NDArray, optional
        Further arrays; a file with some is not for ``load_parameters``.

    Returns
    -------
    str
        SHA-256 of the file, hexadecimal.

    Raises
    ------
    CheckpointError
        If it cannot be written (disk full, no permission).
    """
    path = Path(path)
    data = _serialize({**params, **{_EXTRA + name: array for name, array in (extra or {}).items()}})
    text = json.dumps(meta, ensure_ascii=False).encode()
    data += text + struct.pack("<Q", len(text))
    data += hashlib.sha256(data).digest() + _MAGIC
    checksum = hashlib.sha256(data).hexdigest()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
        replace_file(path.with_name(path.name + ".sha256"), f"{checksum}  {path.name}\n".encode())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kept = "the previous file is intact" if path.exists() else "nothing was written"
        raise CheckpointError(
            f"cannot write {path}: {error.strerror}; {kept}",
            f"{len(data) / 2**20:.1f} MiB of free space" if full else "a writable folder",
            "free some space" if full else "choose another folder with train.weights_dir=DIR",
        ) from error
    return checksum


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {why}", "a complete checkpoint", "use another one, or copy it again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        near = sorted(path.parent.glob("*.params")) if path.parent.is_dir() else []
        hint = f"in that folder: {', '.join(p.name for p in near[:5])}" if near else ""
        raise CheckpointError(f"cannot read {path}: {error.strerror}", "an existing checkpoint", hint) from error


def _split(path: Path, data: bytes) -> tuple[dict[str, Any], bool]:
    """Metadata of verified contents, and whether the file is one of ours."""
    if len(data) < 16 or struct.unpack_from("<Q", data)[0] != _LIST:
        raise CheckpointError(f"{path} is not an MXNet parameter file", "a .params or .state file")
    ours = data[8:16] == _MARK
    if not ours and not data.endswith(_MAGIC):
        return {}, False
    if not (ours and data.endswith(_MAGIC)):
        raise _damaged(path, "its end is missing" if ours else "its header was changed")
    body = len(data) - _FOOTER
    if hashlib.sha256(memoryview(data)[: body + 8]).digest() != data[body + 8 : body + 40]:
        raise _damaged(path, "its checksum does not match")
    length = struct.unpack_from("<Q", data, body)[0]
    return json.loads(data[body - length : body]), True


def _check_side_file(path: Path, data: bytes) -> None:
    side = path.with_name(path.name + ".sha256")
    with contextlib.suppress(OSError):
        words = side.read_text().split()
        if words and words[0] != hashlib.sha256(data).hexdigest():
            raise _damaged(path, f"its checksum is not the one in {side.name}")


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read and verify a checkpoint, or a plain ``save_parameters`` file (whose metadata are empty).

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or no parameter file.
    """
    path = Path(path)
    data = _read(path)
    meta, ours = _split(path, data)
    if not ours:
        _check_side_file(path, data)
    try:
        arrays = nd.load_frombuffer(data)
    except (mx.MXNetError, ValueError) as error:
        raise _damaged(path, "MXNet cannot read its arrays") from error
    if not isinstance(arrays, dict):
        raise CheckpointError(f"{path} holds arrays without names", "a file of named parameters")
    params = {name.removeprefix("arg:").removeprefix("aux:"): a for name, a in arrays.items()}
    extra = {name.removeprefix(_EXTRA): params.pop(name) for name in list(params) if name.startswith(_EXTRA)}
    return Checkpoint(params, meta, extra)


def read_meta(path: str | Path) -> dict[str, Any]:
    """Metadata of a checkpoint without its arrays and without the checksum's cost.

    Raises
    ------
    CheckpointError
        If the file cannot be read or its trailer is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - _FOOTER))
            footer = file.read()
            if size < _FOOTER or not footer.endswith(_MAGIC):
                return {}
            length = struct.unpack_from("<Q", footer)[0]
            file.seek(max(0, size - _FOOTER - length))
            return json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", "an existing checkpoint") from error
    except ValueError as error:
        raise _damaged(path, "its metadata are not readable") from error


def load_model(
    path: str | Path, ctx: mx.Context | list[mx.Context] | None = None
) -> tuple[SegmentationModel, Checkpoint]:
    """Build the network that a checkpoint describes and load its weights strictly.

    Parameters
    ----------
    path : path
        Weights file written by training.
    ctx : Context or list of Context, optional
        Where the network goes; the CPU when empty.

    Returns
    -------
    model : SegmentationModel
    checkpoint : Checkpoint

    Raises
    ------
    CheckpointError
        If the file has no metadata, or its tensors are not exactly those of the network.
    """
    from ..config import ModelConfig
    from ..models import build_model
    from .weights import load_strictly

    checkpoint = load_checkpoint(path)
    if "model" not in checkpoint.meta:
        raise CheckpointError(
            f"{path} does not say which network it belongs to",
            "a file written by `mxnetseg train`",
            "plain parameter files: name the network yourself and use its load_parameters",
        )
    # The weights are in the file: no other source is consulted.
    values = {**checkpoint.meta["model"], "pretrained": False, "init": None}
    model = build_model(ModelConfig(**values), checkpoint.meta["num_classes"])
    load_strictly(model, checkpoint.params, str(path), ctx or mx.cpu())
    return model, checkpoint
