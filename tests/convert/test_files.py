"""Weights files are read completely and exactly, and nothing in them is executed."""

import contextlib
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from mxnetseg.convert import files
from mxnetseg.convert.files import machine, read_source
from mxnetseg.errors import CheckpointError

from .files import MAGIC, Named, Window, archive, encode, name_of, number, text, torch_legacy, torch_zip

BASE = np.arange(24, dtype=np.float32).reshape(4, 6)
TENSOR = {"w": BASE}


@pytest.fixture
def read(tmp_path):
    """Read bytes as a file."""

    def write_and_read(data, **options):
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        return read_source(path, **options)

    return write_and_read


def views():
    """Storages and tensors of every kind, with what they must be read as."""
    bits = (BASE / 7).view(np.uint32) >> 16
    storages = {
        "f": BASE,
        "h": BASE.astype(np.float16),
        "b": bits.astype(np.uint16),
        "d": BASE.astype(np.float64) / 3,
        "i": BASE.astype(np.int64) << 40,
        "t": BASE > 3,
    }
    content = {
        "whole": Window("f", (4, 6), (6, 1)),
        "transposed": Window("f", (6, 4), (1, 6)),
        "row": Window("f", (6,), (1,), 12),
        "column": Window("f", (4,), (6,), 1),
        "inside": Window("f", (2, 3), (6, 1), 8),
        "expanded": Window("f", (3, 2), (0, 1), 22),
        "scalar": Window("f", (), (), 5),
        "empty": Window("f", (0, 3), (3, 1)),
        "half": Window("h", (4, 6), (6, 1)),
        "bfloat": Window("b", (4, 6), (6, 1)),
        "double": Window("d", (4, 6), (6, 1)),
        "long": Window("i", (4, 6), (6, 1)),
        "bool": Window("t", (4, 6), (6, 1)),
    }
    expected = {
        "whole": BASE,
        "transposed": BASE.T,
        "row": BASE[2],
        "column": BASE[:, 1],
        "inside": BASE[1:3, 2:5],
        "expanded": np.array([[22, 23]] * 3, np.float32),
        "scalar": np.float32(5),
        "empty": np.zeros((0, 3), np.float32),
        "half": storages["h"],
        "bfloat": (bits << 16).view(np.float32),
        "double": storages["d"],
        "long": storages["i"],
        "bool": storages["t"],
    }
    return content, storages, expected


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_tensors_of_every_type_and_layout(read, write):
    content, storages, expected = views()
    arrays = read(write(content, dict(storages))).arrays
    assert list(arrays) == list(expected)
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype, name
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_tensors_of_one_storage_share_memory(read):
    content, storages, _ = views()
    arrays = read(torch_zip(content, storages)).arrays
    assert np.shares_memory(arrays["whole"], arrays["transposed"])


def test_big_endian_archives_and_deflated_ones(read):
    swapped = {"0": BASE.astype(">f4")}
    instructions = encode({"w": Window("0", (4, 6), (6, 1))}, {"0": BASE})
    np.testing.assert_array_equal(read(archive(instructions, swapped, byteorder=b"big")).arrays["w"], BASE)
    np.testing.assert_array_equal(read(torch_zip(TENSOR, compression=zipfile.ZIP_DEFLATED)).arrays["w"], BASE)


def test_parameters_and_ordered_dictionaries_with_metadata(read):
    storages = {}
    parameter = name_of("torch._utils._rebuild_parameter") + b"(" + encode(BASE, storages) + b"\x88}tR"
    ordered = name_of("collections.OrderedDict") + b")R" + text("w") + parameter + b"s"
    attributes = b"}" + text("_metadata") + b"}sb"
    np.testing.assert_array_equal(read(archive(ordered + attributes, storages)).arrays["w"], BASE)


def test_views_of_storages(read):
    content = {"w": Window("0", (2, 3), (3, 1), 1, start=6)}
    np.testing.assert_array_equal(read(torch_legacy(content, {"0": BASE})).arrays["w"].ravel(), np.arange(7, 13))


@pytest.mark.parametrize(
    "second",
    [
        Window("0", (1000,), (1,), size=1000),
        Window("0", (24,), (1,), start=-1),
        Window("0", (24,), (1,), start=1),
        Window("0", (2,), (1,), 23),
        Window("0", (2,), (2**31,), 0, size=2**31),
    ],
)
@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_no_tensor_reaches_beyond_its_storage(read, write, second):
    with pytest.raises(CheckpointError, match=r"damaged|_rebuild_tensor_v2|storage"):
        read(write({"first": Window("0", (24,), (1,)), "second": second}, {"0": BASE}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TENSOR, []),
        ({"module.w": BASE}, ["module."]),
        ({"epoch": 3, "state_dict": {"module.w": BASE}}, ["state_dict", "epoch", "module."]),
        ({"model": TENSOR, "optimizer": {"state": {0: {"momentum": BASE + 1}}}}, ["'model'", "optimizer"]),
        ({"ema": {"module": TENSOR}}, ["'ema'", "'module'"]),
        ({"model": TENSOR, "ema": {"w": BASE + 1}}, ["'ema'", "--entry"]),
        ({"temperature": BASE + 1, "state_dict": TENSOR}, ["temperature"]),
    ],
)
def test_wrappers_are_unwrapped_and_said(read, content, said):
    source = read(torch_zip(content))
    assert list(source.arrays) == ["w"]
    np.testing.assert_array_equal(source.arrays["w"], BASE)
    assert all(word in "\n".join(source.notes) for word in said)


def test_an_entry_can_be_chosen(read):
    data = torch_zip({"model": TENSOR, "ema": {"w": BASE + 1}})
    np.testing.assert_array_equal(read(data, entry="ema").arrays["w"], BASE + 1)
    with pytest.raises(CheckpointError, match="'emma'"):
        read(data, entry="emma")


def test_other_entries_are_named(read):
    assert read(torch_zip({**TENSOR, "version": 2, "name": "x"})).others == ["version", "name"]


def test_plain_files_and_their_checksum(tmp_path):
    import mxnet as mx

    np.savez(tmp_path / "a.npz", **{"module.w": BASE})
    half = BASE.astype(np.float16).tobytes()
    header = {"__metadata__": {"format": "pt"}, "w": {"dtype": "F16", "shape": [4, 6], "data_offsets": [0, 48]}}
    encoded = json.dumps(header).encode()
    (tmp_path / "b.safetensors").write_bytes(len(encoded).to_bytes(8, "little") + encoded + half)
    mx.nd.save(str(tmp_path / "c.params"), {"arg:w": mx.nd.array(BASE)})
    for name in ("a.npz", "b.safetensors", "c.params"):
        source = read_source(tmp_path / name)
        np.testing.assert_array_equal(source.arrays["w"], BASE)
        assert source.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


# ---- Files that want more than tensors


def call(name, *arguments):
    return encode(Named(name, *arguments), {})


def nested(depth, instruction):
    return b")" + instruction * depth


SHELL = "touch {canary}"
PYTHON = "open('{canary}', 'w')"
STACK_GLOBAL = text("os") + text("system") + b"\x93"
CORPUS = {
    "os.system": (lambda: call("os.system", SHELL), "os.system"),
    "posix.system": (lambda: call("posix.system", SHELL), "posix.system"),
    "eval": (lambda: call("builtins.eval", PYTHON), "builtins.eval"),
    "exec of Python 2": (lambda: call("__builtin__.exec", PYTHON), "__builtin__.exec"),
    "subprocess": (lambda: call("subprocess.Popen", ["touch", "{canary}"]), "subprocess.Popen"),
    "import": (lambda: call("importlib.import_module", "os"), "importlib.import_module"),
    "runpy": (lambda: call("runpy._run_code", PYTHON, {}), "runpy._run_code"),
    "torch.load": (lambda: call("torch.serialization.load", "x"), "torch.serialization.load"),
    "numpy objects": (lambda: call("numpy.core.multiarray._reconstruct", (0,), "b"), "numpy.core.multiarray._recon"),
    "copyreg": (lambda: call("copyreg._reconstructor", None, None), "copyreg._reconstructor"),
    "getattr": (lambda: call("builtins.getattr", Named("collections.OrderedDict"), "clear"), "builtins.getattr"),
    "getattr chain": (lambda: name_of("collections.OrderedDict.fromkeys.__globals__"), "fromkeys.__globals__"),
    "dotted attribute": (lambda: text("torch") + text("os.system") + b"\x93", "torch.os.system"),
    "stack global": (lambda: STACK_GLOBAL + b"(" + text(SHELL) + b"tR", "os.system"),
    "stack global of no text": (lambda: b"N" + text("system") + b"\x93", "no text"),
    "memo of a name": (lambda: text("os") + b"q\x00" + text("system") + b"q\x01h\x00h\x01\x93", "os.system"),
    "instance": (lambda: b"(" + text(SHELL) + b"ios\nsystem\n", "INST"),
    "object": (lambda: b"(" + name_of("os.system") + text(SHELL) + b"o", "os.system"),
    "object of an allowed name": (lambda: b"(" + name_of("collections.OrderedDict") + b"o", "OBJ"),
    "new object": (lambda: name_of("collections.OrderedDict") + b")\x81", "collections.OrderedDict"),
    "extension": (lambda: b"\x82\x01)R", "EXT1"),
    "text identity": (lambda: b"Pos.system\n", "PERSID"),
    "whole module": (lambda: call("models.mlmsnet.MLMSNet", 1), "models.mlmsnet.MLMSNet"),
    "nested in a dictionary": (lambda: encode({"state_dict": {"w": Named("os.system", SHELL)}}, {}), "os.system"),
    "nested in arguments": (
        lambda: call("collections.OrderedDict", [("w", Named("os.system", SHELL))]),
        "os.system",
    ),
    "argument of a tensor": (lambda: call("torch._utils._rebuild_tensor_v2", Named("os.system", SHELL)), "os.system"),
    "behind harmless data": (lambda: encode(["x"] * 1000, {}) + b"0" + call("os.system", SHELL), "os.system"),
    "call of a value": (lambda: text("os.system") + b"(" + text(SHELL) + b"tR", "a call of str"),
    "call with a list": (lambda: name_of("collections.OrderedDict") + b"]R", "OrderedDict"),
    "dictionary of a word": (lambda: call("collections.OrderedDict", "ab"), "OrderedDict"),
    "dictionary with two arguments": (lambda: call("collections.OrderedDict", [], []), "OrderedDict"),
    "tensor without a storage": (lambda: call("torch._utils._rebuild_tensor_v2", 1, 0, (1,), (1,)), "_rebuild_tensor"),
    "tensor with one argument": (lambda: call("torch._utils._rebuild_tensor_v2", 1), "_rebuild_tensor"),
    "tensor outside": (lambda: encode(Window("0", (5, 6), (6, 1)), {"0": BASE}), "_rebuild_tensor"),
    "tensor before": (lambda: encode(Window("0", (1,), (1,), -1), {"0": BASE}), "_rebuild_tensor"),
    "tensor of negative strides": (lambda: encode(Window("0", (2,), (-1,), 3), {"0": BASE}), "_rebuild_tensor"),
    "huge tensor": (lambda: encode(Window("0", (2**30, 2**30), (0, 0)), {"0": BASE}), "_rebuild_tensor"),
    "parameter of no tensor": (lambda: call("torch._utils._rebuild_parameter", "x", True, {}), "_rebuild_parameter"),
    "storage called": (lambda: call("torch.FloatStorage", 10**12), "torch.FloatStorage"),
    "storage of another kind": (lambda: b"(" + text("module") + text("x") + b"tQ", "external object"),
    "storage type by name": (lambda: b"(" + text("storage") + text("x") * 3 + b"K\x01tQ", "storage"),
    "attributes of a list": (lambda: b"]}" + text("append") + text("x") + b"sb", "attributes of a list"),
    "items of a tuple": (lambda: b")" + text("a") + text("b") + b"s", "tuple"),
    "nested key": (lambda: b"}" + nested(10_000, b"\x85") + b"Ns", "tuple as key"),
    "complex storage": (lambda: name_of("torch.ComplexFloatStorage"), "torch.ComplexFloatStorage"),
    "too many instructions": (lambda: b"N0" * 10_000, "instructions"),
    "bytearray": (lambda: b"\x96" + (1).to_bytes(8, "little") + b"x", "BYTEARRAY8"),
    "buffer": (lambda: b"\x97", "NEXT_BUFFER"),
    "set": (lambda: b"\x8f", "EMPTY_SET"),
}
DAMAGED = {
    "deep list": nested(10_000, b"a"),
    "memo that is not there": b"h\x07",
    "stack underflow": b"s",
    "no mark": b"Nt",
    "long text": b"\x8d" + (2**62).to_bytes(8, "little") + b"x",
    "long bytes": b"B\xff\xff\xff\x7f",
    "negative text": b"X\xff\xff\xff\xff",
    "unknown instruction": b"\xff",
    "odd dictionary": b"}(" + text("a") + b"u",
    "broken text": b"X\x01\x00\x00\x00\xff",
    "empty": b"",
}


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("write", ["zip", "legacy"])
def test_malicious_pickles_are_refused_by_name_and_nothing_runs(name, write, tmp_path, monkeypatch):
    make, named = CORPUS[name]
    canary = tmp_path / "canary"
    instructions = make()
    for template in (SHELL, PYTHON, "{canary}"):
        instructions = instructions.replace(text(template), text(template.format(canary=canary)))
    storages = {"0": BASE}
    if write == "zip":
        data = archive(instructions, storages)
    else:
        head = b"".join(b"\x80\x02" + part + b"." for part in (number(MAGIC), number(1001), b"}"))
        data = head + b"\x80\x02" + instructions + b"."
    path = tmp_path / "evil.pth"
    path.write_bytes(data)
    touched = []
    monkeypatch.setattr(os, "system", touched.append)
    monkeypatch.setattr(machine, "MAX_INSTRUCTIONS", 15_000)
    before, start = set(sys.modules), time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        read_source(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)
    assert not touched
    assert not canary.exists()
    assert set(sys.modules) == before
    assert time.perf_counter() - start < 30  # no hang; a machine under load is slow


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_pickles_are_called_damaged(name, read):
    with pytest.raises(CheckpointError, match=r"damaged|asks for"):
        read(archive(DAMAGED[name]))


def test_the_corpus_would_run_with_pythons_unpickler(tmp_path):
    """The files are real: in a process of its own, one of them writes its canary."""
    canary = tmp_path / "canary"
    data = b"\x80\x02" + call("builtins.eval", PYTHON.format(canary=canary)) + b"."
    subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({data!r})"], check=True, timeout=60)
    assert canary.exists()


def test_a_large_memo_index_takes_no_memory(read):
    source = read(archive(encode(TENSOR, s := {}) + b"r\xff\xff\xff\x7f", s))
    assert list(source.arrays) == ["w"]


def test_harmless_extras_are_placeholders(read):
    extras = {
        "args": Named("argparse.Namespace"),
        "best": Named("numpy.core.multiarray.scalar", Named("numpy.dtype", "f8", False, True), "12345678"),
        "state_dict": TENSOR,
    }
    assert list(read(torch_zip(extras)).arrays) == ["w"]


# ---- Archives


def bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(4):
            file.writestr(f"archive/data/{i}", bytes(2**20))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (lambda: bomb(), "expand"),
        (lambda: archive(b"N", compression=zipfile.ZIP_LZMA), "unusual"),
        (lambda: archive(b"N")[:-30], "damaged"),
        (lambda: archive(b"N").replace(b"archive/data.pkl", b"archive/data.plk"), "0 files data.pkl"),
        (lambda: archive(encode({"w": BASE}, {})), "missing"),
        (lambda: archive(encode({"w": BASE}, {}), {"0": BASE[:2]}), "bytes"),
        (lambda: torch_legacy(TENSOR)[:-8], "ends too early"),
        (lambda: torch_legacy(TENSOR).replace(number(MAGIC), number(MAGIC + 1)), "not one of PyTorch"),
        (lambda: torch_zip({"epoch": 3}), "no weights"),
        (lambda: torch_zip([1, 2]), "a list"),
        (lambda: b"", "unknown kind"),
        (lambda: b"\0" * 257 + b"ustar" + b"\0" * 300, "tar archive"),
        (lambda: (100).to_bytes(8, "little") + b"{" * 200, "header"),
        (lambda: (30).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[9' + b"x" * 50, "header"),
    ],
)
def test_broken_archives(data, named, read, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    with pytest.raises(CheckpointError, match=named):
        read(data())


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [24], "data_offsets": [0, 1000]},
        {"dtype": "F32", "shape": [25], "data_offsets": [0, 96]},
        {"dtype": "F32", "shape": [-24], "data_offsets": [0, 96]},
        {"dtype": "F32", "shape": [2**70], "data_offsets": [0, 96]},
        {"dtype": "C64", "shape": [12], "data_offsets": [0, 96]},
        {"shape": [12]},
        [],
    ],
)
def test_broken_safetensors(entry, read):
    header = json.dumps({"w": entry}).encode()
    with pytest.raises(CheckpointError, match="header"):
        read(len(header).to_bytes(8, "little") + header + BASE.tobytes())


def test_arrays_of_objects_are_refused(tmp_path):
    np.savez(tmp_path / "o.npz", w=np.array([print, None], object))
    with pytest.raises(CheckpointError, match=r"'w\.npy'"):
        read_source(tmp_path / "o.npz")


def test_a_header_that_asks_for_too_much_memory_is_refused(tmp_path):
    header = str({"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**9)}).encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as file:
        file.writestr("w.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(96))
    with pytest.raises(CheckpointError, match=r"'w\.npy'"):
        read_source(tmp_path / "h.npz")


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        read_source(tmp_path / "nothing.pth")


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_random_damage_gives_errors_of_ours_or_arrays(read, write):
    content, storages, _ = views()
    good = write({"state_dict": content, "epoch": 3}, storages)
    draw = random.Random(0)
    for _ in range(300):
        data = bytearray(good[: draw.choice([len(good), draw.randrange(len(good))])])
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256) if data else 0
        with contextlib.suppress(CheckpointError):
            read(bytes(data))


@pytest.mark.parametrize("zipped", [True, False])
def test_files_that_pytorch_wrote(tmp_path, zipped):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; the files written by hand stand for its own")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "whole": base,
        "transposed": base.t(),
        "inside": base[1:3, 2:5],
        "half": base.half(),
        "bfloat": (base / 7).bfloat16(),
        "double": base.double(),
        "long": base.long(),
        "bool": base > 3,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base + 1),
    }
    content = {"epoch": 1, "state_dict": {f"module.{k}": v for k, v in tensors.items()}, "best": np.float64(0.5)}
    torch.save(content, tmp_path / "t.pth", _use_new_zipfile_serialization=zipped)
    arrays = read_source(tmp_path / "t.pth").arrays
    for name, tensor in tensors.items():
        expected = tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()
        np.testing.assert_array_equal(arrays[name], expected.numpy())
        assert arrays[name].dtype == expected.numpy().dtype
