"""Networks from configurations: what is accepted, refused, and loaded."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from models.networks import CLASSES
from mxnetseg.config import ModelConfig
from mxnetseg.errors import CheckpointError, ConfigError, NameNotFoundError
from mxnetseg.models import build_model
from mxnetseg.models.base import usable_backbones
from mxnetseg.registry import BACKBONES, MODELS


def build(name="FCNResNet", backbone="resnet18", **settings):
    return build_model(ModelConfig(name=name, backbone=backbone, **settings), CLASSES)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("fcn", "FCNResNet"),
        ("psp", "PSPNet"),
        ("deeplabv3+", "DeepLabv3PlusR"),
        ("bisenet", "BiSeNetR"),
        ("swiftnet", "SwiftResNet"),
    ],
)
def test_short_names(alias, name):
    assert MODELS.entry(alias).name == name


@pytest.mark.parametrize("name", MODELS.names())
def test_default_backbone_is_usable(name):
    assert MODELS.entry(name).meta.get("default_backbone") in (usable_backbones(name) or [None])


@pytest.mark.parametrize(
    "name",
    ["resnet18_half", *(n for n in BACKBONES.names() if not n.startswith(("resnet1", "resnest1", "resnest2", "vit_")))],
)
def test_backbone_channels_and_strides(name):
    meta = BACKBONES.entry(name).meta
    from mxnetseg.models.backbones import build_backbone

    for output_stride in meta["strides"]:
        backbone = build_backbone(name, output_stride=output_stride)
        shapes = backbone(mx.sym.var("data"))
        _, shapes, _ = mx.sym.Group(list(shapes)).infer_shape(data=(1, 3, 65, 97))
        assert tuple(s[1] for s in shapes) == meta["channels"] == tuple(backbone.channels)
        for shape, stride in zip(shapes, meta.get("reductions", (4, 8, 16, 32)), strict=True):
            stride = min(stride, output_stride)
            rounds_down = name == "fastscnn" or (name.startswith("densenet") and stride > 4)
            assert shape[2:] == tuple(side // stride if rounds_down else -(-side // stride) for side in (65, 97))


def test_options_reach_the_model():
    narrow, wide = build("swiftnet", options={"capacity": 64}), build("swiftnet")
    assert narrow.head.conv_c4.conv.weight.shape[0] == 64
    assert narrow.parameter_count() < wide.parameter_count()


def test_aux_and_dilate():
    net = build(aux=False, dilate=False)
    assert not hasattr(net, "aux_head") and net.output_stride == 32
    assert not build("deeplabv3plus", aux=True).aux


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"options": {"capacityy": 64}, "name": "swiftnet"}, ConfigError, "did you mean 'capacity'"),
        ({"dilate": True, "name": "swiftnet"}, ConfigError, "no option 'dilate'"),
        ({"backbone": "resnet19"}, NameNotFoundError, "did you mean 'resnet"),
        ({"backbone": "mobilenet_v2_1_0"}, ConfigError, "does not work on"),
        (
            {"name": "DeepLabv3PlusX", "backbone": "xception65", "options": {"output_stride": 4}},
            ConfigError,
            "output stride 4",
        ),
        ({"name": "ENet", "backbone": "resnet18"}, ConfigError, "no option 'backbone'"),
        ({"name": "ENet", "backbone": None, "pretrained": True}, ConfigError, "no backbone to fill"),
        ({"name": "ESPNet", "backbone": None, "options": {"skip": "b2"}}, ConfigError, "level1, b1"),
    ],
)
def test_mistakes_are_explained(settings, error, text):
    with pytest.raises(error, match=text.replace("'", ".")):
        build(**settings)


def test_spatial_pyramids_need_five_classes():
    with pytest.raises(ConfigError, match="at least 5 classes"):
        build_model(ModelConfig(name="ESPNet"), 4)


def test_initial_weights_depend_on_the_seed_only():
    nets = []
    for seed in (1, 1, 2):
        mx.random.seed(seed)
        nets.append(build("FCNMobileNet", "mobilenet_v2_0_25").head.conv2.weight.data().asnumpy())
    assert (nets[0] == nets[1]).all() and (nets[0] != nets[2]).any()
    assert nets[0].std() == pytest.approx(np.sqrt(2 / 80), rel=0.2)


@pytest.mark.parametrize("form", ["segmentation", "backbone", "classifier"])
def test_pretrained_file(tmp_path, form):
    """A whole network, a backbone, or GluonCV's classifier fills the backbone."""
    path, source = str(tmp_path / "weights.params"), build("FCNMobileNet", "mobilenet_v2_0_25")
    if form == "segmentation":
        source.save_parameters(path)
    elif form == "backbone":
        source.backbone.save_parameters(path)
    else:
        from gluoncv.model_zoo import get_model

        classifier = get_model("mobilenetv2_0.25")
        classifier.initialize()
        classifier(nd.zeros((1, 3, 32, 32)))
        classifier.save_parameters(path)
        source.backbone.layer1[0].weight.set_data(classifier.features[0].weight.data())
    net = build("FCNMobileNet", "mobilenet_v2_0_25", pretrained=path)
    assert (net.backbone.layer1[0].weight.data() == source.backbone.layer1[0].weight.data()).asnumpy().all()


def test_pretrained_file_of_another_backbone(tmp_path):
    path = str(tmp_path / "weights.params")
    build().backbone.save_parameters(path)
    with pytest.raises(CheckpointError, match="do not fit the backbone"):
        build(backbone="resnet34", pretrained=path)


def test_pretrained_file_that_is_missing():
    with pytest.raises(CheckpointError, match=r"cannot read missing\.params"):
        build(pretrained="missing.params")


def test_imagenet_weights_without_network(monkeypatch, tmp_path):
    """The message names the file and the ways out."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.setattr("requests.get", lambda *a, **k: (_ for _ in ()).throw(ConnectionError("no route")))
    with pytest.raises(CheckpointError, match=r"resnet18_v1b-[0-9a-f]{8}.params(.|\n)*model.pretrained=FILE"):
        build(pretrained=True)
