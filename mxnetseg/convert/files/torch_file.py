"""PyTorch's files: the zip archive, and the sequence of pickles that it wrote before version 1.6."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import CheckpointError
from .machine import run_pickle
from .values import Storage, Tensor

__all__ = ["Arrays", "read_legacy", "read_zip"]

MAX_PICKLE = 2**26
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


class Arrays:
    """Arrays of the tensors of a file; tensors of one storage share memory.

    Parameters
    ----------
    record : callable
        Bytes of a storage by its key; raises KeyError where there is none.
    what : str
        Name of the file in messages.
    big_endian : bool
        Whether the numbers are stored so.
    """

    def __init__(self, record: Callable[[str], bytes | memoryview], what: str, big_endian: bool = False):
        self._record, self._what, self._big = record, what, big_endian
        self._storages: dict[tuple[str, str, int], np.ndarray] = {}

    def __call__(self, tensor: Tensor) -> np.ndarray:
        """Array of a tensor; bfloat16 becomes float32.

        Raises
        ------
        CheckpointError
            If its storage is missing or has another length than the file says.
        """
        # The tensor lies within the size that the file says; the size is checked where the numbers are read.
        place = (tensor.storage.key, tensor.storage.dtype, tensor.storage.size)
        if place not in self._storages:
            self._storages[place] = self._read(tensor.storage)
        numbers = self._storages[place][tensor.offset :]
        if 0 in tensor.shape:
            return np.zeros(tensor.shape, numbers.dtype)
        strides = [step * numbers.itemsize for step in tensor.strides]
        return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False)

    def _read(self, storage: Storage) -> np.ndarray:
        """Numbers of a storage."""
        dtype = np.dtype("<u2" if storage.dtype == "bfloat16" else storage.dtype)
        try:
            record = self._record(storage.key)
        except (KeyError, zipfile.BadZipFile, EOFError) as error:
            raise CheckpointError(
                f"{self._what} is damaged: storage {storage.key[:50]!r} is missing or broken", "a complete checkpoint"
            ) from error
        if len(record) != storage.size * dtype.itemsize:
            raise CheckpointError(
                f"{self._what} is damaged: storage {storage.key[:50]!r} has {len(record)} bytes",
                f"{storage.size} elements of {dtype.itemsize} bytes",
            )
        numbers = np.frombuffer(record, dtype.newbyteorder(">") if self._big else dtype)
        if storage.dtype == "bfloat16":
            return (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers


def read_zip(archive: zipfile.ZipFile, what: str) -> tuple[Any, Arrays]:
    """Content of an archive of ``torch.save``, and the arrays of its tensors.

    Parameters
    ----------
    archive : ZipFile
        Archive whose expanded size was checked.
    what : str
        Name of the file in messages.

    Raises
    ------
    CheckpointError
        If it is damaged or asks for anything but tensors.
    """
    pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(f"{what} holds {len(pickles)} files data.pkl", "an archive written by torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    if archive.getinfo(pickles[0]).file_size > MAX_PICKLE:
        raise CheckpointError(f"{what}: its pickle is larger than {MAX_PICKLE >> 20} MiB", "tensors outside of it")
    order = f"{folder}byteorder"
    big = order in archive.namelist() and archive.read(order) == b"big"
    content = run_pickle(io.BytesIO(archive.read(pickles[0])), what)
    return content, Arrays(lambda key: archive.read(f"{folder}data/{key}"), what, big)


def read_legacy(data: bytes, what: str) -> tuple[Any, Arrays]:
    """Content of a file of ``torch.save`` before PyTorch 1.6, and the arrays of its tensors.

    Five pickles (magic number, version, machine, content, keys of the storages) are followed by the storages: their
    numbers of elements (8 bytes) and their bytes.

    Parameters
    ----------
    data : bytes
        The file.
    what : str
        Its name in messages.

    Raises
    ------
    CheckpointError
        If it is damaged or asks for anything but tensors.
    """
    stream = io.BytesIO(data)
    if (run_pickle(stream, what), run_pickle(stream, what)) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        raise CheckpointError(f"{what} is a pickle, but not one of PyTorch", "a file written by torch.save")
    run_pickle(stream, what)
    storages: dict[str, Storage] = {}
    content = run_pickle(stream, what, storages)
    keys = run_pickle(stream, what)
    places = _places(data, stream.tell(), keys, storages, what)
    view = memoryview(data)
    return content, Arrays(lambda key: view[places[key]], what)


def _places(data: bytes, start: int, keys: Any, storages: dict[str, Storage], what: str) -> dict[str, slice]:
    """Where the bytes of each storage are."""
    places: dict[str, slice] = {}
    for key in keys if type(keys) is list else [None]:
        storage = storages.get(key) if type(key) is str else None
        if storage is None or key in places:
            raise CheckpointError(f"{what} is damaged: its list of storages is wrong", "a complete checkpoint")
        if int.from_bytes(data[start : start + 8], "little") != storage.size:
            raise CheckpointError(f"{what} is damaged: storage {key[:50]!r} has another length", f"{storage.size}")
        width = 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize
        places[key] = slice(start + 8, start + 8 + storage.size * width)
        start = places[key].stop
    if start > len(data):
        raise CheckpointError(f"{what} is damaged: it ends too early", f"{start} bytes instead of {len(data)}")
    return places
