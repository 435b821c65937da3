"""Files of named arrays without code: NumPy's .npz and .safetensors."""

from __future__ import annotations

import json
import math
import zipfile
from typing import Any

import numpy as np

from ...errors import CheckpointError

__all__ = ["looks_like_safetensors", "read_npz", "read_safetensors"]

MAX_HEADER = 2**26
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "|b1",
}


def read_npz(archive: zipfile.ZipFile, what: str) -> dict[str, np.ndarray]:
    """Arrays of an .npz archive whose expanded size was checked.

    Raises
    ------
    CheckpointError
        If an entry is no array of numbers (arrays of objects would need unpickling) or is damaged.
    """
    arrays = {}
    for name in archive.namelist():
        try:
            with archive.open(name) as entry:
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(entry, allow_pickle=False)
        except Exception as error:  # whatever the bytes provoke, it is their fault
            raise CheckpointError(
                f"{what}: entry {name[:100]!r} cannot be read ({str(error)[:100]})", "arrays of numbers"
            ) from error
    return arrays


def looks_like_safetensors(data: bytes) -> bool:
    """Whether the file begins with the length of a JSON header and the header."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def read_safetensors(data: bytes, what: str) -> dict[str, np.ndarray]:
    """Arrays of a .safetensors file; bfloat16 becomes float32.

    Raises
    ------
    CheckpointError
        If its header is damaged or a tensor is of a type that networks do not have.
    """
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER:
        raise CheckpointError(f"{what}: its header is larger than {MAX_HEADER >> 20} MiB")
    try:
        header = json.loads(data[8 : 8 + size])
        body = memoryview(data)[8 + size :]
        return {name: _tensor(entry, body) for name, entry in header.items() if name != "__metadata__"}
    except Exception as error:  # whatever the bytes provoke, it is their fault
        raise CheckpointError(
            f"{what} is damaged: its header is wrong ({type(error).__name__} {str(error)[:100]})", "a complete file"
        ) from error


def _tensor(entry: dict[str, Any], body: memoryview) -> np.ndarray:
    """Array that an entry of the header describes."""
    dtype, shape, (begin, end) = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)) or end > len(body):
        raise ValueError("a size or place")
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError("a size")
    numbers = np.frombuffer(body[begin:end], dtype).reshape(shape)
    return (numbers.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else numbers
