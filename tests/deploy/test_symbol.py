"""Exported files: they run without the package, equal the network, and do not appear when they would not."""

import hashlib
import json

import mxnet as mx
import numpy as np
import pytest
from tiny import register, write_checkpoint

from mxnetseg import cli
from mxnetseg.deploy import symbol
from mxnetseg.deploy.export import parse_size
from mxnetseg.engine.checkpoint import load_model
from mxnetseg.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny_best.params", "model.aux=true")


def test_command_writes_three_files_that_agree(checkpoint, tmp_path, capsys):
    assert cli.main(["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path), "--size", "40x72"]) == 0
    assert "relative error" in capsys.readouterr().out
    names = ["tiny_best-0000.params", "tiny_best-meta.json", "tiny_best-symbol.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    meta = json.loads((tmp_path / "tiny_best-meta.json").read_text())
    assert meta["files"] == {n: hashlib.sha256((tmp_path / n).read_bytes()).hexdigest() for n in (names[2], names[0])}
    assert meta["classes"][0] == "road" and len(meta["palette"]) == 19 and len(meta["mean"]) == 3
    assert meta["max_relative_error"] <= 1e-5
    assert meta["checkpoint"]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_only_the_main_output_is_exported(checkpoint, tmp_path):
    files, _ = symbol.export_symbol(checkpoint, tmp_path)
    net = mx.gluon.SymbolBlock.imports(str(files["symbol"]), ["data"], str(files["params"]))
    model, _ = load_model(checkpoint)
    assert isinstance(model(mx.nd.zeros((1, 3, 32, 32))), tuple)
    x = mx.nd.random.normal(shape=(2, 3, 33, 47))
    out = net(x)
    assert isinstance(out, mx.nd.NDArray) and out.shape == (2, 19, 33, 47)
    np.testing.assert_allclose(out.asnumpy(), model.predict(x).asnumpy(), rtol=1e-4, atol=1e-5)
    assert len(list(net.collect_params())) < len(list(model.collect_params())), "the auxiliary head stays behind"


@pytest.mark.parametrize("damage", ["values", "unloadable"])
def test_nothing_is_left_when_the_check_fails(checkpoint, tmp_path, monkeypatch, capsys, damage):
    original = symbol.save_symbol

    def wrong(model, folder, stem):
        files = original(model, folder, stem)
        if damage == "values":
            arrays = mx.nd.load(str(files["params"]))
            key = next(k for k in arrays if k.startswith("arg:") and k.endswith("weight"))
            mx.nd.save(str(files["params"]), {**arrays, key: arrays[key] * 1.001})
        else:
            files["symbol"].write_text("{}")
        return files

    monkeypatch.setattr(symbol, "save_symbol", wrong)
    out = tmp_path / "new" / "folder"
    assert cli.main(["export", "--checkpoint", str(checkpoint), "--out", str(out)]) == 2
    assert "exported symbol" in capsys.readouterr().err
    assert not out.exists() or not list(out.iterdir())


def test_check_happens_without_the_package(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(symbol, "_RELOAD", "import mxnetseg\n" + symbol._RELOAD)
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(CheckpointError, match=r"package|mxnetseg"):
        symbol.export_symbol(checkpoint, tmp_path)


def test_export_of_a_registered_network(tmp_path):
    path = write_checkpoint(tmp_path / "fcn.params", model="fcn")
    register()
    _, error = symbol.export_symbol(path, sizes=((32, 48), (40, 40)))
    assert error <= 1e-5
    assert (tmp_path / "fcn-symbol.json").exists()


@pytest.mark.parametrize("text", ["", "0", "12x", "axb", "0x5", "-3"])
def test_sizes_that_are_none(text):
    with pytest.raises(ConfigError):
        parse_size(text)
    assert parse_size("5") == (5, 5) and parse_size("5x7") == (5, 7)
