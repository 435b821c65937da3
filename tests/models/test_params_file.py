"""Parameter files whose structure is wrong are refused before MXNet, which would believe them, sees them."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from mxnet import nd

from mxnetseg.engine.checkpoint import save_checkpoint
from mxnetseg.errors import CheckpointError
from mxnetseg.models import params_file
from mxnetseg.models.params_file import read_params_file

NAMES = ("arg:weight", "aux:mean")
# Places in the file of two arrays: head of the list, then the fields of the first array of shape (2, 3).
COUNT, MAGIC, STORAGE, DIMENSIONS, EXTENT, DEVICE, INDEX, KIND, VALUES = 16, 24, 28, 32, 36, 52, 56, 60, 64
SECOND = VALUES + 24
NAME_COUNT = SECOND + 4 + 4 + 4 + 8 + 12 + 4


@pytest.fixture
def path(tmp_path):
    nd.save(str(tmp_path / "a.params"), {NAMES[0]: nd.array([[1, 2, 3], [4, 5, 6]]), NAMES[1]: nd.array([7])})
    return tmp_path / "a.params"


def change(path, place, form, value):
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)


def test_exported_names_lose_their_marks(path):
    arrays, meta = read_params_file(path)
    assert meta == {}
    assert {name: array.asnumpy().tolist() for name, array in arrays.items()} == {
        "weight": [[1, 2, 3], [4, 5, 6]],
        "mean": [7],
    }


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"])
def test_types(path, dtype):
    nd.save(str(path), {"a": nd.arange(12, dtype=dtype).reshape((1, 3, 4, 1))})
    array = read_params_file(path)[0]["a"].asnumpy()
    assert array.dtype == dtype and array.tolist() == np.arange(12).reshape(1, 3, 4, 1).tolist()


def test_files_from_before_mxnet_1(path):
    body = struct.pack("<I2I3i2f", 2, 1, 2, 1, 0, 0, 3, 4)
    path.write_bytes(struct.pack("<QQQ", 0x112, 0, 1) + body + struct.pack("<QQ", 1, 1) + b"w")
    assert read_params_file(path)[0]["w"].asnumpy().tolist() == [[3, 4]]
    change(path, 28, "<I", 2**32 - 1)
    with pytest.raises(CheckpointError, match="beyond the end"):
        read_params_file(path)


@pytest.mark.parametrize(
    ("place", "form", "value", "said"),
    [
        (COUNT, "<Q", 2**63, "array 2"),
        (COUNT, "<Q", 1, "names"),
        (COUNT, "<Q", 0, "names"),
        (MAGIC, "<I", 33, "33 dimensions"),
        (MAGIC, "<I", 0, "0 dimensions"),
        (STORAGE, "<i", 1, "array 0 is sparse"),
        (STORAGE, "<i", -1, "sparse"),
        (DIMENSIONS, "<i", 0, "0 dimensions"),
        (DIMENSIONS, "<i", -1, "-1 dimensions"),
        (DIMENSIONS, "<i", 33, "33 dimensions"),
        (EXTENT, "<q", 0, "shape"),
        (EXTENT, "<q", -2, "shape"),
        (EXTENT, "<q", 2**62, "beyond the end"),
        (EXTENT, "<q", 40, "beyond the end"),
        (DEVICE, "<i", 0, "device 0"),
        (DEVICE, "<i", 6, "device 6"),
        (INDEX, "<i", -1, r"device 1\(-1\)"),
        (INDEX, "<i", 256, r"device 1\(256\)"),
        (KIND, "<i", 99, "type 99"),
        (SECOND + 8, "<i", 7, "array 1 has|array 1: shape|requires"),
        (NAME_COUNT, "<Q", 1, "1 names for 2 arrays"),
        (NAME_COUNT, "<Q", 3, "3 names for 2 arrays"),
        (NAME_COUNT + 8, "<Q", 2**60, "a name reaches beyond the end"),
        (NAME_COUNT + 16, "<B", 0xFF, "utf-8"),
        (NAME_COUNT + 16, "<B", 0, "hold zeros"),
    ],
)
def test_fields_out_of_range(path, monkeypatch, place, form, value, said):
    change(path, place, form, value)
    monkeypatch.setattr(params_file.nd, "load_frombuffer", None)
    with pytest.raises(CheckpointError, match=rf"a\.params is damaged: .*({said})"):
        read_params_file(path)


@pytest.mark.parametrize(("place", "value"), [(DEVICE, 5), (INDEX, 255), (DEVICE, 2)])
def test_devices_of_other_machines_are_taken(path, place, value):
    change(path, place, "<i", value)
    assert set(read_params_file(path)[0]) == {"weight", "mean"}


def test_every_truncation_is_refused(path, monkeypatch):
    data = path.read_bytes()
    monkeypatch.setattr(params_file.nd, "load_frombuffer", None)
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"a\.params"):
            read_params_file(path)


def test_names_that_occur_twice(path, monkeypatch):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"arg:weight", b"aux:mean\0\0").replace(struct.pack("<Q", 10), struct.pack("<Q", 8)))
    monkeypatch.setattr(params_file.nd, "load_frombuffer", None)
    with pytest.raises(CheckpointError, match="damaged"):
        read_params_file(path)


def test_arrays_without_names(path):
    nd.save(str(path), [nd.ones((2,))])
    with pytest.raises(CheckpointError, match="without names"):
        read_params_file(path)


def test_side_file_is_checked(path):
    side = path.with_name("a.params.sha256")
    side.write_text(f"{'0' * 64}  a.params\n")
    with pytest.raises(CheckpointError, match=r"not the one in a\.params\.sha256"):
        read_params_file(path)
    for right in ("", f"{hashlib.sha256(path.read_bytes()).hexdigest()}  a.params\n"):
        side.write_text(right)
        assert read_params_file(path)[0]


@pytest.mark.parametrize("data", [b"", struct.pack("<Q", 0x112), b"P" + bytes(40)], ids=["empty", "head", "other"])
def test_other_files_are_said_to_be_no_parameter_files(path, data):
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_params_file(path)
    assert caught.value.found == f"{path} is not an MXNet parameter file"
    assert caught.value.expected == "a .params or .state file"


def test_checkpoint_without_its_end_is_said_to_be_damaged(path):
    save_checkpoint(path, {"a": nd.ones((2,))}, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError) as caught:
        read_params_file(path)
    assert caught.value.found == f"{path} is damaged: its end is missing"
    assert caught.value.expected == "a complete checkpoint"
    assert caught.value.remedy == "use another one, or copy it again"


def test_what_mxnet_refuses_all_the_same(path, monkeypatch):
    def refuse(_):
        raise ValueError("no")

    monkeypatch.setattr(params_file.nd, "load_frombuffer", refuse)
    with pytest.raises(CheckpointError, match="MXNet cannot read"):
        read_params_file(path)


def test_missing_file_names_its_neighbours(path):
    with pytest.raises(CheckpointError, match="cannot read") as caught:
        read_params_file(path.with_name("b.params"))
    assert "a.params" in caught.value.remedy
    with pytest.raises(CheckpointError) as caught:
        read_params_file(path.parent / "none" / "b.params")
    assert caught.value.remedy == ""


@pytest.mark.parametrize("meta", [b"[1]", b"3", b"null", b"{", b"[" * 100_000, b"\xff"])
def test_metadata_are_an_object(path, meta):
    with pytest.raises(CheckpointError, match=r"a\.params is damaged: its metadata are not (an object|readable)"):
        params_file.parse_meta(path, meta)
