"""PyTorch checkpoints written by hand: the instructions that torch.save writes, without PyTorch."""

from __future__ import annotations

import io
import zipfile

import numpy as np

STORAGES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}
MAGIC = 0x1950A86A20F9469CFC6C


class Named:
    """A global name, to be called with arguments."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


class Window:
    """Tensor on a storage: key, shape, strides, offset; another size of the storage, the start of a view of it."""

    def __init__(self, key, shape, strides, offset=0, size=None, start=None):
        self.key, self.shape, self.strides, self.offset = key, shape, strides, offset
        self.size, self.start = size, start


def text(word):
    return b"X" + len(word.encode()).to_bytes(4, "little") + word.encode()


def number(value):
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name_of(name):
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def encode(value, storages):
    """Instructions that build a value."""

    def sub(x):
        return encode(x, storages)

    if isinstance(value, np.ndarray):
        key = str(len(storages))
        storages[key] = np.array(value, order="C")
        strides = tuple(s // value.itemsize for s in storages[key].strides)
        return sub(Window(key, value.shape, strides))
    if isinstance(value, Window):
        array = storages[value.key]
        kind = "torch.BFloat16Storage" if array.dtype == np.uint16 else f"torch.{STORAGES[array.dtype.str[1:]]}Storage"
        size = array.size if value.size is None else value.size
        view = b"" if value.start is None else sub(("view", value.start, size))
        identity = b"(" + text("storage") + name_of(kind) + text(value.key) + text("cpu") + number(size) + view + b"tQ"
        rest = sub(value.offset) + sub(value.shape) + sub(value.strides) + b"\x89" + name_of("collections.OrderedDict")
        return name_of("torch._utils._rebuild_tensor_v2") + b"(" + identity + rest + b")RtR"
    if isinstance(value, Named):
        return name_of(value.name) + sub(value.arguments) + b"R"
    if isinstance(value, dict):
        return b"}(" + b"".join(sub(k) + sub(v) for k, v in value.items()) + b"u"
    if isinstance(value, (list, tuple)):
        return (
            b"(" + b"".join(map(sub, value)) + b"t"
            if isinstance(value, tuple)
            else b"](" + b"".join(map(sub, value)) + b"e"
        )
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    return number(value) if isinstance(value, int) else text(value)


def archive(instructions, storages=(), compression=zipfile.ZIP_STORED, **records):
    """Bytes of a zip archive of torch.save with these instructions as its pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + instructions + b".")
        file.writestr("archive/version", b"3\n")
        for key, array in dict(storages).items():
            file.writestr(f"archive/data/{key}", array.tobytes())
        for key, data in records.items():
            file.writestr(f"archive/{key}", data)
    return out.getvalue()


def torch_zip(content, storages=None, **options):
    """Bytes of a checkpoint with this content."""
    storages = {} if storages is None else storages
    return archive(encode(content, storages), storages, **options)


def torch_legacy(content, storages=None):
    """Bytes of a checkpoint as PyTorch wrote it before version 1.6."""
    storages = {} if storages is None else storages
    parts = [number(MAGIC), number(1001), encode({"little_endian": True}, {}), encode(content, storages)]
    parts.append(encode(list(storages), {}))
    data = b"".join(b"\x80\x02" + part + b"." for part in parts)
    return data + b"".join(array.size.to_bytes(8, "little") + array.tobytes() for array in storages.values())
