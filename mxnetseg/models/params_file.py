"""Parameter files, verified before MXNet reads them: its reader believes every length and ends the process otherwise.

MXNet's format is a list of arrays and a list of names::

    0x112, 8 reserved bytes, number of arrays | arrays | number of names | length and bytes of each name

    array: magic | storage type | dimensions | extents | device | type of the values | values

Files of this program have a trailer behind it, which MXNet ignores::

    JSON metadata | length of the JSON, 8 bytes little endian | SHA-256 of all before, 32 bytes | b"MXNETSEG-TRAIL-1"

and ``b"MXNETSEG"`` in the reserved bytes, so that a file that lost its trailer is known to be damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import mxnet as mx
from mxnet import nd

from ..errors import CheckpointError

__all__ = ["FOOTER", "LIST", "MAGIC", "MARK", "damaged", "parse_meta", "read_params_file"]

MARK = b"MXNETSEG"
MAGIC = b"MXNETSEG-TRAIL-1"
LIST = 0x112  # kMXAPINDArrayListMagic
FOOTER = 8 + 32 + len(MAGIC)
# NDArray::Save: with 64-bit extents (V1), with a storage type before them (V2), with NumPy's shapes (V3).
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE = 0
_ITEM_BYTES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}  # mshadow's type flags
_MAX_DIMENSIONS = 32


def read_params_file(path: Path) -> tuple[dict[str, nd.NDArray], dict[str, Any]]:
    """Arrays and metadata of a parameter file, verified.

    Parameters
    ----------
    path : Path
        File of this program, or one that MXNet's ``save_parameters``, ``save`` or ``export`` wrote.

    Returns
    -------
    arrays : dict of str to NDArray
        On the CPU; without the marks ``arg:`` and ``aux:`` of exported files.
    meta : dict
        Empty for a file of MXNet.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or no file of named arrays.
    """
    data = _read(path)
    meta, ours = _split(path, data)
    if not ours:
        _check_side_file(path, data)
    try:
        _check_structure(memoryview(data))
    except (struct.error, UnicodeDecodeError, _Structure) as error:
        raise damaged(path, f"its arrays are not what MXNet writes ({error})") from error
    try:
        arrays = nd.load_frombuffer(data)
    except (mx.MXNetError, ValueError) as error:
        raise damaged(path, "MXNet cannot read its arrays") from error
    if not isinstance(arrays, dict):
        raise CheckpointError(f"{path} holds arrays without names", "a file of named parameters")
    return {name.removeprefix("arg:").removeprefix("aux:"): a for name, a in arrays.items()}, meta


def damaged(path: Path, why: str) -> CheckpointError:
    """Error of a file that is not what was written."""
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
    if len(data) < 16 or struct.unpack_from("<Q", data)[0] != LIST:
        raise CheckpointError(f"{path} is not an MXNet parameter file", "a .params or .state file")
    ours = data[8:16] == MARK
    if not ours and not data.endswith(MAGIC):
        return {}, False
    if not (ours and data.endswith(MAGIC)):
        raise damaged(path, "its end is missing" if ours else "its header was changed")
    body = len(data) - FOOTER
    if hashlib.sha256(memoryview(data)[: body + 8]).digest() != data[body + 8 : body + 40]:
        raise damaged(path, "its checksum does not match")
    length = struct.unpack_from("<Q", data, body)[0]
    return parse_meta(path, data[max(0, body - length) : body]), True


def parse_meta(path: Path, text: bytes) -> dict[str, Any]:
    """Metadata of a trailer.

    Raises
    ------
    CheckpointError
        If it is not a JSON object.
    """
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "its metadata are not readable") from error
    if not isinstance(meta, dict):
        raise damaged(path, "its metadata are not an object")
    return meta


def _check_side_file(path: Path, data: bytes) -> None:
    side = path.with_name(path.name + ".sha256")
    with contextlib.suppress(OSError):
        words = side.read_text().split()
        if words and words[0] != hashlib.sha256(data).hexdigest():
            raise damaged(path, f"its checksum is not the one in {side.name}")


class _Structure(Exception):
    """What does not fit the format."""


def _check_structure(data: memoryview) -> None:
    """Walk through a file as MXNet does, but believe nothing."""
    (count,) = struct.unpack_from("<Q", data, 16)
    place = 24
    for number in range(count):
        place = _skip_array(data, place, number)
    (names,) = struct.unpack_from("<Q", data, place)
    if names not in (0, count):
        raise _Structure(f"{names} names for {count} arrays")
    place, seen = place + 8, set()
    for _ in range(names):
        (length,) = struct.unpack_from("<Q", data, place)
        place += 8 + length
        if place > len(data):
            raise _Structure("a name reaches beyond the end")
        seen.add(str(data[place - length : place], "utf-8"))
    if len(seen) != names or any("\0" in name for name in seen):
        raise _Structure("names that occur twice, or hold zeros")


def _skip_array(data: memoryview, place: int, number: int) -> int:
    """Place behind an array."""
    (magic,) = struct.unpack_from("<I", data, place)
    place += 4
    if magic in (_V2, _V3):
        if struct.unpack_from("<i", data, place)[0] != _DENSE:
            raise _Structure(f"array {number} is sparse")
        place += 4
    if magic in (_V1, _V2, _V3):
        dimensions, extent = struct.unpack_from("<i", data, place)[0], "q"
        place += 4
    else:
        dimensions, extent = magic, "I"  # before MXNet 1.0: the magic number is that of the dimensions
    if not 0 < dimensions <= _MAX_DIMENSIONS:
        raise _Structure(f"array {number} has {dimensions} dimensions")
    shape = struct.unpack_from(f"<{dimensions}{extent}", data, place)
    place += struct.calcsize(f"<{dimensions}{extent}")
    device, index, kind = struct.unpack_from("<3i", data, place)
    if kind not in _ITEM_BYTES or not 1 <= device <= 5 or not 0 <= index < 256 or min(shape) < 1:
        raise _Structure(f"array {number}: shape {shape}, type {kind}, device {device}({index})")
    place += 12 + prod(shape) * _ITEM_BYTES[kind]
    if place > len(data):
        raise _Structure(f"array {number} of shape {shape} reaches beyond the end")
    return place
