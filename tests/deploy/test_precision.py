"""Lower precision: what is written, when, and what is said."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import mxnet as mx
import numpy as np
import onnx
import pytest
from tiny import write_checkpoint, write_city

from mxnetseg import cli
from mxnetseg.deploy import OnnxSegmenter, judgement, low_precision
from mxnetseg.deploy.calibration import calibration_images
from mxnetseg.deploy.exported import ExportedNetwork
from mxnetseg.deploy.graph import Graph
from mxnetseg.deploy.judgement import Judgement, first_that_holds, judge
from mxnetseg.deploy.onnx import OnnxOptions, int8
from mxnetseg.deploy.onnx.files import onnx_model
from mxnetseg.deploy.onnx.translate import Form, build_onnx
from mxnetseg.deploy.reduce import symbol_block
from mxnetseg.engine.checkpoint import load_model, read_meta
from mxnetseg.errors import ConfigError, DataError, NameNotFoundError
from mxnetseg.tools.foreign import onnx_runtime_pass
from tests.deploy.nets import lively_model

GOOD = Judgement(10, "here", 0.995, (0.5, 0.498), (20.0, 10.0), 2.0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.params")


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return write_city(tmp_path_factory.mktemp("city"), {"train": 3, "val": 2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    for i in range(8):
        small = np.random.default_rng(i).integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(str(place / f"{i}.png"), cv2.resize(small, (64, 48)))
    return place


@pytest.fixture
def quick(monkeypatch):
    """What is judged has gained and lost nothing, whatever this machine and random weights say."""
    original = judgement.judge
    better = {"speedup": 2.0, "agreement": 1.0}
    monkeypatch.setattr(judgement, "judge", lambda *args: replace(original(*args), **better))


@pytest.fixture
def images(checkpoint, folder):
    return calibration_images(str(folder), read_meta(checkpoint))


def export(checkpoint, out, source, *words):
    given = ["--calibration", str(source)] if source else []
    return cli.main(["export", "--checkpoint", str(checkpoint), "--out", str(out), *given, *words])


@pytest.mark.parametrize("form", [(), ("--raw", "--output", "labels"), ("--size", "48x64")])
def test_int8_onnx(checkpoint, folder, tmp_path, capsys, quick, form):
    assert export(checkpoint, tmp_path, folder, "--format", "onnx", "--precision", "int8", *form) == 0
    out = capsys.readouterr().out
    assert "equal labels on 2 images" in out and "every convolution" in out
    assert {p.name for p in tmp_path.iterdir()} == {
        f"tiny{kind}.onnx{end}" for kind in ("", "_int8") for end in ("", ".sha256")
    }
    built = onnx.load(str(tmp_path / "tiny_int8.onnx"))
    kinds = [node.op_type for node in built.graph.node]
    assert kinds.count("Conv") == 2 and "QuantizeLinear" in kinds
    weights = [t for t in built.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4]
    assert len(weights) == 2
    image = cv2.imread(str(folder / "3.png"))[..., ::-1].copy()
    own, reduced = (OnnxSegmenter(tmp_path / f"tiny{kind}.onnx") for kind in ("", "_int8"))
    assert 0.9 < (own.labels(image) == reduced.labels(image)).mean() < 1
    assert reduced.meta["precision"]["name"] == "int8" and reduced.classes == own.classes


@pytest.mark.slow
def test_int8_symbol(checkpoint, city, tmp_path, capsys, quick):
    assert export(checkpoint, tmp_path, "cityscapes", "--precision", "int8", "--data-root", str(city)) == 0
    out = capsys.readouterr().out
    assert "mIoU" in out and "Cityscapes val" in out
    reduced = ExportedNetwork(tmp_path / "tiny_int8-symbol.json", mx.cpu())
    assert reduced.meta["precision"]["miou"] and set(reduced.meta["files"]) == {
        "tiny_int8-symbol.json",
        "tiny_int8-0000.params",
    }
    assert "quantized" in (tmp_path / "tiny_int8-symbol.json").read_text()
    own, _ = load_model(checkpoint)
    x = mx.nd.random.normal(shape=(1, 3, 32, 48))
    wanted, found = own.predict(x).asnumpy(), reduced.inference(x).asnumpy()
    assert 0 < np.abs(found - wanted).max() < 0.3 * np.abs(wanted).max()
    assert cli.main(["benchmark", str(tmp_path / "tiny_int8-symbol.json"), "--ctx", "cpu"]) == 2
    assert "--path int8" in capsys.readouterr().err


def between_convolutions(layer):
    """Symbol, parameters, an image and its scores."""
    x = mx.sym.Convolution(mx.sym.var("data"), num_filter=8, kernel=(3, 3), name="one")
    symbol = mx.sym.Convolution(layer(x), num_filter=4, kernel=(1, 1), name="two")
    rng = np.random.default_rng(0)
    shapes = zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 16, 16))[0], strict=True)
    params = {name: mx.nd.array(rng.uniform(-1, 1, shape)) for name, shape in shapes if name != "data"}
    image = rng.uniform(-1, 1, (1, 3, 16, 16)).astype("f")
    return symbol, params, image, symbol_block(symbol, params)(mx.nd.array(image)).asnumpy()


def test_int8_symbol_of_gated_maps():
    """Hard swish, as in MobileNetV3: a map with signs by one without."""
    symbol, params, image, wanted = between_convolutions(lambda x: x * mx.sym.hard_sigmoid(x))
    found = symbol_block(*low_precision.int8_symbol(symbol, params, [image]))(mx.nd.array(image)).asnumpy()
    assert 0 < np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()


def test_int8_onnx_of_enlarged_maps(tmp_path):
    symbol, params, image, wanted = between_convolutions(
        lambda x: mx.sym.UpSampling(x, scale=2, sample_type="nearest", num_args=1)
    )
    graph = Graph(symbol, {name: value.asnumpy() for name, value in params.items()})
    built, _ = build_onnx(graph, Form(size=(16, 16)), {})
    found = onnx_runtime_pass(int8.quantize_onnx(built, [image], tmp_path).SerializeToString(), image)()
    assert 0 < np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize("form", [pytest.param((), marks=pytest.mark.slow), ("--format", "onnx")])
@pytest.mark.parametrize("fault", ["slow", "wrong"])
def test_what_is_not_worth_having_is_not_written(checkpoint, folder, tmp_path, capsys, monkeypatch, form, fault):
    bad = replace(GOOD, speedup=0.9) if fault == "slow" else replace(GOOD, miou=(0.5, 0.494))
    monkeypatch.setattr(judgement, "judge", lambda *_: bad)
    assert export(checkpoint, tmp_path, folder, "--precision", "int8", *form) == 0
    out = capsys.readouterr().out
    assert "not worth having" in out and out.count("times as fast") == (1 if fault == "slow" else 2)
    assert not [path for path in tmp_path.iterdir() if "int8" in path.name or path.suffix == ".tmp"]
    assert [path for path in tmp_path.iterdir() if path.name.startswith("tiny")]


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"miou": (0.5, 0.4949)}, False),
        ({"miou": (0.5, 0.6)}, True),
        ({"miou": None}, True),
        ({"miou": None, "agreement": 0.98}, False),
        ({"agreement": 0.5}, True),
        ({"speedup": 0.99}, False),
    ],
)
def test_rule(changes, holds):
    assert replace(GOOD, **changes).holds == holds


def test_convolutions_are_left_out_until_the_loss_is_small(monkeypatch):
    verdicts = iter([replace(GOOD, miou=(0.5, 0.4)), replace(GOOD, miou=(0.5, 0.49)), GOOD])
    monkeypatch.setattr(judgement, "judge", lambda *_: next(verdicts))
    said = []
    found, last = first_that_holds(lambda *left: (left, None), 9, None, None, said.append)
    assert found == (1, 1) and last == GOOD and "first 1 and last 1" in said[2]
    monkeypatch.setattr(judgement, "judge", lambda *_: replace(GOOD, miou=(0.5, 0.4)))
    assert first_that_holds(lambda *left: (left, None), 3, None, None, said.append) is None and len(said) == 5


def test_excluded_convolutions_stay_in_float32(folder, images, tmp_path):
    net = lively_model("BiSeNetR")
    built, *_ = onnx_model(net, OnnxOptions(raw=True), {})
    names = int8.convolutions(built)
    before = built.SerializeToString()
    made = int8.quantize_onnx(built, [i[None] for i in images.one_size()], tmp_path, [names[0], names[-1]])
    assert built.SerializeToString() == before  # of use for another attempt
    integers = {node.output[0] for node in made.graph.node if node.op_type == "DequantizeLinear"}
    quantized = [n.name for n in made.graph.node if n.op_type == "Conv" and n.input[1] in integers]
    assert sorted(quantized) == sorted(names[1:-1])
    symbol_names = low_precision.fused_convolutions(net.symbol())
    assert len(symbol_names) == len(names)


def test_judge_measures(images):
    labels = {"even": 0}

    def own(image):
        return (image[..., 0] > 127).astype(np.uint8)

    def other(image):
        labels["even"] += 1
        wrong = own(image)
        wrong[0] ^= 1
        return wrong

    found = judge(own, other, images)
    assert found.images == 2 and found.miou is None and labels["even"] == 3
    assert found.agreement == pytest.approx(1 - 1 / 48)
    assert found.speedup > 0 and "97.92% equal labels" in str(found)


def test_images(folder, images, city, checkpoint):
    assert (len(images.calibrate), len(images.held_out)) == (6, 2)
    shapes = {image.shape for image in images.one_size((20, 30))}
    assert shapes == {(20, 30, 3)}
    few = calibration_images(str(folder), read_meta(checkpoint), limit=2)
    assert (len(few.calibrate), len(few.held_out)) == (2, 2)
    scored = calibration_images("cityscapes", read_meta(checkpoint), str(city))
    assert (len(scored.calibrate), len(scored.held_out)) == (3, 2)
    image, label = scored.held_out[0]()
    assert image.shape[:2] == label.shape and label.min() == -1


def test_mistakes_are_explained(folder, city, checkpoint, tmp_path, capsys):
    meta = read_meta(checkpoint)
    with pytest.raises(NameNotFoundError, match="did you mean"):
        calibration_images("cityscape", meta)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "0.txt").write_text("no image")
    with pytest.raises(DataError, match="4 or more"):
        calibration_images(str(tmp_path / "one"), meta)
    for i in range(4):
        (tmp_path / "one" / f"{i}.txt").write_text("no image")
    with pytest.raises(DataError, match="not an image"):
        list(calibration_images(str(tmp_path / "one"), meta).one_size())
    with pytest.raises(ConfigError, match="trained for Cityscapes"):
        calibration_images("cityscapes", meta | {"classes": ["a", "b"]}, str(city))
    for words in (["--precision", "int8"], ["--format", "onnx", "--precision", "bf16"]):
        assert export(checkpoint, tmp_path, None, *words) == 2
    assert export(checkpoint, tmp_path, folder, "--limit", "0", "--precision", "int8") == 2
    assert export(checkpoint, tmp_path, folder) == 2
    assert "for int8 and bf16 only" in capsys.readouterr().err


def test_bf16_is_in_the_symbol():
    net = lively_model("BiSeNetR")
    symbol, _ = low_precision.bf16_symbol(net.symbol(), {})
    nodes = json.loads(symbol.tojson(remove_amp_cast=False))["nodes"]
    casts = [node for node in nodes if node["op"] == "amp_cast"]
    assert {node["attrs"]["dtype"] for node in casts} == {"bfloat16", "float32"}


@pytest.mark.slow
def test_bf16_works_or_says_why_not(checkpoint, folder, tmp_path, capsys, quick):
    code = export(checkpoint, tmp_path, folder, "--precision", "bf16")
    if code:
        assert code == 2 and "bf16 does not run on this processor" in capsys.readouterr().err
        assert not [path for path in tmp_path.iterdir() if "bf16" in path.name or path.suffix == ".tmp"]
    else:
        assert "equal labels" in capsys.readouterr().out
