"""Checkpoints: MXNet's own .params format, with metadata, a checksum and atomic replacement.

A file is an ordinary ``.params`` file (any MXNet reads it with ``load_parameters`` or ``mx.nd.load``), followed by
a trailer (see :mod:`mxnetseg.models.params_file`). Nothing is pickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import mxnet as mx
from mxnet import nd
from pydantic import BaseModel, Field, ValidationError

from ..errors import CheckpointError
from ..models.params_file import FOOTER, LIST, MAGIC, MARK, damaged, parse_meta, read_params_file
from .atomic import keep, replace_file, replacing

if TYPE_CHECKING:
    from ..models.base import SegmentationModel

__all__ = ["Checkpoint", "load_checkpoint", "load_model", "read_meta", "save_checkpoint"]

_EXTRA = "extra:"
_ELSEWHERE = "choose another folder with train.weights_dir=DIR"
# What is missing, and what helps, where a file does not fit.
_NO_ROOM = {
    errno.ENOSPC: ("{} of free space", f"free some space, or {_ELSEWHERE}"),
    errno.EDQUOT: ("{} of quota", f"free some space, or {_ELSEWHERE}"),
    errno.EFBIG: ("files of {}", "raise the limit of file sizes (`ulimit -f unlimited`)"),
}


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
    out = bytearray(struct.pack("<Q8sQ", LIST, MARK, len(arrays)))
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
    previous: Path | None = None,
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
    previous : Path, optional
        Name under which the file that is replaced is kept.

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
    data += hashlib.sha256(data).digest() + MAGIC
    checksum = hashlib.sha256(data).hexdigest()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
            if previous:
                keep(path, previous)
        replace_file(path.with_name(path.name + ".sha256"), f"{checksum}  {path.name}\n".encode())
    except OSError as error:
        kept = "the previous file is intact" if path.exists() else "nothing was written"
        expected, remedy = _NO_ROOM.get(error.errno, ("a writable folder", _ELSEWHERE))
        raise CheckpointError(
            f"cannot write {path}: {error.strerror}; {kept}", expected.format(f"{len(data):,} bytes"), remedy
        ) from error
    return checksum


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read and verify a checkpoint, or a plain ``save_parameters`` file (whose metadata are empty).

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or no parameter file.
    """
    params, meta = read_params_file(Path(path))
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
            file.seek(max(0, size - FOOTER))
            footer = file.read()
            if size < FOOTER or not footer.endswith(MAGIC):
                return {}
            length = min(struct.unpack_from("<Q", footer)[0], size - FOOTER)
            file.seek(size - FOOTER - length)
            return parse_meta(path, file.read(length))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", "an existing checkpoint") from error


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
    try:
        facts = _Facts.model_validate(checkpoint.meta)
        # The weights are in the file: no other source is consulted.
        config = ModelConfig(**{**facts.model, "pretrained": False, "init": None})
    except ValidationError as error:
        first = error.errors()[0]
        raise damaged(path, f"metadata {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    model = build_model(config, facts.num_classes)
    load_strictly(model, checkpoint.params, str(path), ctx or mx.cpu())
    return model, checkpoint


class _Facts(BaseModel):
    """What the metadata of a network's weights must say."""

    model: dict[str, Any]
    num_classes: Annotated[int, Field(gt=0, le=32767)]
