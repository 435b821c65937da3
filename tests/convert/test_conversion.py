"""``mxnetseg convert``: files that describe themselves, and a report on every tensor."""

import hashlib
import json
import re
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import nd

from mxnetseg.cli import main
from mxnetseg.config import ModelConfig
from mxnetseg.convert.conversion import check_rebuilt, model_config
from mxnetseg.convert.imagenet import backbone_names
from mxnetseg.data.datasets.cityscapes import Cityscapes
from mxnetseg.engine.checkpoint import load_checkpoint, load_model
from mxnetseg.errors import CheckpointError, ConfigError
from mxnetseg.models import build_model
from mxnetseg.models.backbones.base import build_backbone
from mxnetseg.models.layers.norm import GroupNorm

from .files import torch_zip

TINY = ["--system", "mxnetseg", "--model", "Tiny", "--data", "cityscapes"]


def tiny_net(**options):
    tiny.register()
    mx.random.seed(1)
    return build_model(ModelConfig(name="Tiny", aux=True, **options), 19)


def arrays_of(net):
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


@pytest.fixture
def published(tmp_path):
    """A network and its file; the extra tensors belong to nothing."""
    net = tiny_net()

    def write(change=lambda state: None):
        state = arrays_of(net)
        change(state)
        path = tmp_path / "published.pth"
        path.write_bytes(torch_zip({"epoch": 7, "state_dict": {f"module.{k}": v for k, v in state.items()}}))
        return str(path)

    return net, write


def test_the_file_needs_nothing_else(published, tmp_path, capsys):
    net, write = published
    source, target = write(), tmp_path / "converted.params"
    assert main(["convert", source, *TINY, "--output", str(target), "aux=true"]) == 0
    text = capsys.readouterr().out
    assert "'state_dict'" in text
    assert re.search(r"(\d+) tensors: \1 loaded, 0 ignored, 0 unused, 0 mismatched; 0 parameters missing", text)

    model, checkpoint = load_model(target)
    image = nd.random.normal(shape=(1, 3, 40, 72))
    np.testing.assert_array_equal(model.predict(image).asnumpy(), net.predict(image).asnumpy())
    meta = checkpoint.meta
    assert meta["classes"] == list(Cityscapes.classes)
    assert meta["palette"] == Cityscapes.palette.tolist()
    assert meta["mean"] == [0.485, 0.456, 0.406]
    assert meta["std"] == [0.229, 0.224, 0.225]
    assert meta["provenance"]["sha256"] == hashlib.sha256(Path(source).read_bytes()).hexdigest()
    assert meta["provenance"]["arguments"] == {"nclass": 19, "aux": True}

    city = tiny.write_city(tmp_path / "city", {"val": 2})
    out = ["--save-dir", str(tmp_path / "eval")]
    assert main(["eval", "--checkpoint", str(target), "--data-root", str(city), "--ctx", "cpu", *out]) == 0
    cv2.imwrite(str(tmp_path / "i.png"), np.zeros((48, 64, 3), np.uint8))
    out = ["--out", str(tmp_path / "predictions")]
    assert main(["predict", str(tmp_path / "i.png"), "--checkpoint", str(target), "--ctx", "cpu", *out]) == 0
    assert (tmp_path / "predictions" / "mask" / "i.png").is_file()


def _without_one(state):
    del state["head.bias"]


def _with_another(state):
    state["stranger"] = np.zeros((2, 2), np.float32)


def _reshaped(state):
    state["head.weight"] = state["head.weight"][:5]


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        (_without_one, "missing", "head.bias"),
        (_with_another, "unused", "stranger"),
        (_reshaped, "mismatched", "head.weight"),
    ],
)
def test_nothing_is_written_unless_every_tensor_has_its_place(published, tmp_path, capsys, change, kind, name):
    _, write = published
    target = tmp_path / "converted.params"
    words = ["convert", write(change), *TINY, "--output", str(target), "aux=true"]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert re.search(rf"{kind}: {re.escape(name)}", printed.out)
    assert "--allow-partial" in printed.err
    assert not target.exists()

    assert main([*words, "--allow-partial", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert name in str(record[kind])
    found = [*record["loaded"], *record["unused"], *record["ignored"], *(n for n, _, _ in record["mismatched"])]
    state = arrays_of(published[0])
    change(state)
    assert sorted(found) == sorted(state)
    assert load_checkpoint(target).meta["provenance"]["tensors"][kind] == record[kind]


def test_default_name_and_no_overwriting_of_other_files(published, tmp_path, monkeypatch, capsys):
    _, write = published
    monkeypatch.chdir(tmp_path)
    source = write()
    for _ in range(2):  # the same source may be converted again
        assert main(["convert", source, *TINY, "aux=true"]) == 0
    assert (tmp_path / "weights" / "tiny" / "published.params").is_file()
    source = write(lambda state: state.update({"head.bias": state["head.bias"] + 1}))
    assert main(["convert", source, *TINY, "aux=true"]) == 2
    assert "--output" in capsys.readouterr().err


def test_classes_by_number_and_by_name(published, tmp_path):
    tiny.register()
    target = str(tmp_path / "c.params")
    words = ["convert", published[1](), "--system", "mxnetseg", "--model", "Tiny", "aux=true", "--output", target]
    assert main([*words, "--classes", "19"]) == 0
    meta = load_checkpoint(target).meta
    assert (meta["data"], meta["num_classes"], meta["classes"][3]) == ("Custom", 19, "class 3")
    assert main([*words, "--classes", ",".join(f"c{i}" for i in range(19))]) == 0
    meta = load_checkpoint(target).meta
    assert meta["config"]["data"]["options"]["classes"] == meta["classes"] == [f"c{i}" for i in range(19)]


def test_data_and_protocol_of_a_configuration_are_kept(published, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("data: {name: Cityscapes, crop_size: 32}\neval: {protocol: slide, overlap: 0.5}\n")
    target = str(tmp_path / "c.params")
    assert main(["convert", published[1](), *TINY, "--config", str(config), "aux=true", "--output", target]) == 0
    recorded = load_checkpoint(target).meta["config"]
    assert recorded["data"]["crop_size"] == 32
    assert (recorded["eval"]["protocol"], recorded["eval"]["overlap"]) == ("slide", 0.5)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--model", "FCNResNet", "--data", "camvid"], "--system"),
        (["--system", "mxnetsge", "--model", "FCNResNet", "--data", "camvid"], "'mxnetseg'"),
        (["--system", "mlmsnet", "--model", "FCNResNet", "--data", "camvid"], "MLMSNetv2"),
        (["--system", "mxnetseg", "--model", "FCNResNet"], "--classes"),
        (["--system", "mxnetseg", "--model", "FCNResNet", "--data", "camvid", "--classes", "3"], "--classes"),
        (["--system", "mxnetseg", "--model", "FCNResNet", "--data", "camvi"], "CamVid"),
        (["--system", "mxnetseg", "--model", "FCNResNet", "--data", "custom"], "--classes"),
        (["--system", "mxnetseg", "--model", "FCNResNet", "--classes", "none"], "--classes"),
        (["--system", "mlmsnet", "--model", "MLMSNet", "--data", "camvid", "use_msff=true"], "'use_msf'"),
        (["--system", "magnet", "--model", "fpn", "--data", "camvid", "--backbone", "x"], "use_bn"),
        (["--backbone-only"], "--backbone NAME"),
        (["--backbone-only", "--backbone", "resnet81"], "'resnet18'"),
    ],
)
def test_mistakes_are_explained(words, hint, tmp_path, capsys):
    path = tmp_path / "w.pth"
    path.write_bytes(torch_zip({"w": np.zeros(3, np.float32)}))
    assert main(["convert", str(path), *words]) == 2
    error = capsys.readouterr().err
    assert hint in error
    assert "Traceback" not in error


def test_refused_files_end_the_command_with_their_reason(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00x\x85R.")
    assert main(["convert", str(path), *TINY]) == 2
    assert "os.system" in capsys.readouterr().err


def test_a_published_state_gives_the_recorded_scores(harness, shared, tmp_path):
    case = harness.load_case(shared / "oracle" / "mlmsnet__MLMSNet__mnv3small_w100__small_c19_121x121")
    path, target = tmp_path / "mlmsnet.pth", tmp_path / "mlmsnet.params"
    path.write_bytes(torch_zip({"state_dict": {f"module.{k}": v for k, v in case.state.items()}}))
    words = ["--system", "mlmsnet", "--model", "MLMSNet", "--data", "cityscapes", "--output", str(target)]
    arguments = [f"{k}={json.dumps(v)}" for k, v in case.kwargs.items() if k != "classes"]
    assert main(["convert", str(path), *words, *arguments]) == 0
    scores = load_model(target)[0].predict(nd.array(case.image)).asnumpy()
    error = harness.formula.compare(
        case.reference["logits"], case.meta["outputs"]["logits"], scores, case.meta["stride"]
    )
    assert error < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("system", ["magnet", "mfaranet", "mlcrnet", "mlmsnet"])
def test_every_published_network_is_rebuilt_from_its_metadata(system, harness, shared, tmp_path):
    seen = set()
    for path in harness.network_cases(shared / "oracle"):
        if not path.name.startswith(f"{system}__"):
            continue
        case = harness.load_case(path)
        if case.model in seen:
            continue
        seen.add(case.model)
        np.savez(tmp_path / "case.npz", **case.state)
        key = next(k for k in ("classes", "num_classes") if k in case.kwargs)
        words = ["--system", case.system, "--model", case.model, "--classes", str(case.kwargs[key])]
        arguments = [f"{k}={json.dumps(v)}" for k, v in case.kwargs.items() if k != key]
        words += ["--output", str(tmp_path / "case.params"), *arguments]
        assert main(["convert", str(tmp_path / "case.npz"), *words]) == 0, path.name
    assert seen


# ---- Configurations from networks


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            {"name": "FCNResNet", "backbone": "resnet18", "dilate": False, "aux": False}, marks=pytest.mark.slow
        ),
        pytest.param({"name": "FCNResNet", "backbone": "resnet18", "norm": "gn"}, marks=pytest.mark.slow),
        {"name": "MLMSNet", "backbone": "mobilenet_v3_small_0_75", "options": {"wide": False, "use_mlf": False}},
    ],
)
def test_a_network_knows_its_configuration(config):
    given = ModelConfig(**config)
    net = build_model(given, 3)
    found = model_config(net)
    for key in ("name", "backbone", "aux", "norm", "options"):
        assert getattr(found, key) == getattr(given, key), key
    check_rebuilt(net, found)


def test_normalisations_that_a_configuration_cannot_say_are_refused():
    net = tiny_net()
    net.arguments["norm"] = lambda **options: GroupNorm(**options)
    with pytest.raises(ConfigError, match="normalisation"):
        model_config(net)


def test_a_configuration_that_gives_other_scores_is_refused():
    small = {"name": "MLMSBaseline", "backbone": "mobilenet_v3_large_0_75"}
    net = build_model(ModelConfig(**small, options={"dilate3": True}), 3)
    with pytest.raises(CheckpointError, match="other scores"):
        check_rebuilt(net, ModelConfig(**small, options={"dilate3": False}))


# ---- Backbones


def _resnet(name):
    return name


def _resnet_v1c(name):
    return re.sub(r"^conv1\.", "stem.", re.sub(r"^bn1\.", "stem.7.", name))


def _three_convolutions(name):
    table = {"conv1.0.": "conv1.", "conv1.1.": "bn1.", "conv1.3.": "conv2.", "conv1.4.": "bn2.", "conv1.6.": "conv3."}
    for ours, theirs in {**table, "bn1.": "bn3."}.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _mobilenet(name):
    stage, number, rest = re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", name).groups()
    first = (0, 1, 2, 4, 9)  # blocks of MobileNetV3-Small before each stage, the stem being the first
    return f"features.{first[int(stage)] + int(number)}.{rest}"


def official_names(backbone, rename):
    """Tensors of a backbone under the names of a PyTorch classifier, counters and classifier included."""
    state = {}
    for name, value in arrays_of(backbone).items():
        layer, _, kind = rename(name).rpartition(".")
        state[f"{layer}.{ {'gamma': 'weight', 'beta': 'bias'}.get(kind, kind) }"] = value
        if kind == "gamma":
            state[f"{layer}.num_batches_tracked"] = np.array(5)
    return state


@pytest.mark.parametrize(
    ("name", "model", "rename", "classifier"),
    [
        pytest.param("resnet18", "FCNResNet", _resnet, "fc", marks=pytest.mark.slow),
        ("mobilenet_v3_small_0_75", "MLMSNet", _mobilenet, "classifier.3"),
        pytest.param("resnet50", "FCNResNet", _three_convolutions, "fc", marks=pytest.mark.slow),
        pytest.param("resnet50_v1c", "MLCRNet", _resnet_v1c, "fc", marks=pytest.mark.slow),
    ],
)
def test_imagenet_classifiers_become_backbones(name, model, rename, classifier, tmp_path, capsys):
    backbone = build_backbone(name, output_stride=8)
    backbone.initialize()
    backbone(nd.zeros((1, 3, 64, 64)))
    state = official_names(backbone, rename) | {f"{classifier}.weight": np.zeros((10, 4), np.float32)}
    path, target = tmp_path / "imagenet.pth", tmp_path / "backbone.params"
    path.write_bytes(torch_zip(state))
    assert main(["convert", str(path), "--backbone-only", "--backbone", name, "--output", str(target)]) == 0
    assert f"ignored: {classifier}.* (1)" in capsys.readouterr().out
    net = build_model(ModelConfig(name=model, backbone=name, pretrained=str(target)), 3)
    expected = arrays_of(backbone)
    for key, value in arrays_of(net.backbone).items():
        np.testing.assert_array_equal(value, expected[key], err_msg=key)
    assert load_checkpoint(target).meta["backbone"] == name


@pytest.mark.parametrize(
    ("name", "rename"),
    [
        ("resnet18", _resnet),
        ("resnet50_v1b", _resnet),
        ("resnet50", _three_convolutions),
        ("resnet50_v1c", _resnet_v1c),
    ],
)
def test_resnets_published_names(name, rename):
    backbone = build_backbone(name)
    ours = {
        n: rename(n).replace("gamma", "weight").replace("beta", "bias") for n in backbone._collect_params_with_prefix()
    }
    found = backbone_names(backbone, [*ours.values(), "fc.weight", "fc.bias", "bn1.num_batches_tracked"])
    assert found.pop("fc.weight") is found.pop("fc.bias") is found.pop("bn1.num_batches_tracked") is None
    assert {theirs: own for own, theirs in ours.items()} == found


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2_0_25", "hrnet_w18_small_v1", "densenet121", "xception65"])
def test_gluoncvs_published_names(name):
    from gluoncv.model_zoo import get_model

    backbone = build_backbone(name)
    classifier = get_model(backbone.imagenet, pretrained=False)._collect_params_with_prefix()
    found = [own for own in backbone_names(backbone, classifier).values() if own]
    assert sorted(found) == sorted(backbone._collect_params_with_prefix())


def test_hrnets_published_names(shared):
    case = json.loads((shared / "oracle" / "magnet__hrnet__w18-ocr__19c_64x128.json").read_text())
    trunk = [n for n, _ in case["tensors"] if re.match(r"(conv\d\.|bn\d\.|layer1|transition|stage)", n)]
    backbone = build_backbone("hrnet_w18_small_v2")
    extra = ["incre_modules.0.0.conv1.weight", "downsamp_modules.0.0.weight", "final_layer.0.bias", "classifier.weight"]
    names = backbone_names(backbone, [*trunk, *extra])
    assert all(names[name] is None for name in extra)
    found = [names[name] for name in trunk if not name.endswith("num_batches_tracked")]
    assert sorted(found) == sorted(backbone._collect_params_with_prefix())


def test_a_backbone_of_another_kind_is_refused(tmp_path, capsys):
    path = tmp_path / "imagenet.pth"
    path.write_bytes(torch_zip({"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}))
    target = tmp_path / "b.params"
    assert main(["convert", str(path), "--backbone-only", "--backbone", "resnet18", "--output", str(target)]) == 2
    assert "missing: bn1.gamma" in capsys.readouterr().out
    assert not target.exists()
