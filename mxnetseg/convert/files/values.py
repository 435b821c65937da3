"""What a checkpoint may hold besides plain data, and the functions that its pickle may name.

Each function stands for the one of PyTorch that the file names; it checks the arguments and describes the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Global", "Inert", "Storage", "Tensor", "find_global", "is_count", "is_key"]

MAX_DIMENSIONS = 8
MAX_ELEMENTS = 2**31

# Storage classes and the type of their elements, little endian; "bfloat16" is not one of NumPy's.
_STORAGES = {
    "torch.DoubleStorage": "<f8",
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "<i1",
    "torch.ByteStorage": "<u1",
    "torch.BoolStorage": "|b1",
}
# What training programs put beside the weights. A placeholder stands for it; it is neither made nor called.
_INERT = (
    "_codecs.encode",
    "argparse.Namespace",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "torch.device",
)


@dataclass(frozen=True)
class Storage:
    """Place of numbers in the file.

    Attributes
    ----------
    key : str
        Name of the record.
    dtype : str
        Type of the elements: NumPy's name, or ``bfloat16``.
    size : int
        Elements of the record.
    start : int
        First element.
    """

    key: str
    dtype: str
    size: int
    start: int = 0


@dataclass(frozen=True)
class Tensor:
    """Tensor as a window on a storage; `offset` and `strides` count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Inert:
    """Placeholder of a value that was not made."""

    name: str


@dataclass(frozen=True)
class Global:
    """Name that the file may use.

    Attributes
    ----------
    name : str
        Module and name.
    call : callable, optional
        What a call of it does; raises TypeError or ValueError for arguments that PyTorch does not give.
    dtype : str, optional
        Type of the elements of a storage class.
    inert : bool
        Whether its objects are placeholders.
    """

    name: str
    call: Callable[..., Any] | None = None
    dtype: str | None = None
    inert: bool = False


def find_global(name: str) -> Global | None:
    """What a name of the file stands for; None for a name that a checkpoint does not need."""
    if name in _STORAGES:
        return Global(name, dtype=_STORAGES[name])
    if name in _INERT:
        return Global(name, lambda *arguments: Inert(name), inert=True)
    return Global(name, _CALLS[name]) if name in _CALLS else None


def is_key(value: Any) -> bool:
    """Whether a value may be a key: words and whole numbers only, the hash of anything else may be costly."""
    return type(value) in (str, int)


def is_count(value: Any) -> bool:
    """Whether a value is a number of elements."""
    return type(value) is int and 0 <= value <= MAX_ELEMENTS


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Dictionary from nothing or from a list of pairs."""
    if type(pairs) not in (list, tuple):
        raise TypeError
    if not all(is_key(key) for key, _ in pairs):
        raise TypeError
    return dict(pairs)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Tensor on a storage; gradients, hooks and metadata are of no interest."""
    sizes = (shape, strides)
    if type(storage) is not Storage or any(type(s) is not tuple or len(s) > MAX_DIMENSIONS for s in sizes):
        raise TypeError
    if len(shape) != len(strides) or not all(is_count(n) for n in (offset, *shape, *strides)):
        raise ValueError
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    elements = math.prod(shape)
    if elements > MAX_ELEMENTS or (elements and storage.start + last >= storage.size):
        raise ValueError
    return Tensor(storage, storage.start + offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    """The tensor of a parameter."""
    if type(tensor) is not Tensor:
        raise TypeError
    return tensor


def _size(shape: Any) -> tuple[Any, ...]:
    if type(shape) is not tuple:
        raise TypeError
    return shape


_CALLS = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
}
