import errno
import hashlib
import os
import re
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd
from tiny import write_checkpoint

from mxnetseg.engine import atomic
from mxnetseg.engine.checkpoint import load_checkpoint, load_model, read_meta, save_checkpoint
from mxnetseg.engine.weights import load_strictly, values
from mxnetseg.errors import CheckpointError
from mxnetseg.models.params_file import FOOTER, MAGIC
from mxnetseg.models.weights import load_arrays

META = {"format": 1, "classes": ["road", "Straße"], "metrics": {"mIoU": 0.5}}


def dense(units=3):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(units, in_units=4), gluon.nn.BatchNorm(in_channels=units))
    net.initialize(mx.init.Normal())
    return net


@pytest.fixture
def saved(tmp_path):
    net = dense()
    path = tmp_path / "weights" / "net_best.params"
    save_checkpoint(path, values(net), META)
    return net, path


def equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name].asnumpy(), b[name].asnumpy())


def test_round_trip(saved):
    net, path = saved
    checkpoint = load_checkpoint(path)
    equal(checkpoint.params, values(net))
    assert checkpoint.meta == read_meta(path) == META
    assert checkpoint.extra == {}


def test_extra_arrays_are_kept_apart(tmp_path):
    extra = {"optimizer/a/0": nd.arange(3), "count": nd.array([2**40], dtype="int64")}
    save_checkpoint(tmp_path / "a.state", {"a": nd.ones((2, 2), dtype="float16")}, META, extra)
    checkpoint = load_checkpoint(tmp_path / "a.state")
    equal(checkpoint.extra, extra)
    assert checkpoint.extra["count"].dtype == np.int64
    assert checkpoint.params["a"].dtype == np.float16


def test_mxnet_reads_it_without_us(saved):
    net, path = saved
    equal(nd.load(str(path)), values(net))
    other = dense()
    other.load_parameters(str(path))
    equal(values(other), values(net))


def test_plain_files_are_read(saved, tmp_path):
    net, _ = saved
    net.save_parameters(str(tmp_path / "plain.params"))
    checkpoint = load_checkpoint(tmp_path / "plain.params")
    equal(checkpoint.params, values(net))
    assert checkpoint.meta == read_meta(tmp_path / "plain.params") == {}


def test_side_file_is_that_of_sha256sum(saved):
    _, path = saved
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.with_name(path.name + ".sha256").read_text() == f"{digest}  {path.name}\n"


def test_checksum_is_returned(tmp_path):
    path = tmp_path / "a.params"
    assert save_checkpoint(path, {"a": nd.ones(2)}, {}) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_that_is_replaced_can_be_kept(saved):
    _, path = saved
    old, before = path.read_bytes(), path.with_name("before.params")
    save_checkpoint(path, {"a": nd.ones(2)}, {}, previous=before)
    assert before.read_bytes() == old and list(load_checkpoint(path).params) == ["a"]


def test_metadata_are_read_without_the_arrays(saved):
    """A flipped byte of an array is not looked at; a damaged end is."""
    _, path = saved
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert read_meta(path) == META
    data[-FOOTER - 3] = 0
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="metadata are not readable"):
        read_meta(path)
    data[-FOOTER : -FOOTER + 8] = b"\xff" * 8  # a length beyond the beginning
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="metadata are not readable"):
        read_meta(path)
    path.write_bytes(MAGIC)
    assert read_meta(path) == {}, "too short for an end of ours"
    with pytest.raises(CheckpointError, match=r"cannot read .*gone\.params: No such file"):
        read_meta(path.with_name("gone.params"))


@pytest.fixture
def described(tmp_path):
    """Weights of a tiny network, and its metadata."""
    path = write_checkpoint(tmp_path / "tiny.params")
    return path, load_checkpoint(path)


def test_network_is_built_from_its_description(described):
    path, saved = described
    model, _ = load_model(path, mx.cpu(1))
    assert model.num_classes == 19 and all(a.context == mx.cpu(1) for a in values(model).values())
    equal(values(model), saved.params)


def test_weights_need_no_other_files(described):
    path, saved = described
    saved.meta["model"] |= {"pretrained": "/gone/backbone.params", "init": "/gone/too.params"}
    save_checkpoint(path, saved.params, saved.meta)
    equal(values(load_model(path)[0]), saved.params)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, "does not say which network"),
        ({"model": "Tiny", "num_classes": 19}, "metadata model"),
        ({"model": {"name": "Tiny", "size": 3}, "num_classes": 19}, "metadata size"),
        ({"model": {"name": "Tiny"}}, "metadata num_classes: Field required"),
        ({"model": {"name": "Tiny"}, "num_classes": 0}, "metadata num_classes: .*greater than 0"),
        ({"model": {"name": "Tiny"}, "num_classes": 32768}, "metadata num_classes: .*32767"),
        ({"model": {"name": "Tiny", "backbone": "resnet18", "aux": False}, "num_classes": 7}, "differently shaped"),
    ],
)
def test_descriptions_that_are_wrong_are_named(described, meta, said):
    path, saved = described
    save_checkpoint(path, saved.params, meta)
    with pytest.raises(CheckpointError, match=rf"tiny\.params .*{said}"):
        load_model(path)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.9, 0.999, "trailer"])
def test_truncated_file_is_refused(saved, keep):
    _, path = saved
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b'{"format"') if keep == "trailer" else int(keep * len(data))])
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_any_flipped_byte_is_noticed(saved):
    _, path = saved
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        broken = bytearray(data)
        broken[position] ^= 0x10
        path.write_bytes(broken)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("number", "expected", "remedy"),
    [
        (errno.ENOSPC, ".* bytes of free space", "free some space"),
        (errno.EDQUOT, ".* bytes of quota.*", "free some space"),
        (errno.EFBIG, ".*files of 2,097,.*", "raise the limit"),
        (errno.EACCES, "a writable folder", "choose another folder"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failed_write_leaves_the_previous_file(saved, monkeypatch, call, number, expected, remedy):
    net, path = saved
    before = path.read_bytes()

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(CheckpointError, match=r"(?m); the previous file is intact$") as caught:
        save_checkpoint(path, {"a": nd.ones((2**19,))}, {})
    assert re.fullmatch(expected, caught.value.expected) and caught.value.remedy.startswith(remedy)
    with pytest.raises(CheckpointError, match=r"(?m); nothing was written$"):
        save_checkpoint(path.with_name("new.params"), {"a": nd.ones((1,))}, {})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".tmp"] == []
    equal(load_checkpoint(path).params, values(net))


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "net.params"
    save_checkpoint(path, {"a": nd.ones((1,))}, META)
    assert read_meta(path) == META


def test_trailer_without_a_file_is_damaged(tmp_path):
    path = tmp_path / "net.params"
    path.write_bytes((bytes(FOOTER) + MAGIC)[-FOOTER:])
    with pytest.raises(CheckpointError):
        read_meta(path)


def test_process_killed_while_writing(saved):
    """Kill the writer between writing and renaming: the old file stays, the next run removes the remains."""
    net, path = saved
    code = (
        "import os, sys, pathlib\n"
        "from mxnetseg.engine import atomic\n"
        "atomic.os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "atomic.replace_file(pathlib.Path(sys.argv[1]), b'new')\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=False).returncode == -9
    assert len(list(path.parent.glob(".*.tmp"))) == 1
    equal(load_checkpoint(path).params, values(net))
    own = path.with_name(f".x.{atomic._HOST}-{os.getpid()}.tmp")
    own.touch()
    assert len(atomic.remove_stray_files(path.parent)) == 1
    assert own.exists(), "files of living processes stay"


@pytest.mark.parametrize("content", [b"", b"not a parameter file at all", None])
def test_other_files_are_named(tmp_path, content):
    path = tmp_path / "x.params"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.params"):
        load_checkpoint(path)


def test_strict_loading_names_what_differs(saved):
    net, _ = saved
    arrays = dict(values(net))
    arrays["2.weight"] = arrays.pop("0.weight")
    with pytest.raises(CheckpointError, match=r"missing: 0.weight; superfluous: 2.weight"):
        load_strictly(dense(), arrays, "file", mx.cpu())
    with pytest.raises(CheckpointError, match="differently shaped"):
        load_strictly(dense(5), values(net), "file", mx.cpu())


def test_matching_loading_accounts_for_everything(saved):
    net, _ = saved
    arrays = dict(values(net), other=nd.ones(1))
    arrays["0.bias"] = nd.ones((7,))
    target = dense()
    report = load_arrays(target, arrays)
    assert (report.unused, report.missing) == (["other"], [])
    assert report.mismatched == [("0.bias", (7,), (3,))]
    np.testing.assert_array_equal(values(target)["0.weight"].asnumpy(), arrays["0.weight"].asnumpy())
    assert values(target)["0.bias"].shape == (3,)
