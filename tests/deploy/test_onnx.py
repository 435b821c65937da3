"""ONNX files: every network, every form of them, and the program that reads them without this package."""

import hashlib
import json
import shutil
import subprocess
import sys

import cv2
import mxnet as mx
import numpy as np
import onnx
import pytest
from tiny import write_checkpoint

from mxnetseg import cli
from mxnetseg.config import ModelConfig
from mxnetseg.deploy import OnnxSegmenter, runtime
from mxnetseg.deploy.onnx import OnnxOptions, export_onnx, files
from mxnetseg.engine.checkpoint import load_model
from mxnetseg.engine.forward import Forward
from mxnetseg.errors import CheckpointError, ConfigError
from mxnetseg.models import build_model
from mxnetseg.models.base import usable_backbones
from mxnetseg.registry import MODELS
from tests.deploy.nets import QUICK_EACH, lively_model

RAW = OnnxOptions(raw=True, output="labels")

# One of each kind that the networks of the other tests do not have.
FAMILIES = (
    "caffe_resnet50",
    "cifrenet_mobilenet",
    "deepstem_resnet18",
    "dfnet_v1",
    "leaky_resnet18",
    "mobilenet_v3_large_0_75",
    "resnest14",
    "resnet50_v1c",
    "sgcp_mobilenet",
    "stdc2",
    "xception39",
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny_best.params", "model.aux=true")


def picture(height, width, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return cv2.resize(small, (width, height))


@pytest.mark.parametrize("name", QUICK_EACH)
def test_network(name):
    """Pixels in, at two sizes and numbers of images by one graph that takes any."""
    net = lively_model(name)
    built, form, scores = files.onnx_model(net, RAW, {})
    for parity in files.check_onnx(net, built, form, scores, [(64, 96), (96, 65)]):
        assert parity.error <= 1e-4 and parity.labels >= 0.9999
    assert [d.dim_param or d.dim_value for d in built.graph.input[0].type.tensor_type.shape.dim] == ["N", "H", "W", 3]


@pytest.mark.parametrize("norm", ["gn", "syncbn"])
def test_norms(norm):
    net = lively_model("BiSeNetR", norm=norm)
    (parity,) = files.check_onnx(net, *files.onnx_model(net, OnnxOptions(), {}), [(64, 96)])
    assert parity.holds


@pytest.mark.slow
@pytest.mark.parametrize("backbone", FAMILIES)
def test_family_of_backbones(backbone):
    model = next(name for name in MODELS.names() if backbone in usable_backbones(name))
    net = lively_model(model, backbone=backbone)
    assert files.check_onnx(net, *files.onnx_model(net, OnnxOptions(), {}), [(64, 96)])[0].holds


def test_command_writes_one_file_that_says_what_it_is(checkpoint, tmp_path, capsys):
    words = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path), "--format", "onnx", "--raw"]
    assert cli.main([*words, "--output", "labels"]) == 0
    assert "100.000% equal labels" in capsys.readouterr().out
    path = tmp_path / "tiny_best.onnx"
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"{path.name}.sha256"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "tiny_best.onnx.sha256").read_text().split() == [digest, path.name]
    meta = {entry.key: json.loads(entry.value) for entry in onnx.load(str(path)).metadata_props}
    assert meta["classes"][0] == "road" and len(meta["palette"]) == 19 and len(meta["mean"]) == len(meta["std"]) == 3
    assert meta["checkpoint"]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert meta["raw"] is True and meta["output"] == "labels" and meta["parity"]["labels"] >= 0.9999


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("output", ["logits", "probabilities", "labels"])
@pytest.mark.parametrize("size", [None, (40, 56)])
def test_segmenter_agrees_with_the_network(checkpoint, tmp_path, raw, output, size):
    path, parity = export_onnx(checkpoint, tmp_path, OnnxOptions(size, output, raw))
    assert parity.holds
    segmenter, image = OnnxSegmenter(path), picture(*(size or (45, 71)))
    model, loaded = load_model(checkpoint)
    height, width = image.shape[:2]
    rows, columns = slice(0, height), slice(0, width)
    batch = Forward(model.inference, mx.cpu()).windows(image, [((rows, rows), (columns, columns))], (height, width))
    expected = model.predict(mx.nd.array(batch)).asnumpy()[0]
    assert segmenter.size == size and segmenter.classes == loaded.meta["classes"]
    labels = segmenter.labels(image)
    assert labels.dtype == np.uint8 and (labels == expected.argmax(0)).mean() >= 0.9999
    assert segmenter.paint(labels).shape == (height, width, 3)
    if output == "labels":
        with pytest.raises(ValueError, match="labels only"):
            segmenter.scores(image)
    else:
        found = segmenter.scores(image)
        wanted = expected if output == "logits" else np.exp(expected) / np.exp(expected).sum(0)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    if size:
        assert segmenter.labels(picture(31, 80)).shape == (31, 80)


def test_sizes_that_a_network_does_not_take_are_filled_up(tmp_path):
    net = lively_model("BiSeNetR")
    for form in (OnnxOptions(), RAW):
        built, made, scores = files.onnx_model(Demanding(net), form, {})
        assert (made.divisor, made.min_size) == (32, 64)
        assert all(p.holds for p in files.check_onnx(net, built, made, scores, [(33, 70), (96, 65)]))


class Demanding:
    """A network that says that it takes multiples of 32 only, from 64 on."""

    divisor, min_size = 32, 64

    def __init__(self, net):
        self.symbol, self.collect_params = net.symbol, net.collect_params


def test_beyond_256_classes_labels_have_two_bytes(checkpoint):
    net = lively_model("BiSeNetR")
    assert files.onnx_model(net, RAW, {})[0].graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    net = build_model(ModelConfig(name="FCNResNet", backbone="resnet18", pretrained=False), 257)
    built, form, scores = files.onnx_model(net, RAW, {})
    assert built.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT16
    assert files.check_onnx(net, built, form, scores, [(32, 64)])[0].holds


@pytest.mark.parametrize("damage", ["values", "unloadable"])
def test_nothing_is_written_when_the_check_fails(checkpoint, tmp_path, monkeypatch, capsys, damage):
    original = files.build_onnx

    def wrong(graph, form, metadata):
        if damage == "values":
            name = next(n for n in graph.params if n.endswith("weight"))
            graph.params[name] = graph.params[name] * 1.001
        built, scores = original(graph, form, metadata)
        if damage == "unloadable":
            built.graph.node[0].op_type = "NoSuchOperator"
        return built, scores

    monkeypatch.setattr(files, "build_onnx", wrong)
    out = tmp_path / "new" / "folder"
    assert cli.main(["export", "--checkpoint", str(checkpoint), "--out", str(out), "--format", "onnx"]) == 2
    assert "ONNX Runtime" in capsys.readouterr().err
    assert not out.exists()


def test_an_older_file_survives_a_failure(checkpoint, tmp_path, monkeypatch):
    path, _ = export_onnx(checkpoint, tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(files, "TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match="differs"):
        export_onnx(checkpoint, tmp_path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 2


def test_labels_and_probabilities_of_a_symbol_are_refused(checkpoint):
    with pytest.raises(ConfigError):
        OnnxOptions(output="colours")
    for words in (["--raw"], ["--output", "labels"]):
        assert cli.main(["export", "--checkpoint", str(checkpoint), *words]) == 2


def test_the_runtime_stands_alone(checkpoint, tmp_path):
    """Copied elsewhere, in an interpreter that sees neither this package nor MXNet nor onnx."""
    path, _ = export_onnx(checkpoint, tmp_path, RAW)
    shutil.copy(runtime.__file__, tmp_path / "alone.py")
    cv2.imwrite(str(tmp_path / "in.png"), picture(45, 71)[..., ::-1])
    check = "import runpy, sys; sys.modules.update(mxnet=None, mxnetseg=None, onnx=None); sys.argv = sys.argv[1:]; "
    words = [sys.executable, "-I", "-c", check + "runpy.run_path(sys.argv[0], run_name='__main__')"]
    files_ = [str(tmp_path / name) for name in ("alone.py", path.name, "in.png", "out.png")]
    done = subprocess.run([*words, *files_], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    segmenter = OnnxSegmenter(path)
    painted = segmenter.paint(segmenter.labels(picture(45, 71)))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png"))[..., ::-1], painted)


def test_mistakes_are_explained(checkpoint, tmp_path):
    path, _ = export_onnx(checkpoint, tmp_path)
    with pytest.raises(ValueError, match="no file"):
        OnnxSegmenter(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match="not an ONNX file"):
        OnnxSegmenter(tmp_path / "text.onnx")
    stranger = onnx.load(str(path))
    del stranger.metadata_props[:]
    onnx.save(stranger, str(tmp_path / "stranger.onnx"))
    with pytest.raises(ValueError, match="mxnetseg export"):
        OnnxSegmenter(tmp_path / "stranger.onnx")
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            OnnxSegmenter(path).labels(wrong)
