"""MFARANet: recorded features, training branch and inference; figures; names of checkpoints."""

import json
import re
import sys
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest
from models.networks import without_dropout
from mxnet import autograd, nd

from mxnetseg.config import EvalConfig, LossConfig
from mxnetseg.convert import build_reference, load_reference
from mxnetseg.data.transforms import MEAN, STD
from mxnetseg.engine.inference import Predictor
from mxnetseg.engine.protocols import PROTOCOLS
from mxnetseg.errors import ConfigError, NameNotFoundError
from mxnetseg.losses import build_loss
from mxnetseg.models.mfaranet import MFARANet

QUICK = [
    "MFARANet__resnet18_deep_stem__g180_c19_96x160",
    "MFARANetScaleChoiceDFNet__DFNet_V1__b1234_c19_128x128",
    "MFARANetScaleChoiceSTDC__STDC_V1__b1234_c19_128x128",
    "AblationRAMConcat__resnet18_deep_stem__c19_128x128",
]
SLOW = [
    "AblationBilinearUp__resnet18_deep_stem__c19_128x128",
    "AblationDirect__resnet18_deep_stem__c19_128x128",
    "MFARANetPruned__resnet18_deep_stem__c19_128x128",
    "MFARANetScaleChoice__resnet18_deep_stem__b1234_drop05_c19_128x128",
    "MFARANetScaleChoice__resnet18_deep_stem__b13_c19_96x160",
    "MFARANetScaleChoice__resnet18_deep_stem__b2_c19_128x128",
    "MFARANetScaleChoice__resnet18_deep_stem__g180_b1234_c19_b2_96x128",
    "MFARANetSpeed__resnet18_deep_stem__c19_128x128",
    "MFARANet__resnet18_deep_stem__c19_128x128",
    "MFARANet__resnet50_deep_stem__c19_128x128",
]
TRAINING = [
    "evalbn_c19_b2_128x128",
    "evalbn_inx40_ohem2000_c19_b2_96x160",
    "trainbn_c19_b2_128x128",
]


def relative(a, b):
    return np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)


def read(shared, name):
    """Description and arrays of a case that is not a plain network."""
    path = shared / "oracle" / f"mfaranet__{name}"
    return json.loads(path.with_suffix(".json").read_text()), dict(np.load(path.with_suffix(".npz")))


def grid(flow):
    """Sampling positions from -1 to 1 of displacements in pixels."""
    height, width = flow.shape[2:]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([x, y]) + flow * (2 / np.array([width - 1, height - 1]).reshape(2, 1, 1))


def features(net, x):
    """Everything that the recordings hold, by their names."""
    stages = net.backbone(x)
    found = {f"c{i}": y for i, y in enumerate(stages, start=1)}
    pyramid = net.pyramid(nd, stages)
    found |= {f"p{i}": y for i, y in enumerate(pyramid, start=1)}
    if hasattr(net, "stages_offset0"):
        found |= {f"grid{i}{i + 1}": nd.array(grid(y.asnumpy())) for i, y in enumerate(net.flows(nd, pyramid), start=1)}
    aligned = net.align(nd, pyramid) if isinstance(net, MFARANet) else net.bring_together(nd, pyramid)
    for i, y in enumerate(aligned):
        found |= {f"w{i + 1}": y, f"score{i + 1}": getattr(net, f"multi_loss_head{i}")(y)}
    for i, stage in enumerate(getattr(net, "branches", (1, 2, 3, 4))):
        if hasattr(net, f"attentions{i}"):
            found[f"att{i + 1}"] = getattr(net, f"attentions{i}")(aligned[stage - 1])
    return found | {"logits": net.predict(x)}


@pytest.mark.parametrize("name", QUICK + [pytest.param(name, marks=pytest.mark.slow) for name in SLOW])
def test_recorded_features(harness, shared, name):
    case = harness.load_case(shared / "oracle" / f"mfaranet__{name}")
    net = build_reference("mfaranet", case.model, **case.kwargs)
    report = load_reference(net, case.state, "mfaranet")
    assert report.complete, report
    assert {n.rpartition(".")[2] for n in report.ignored} <= {"num_batches_tracked"}
    net = getattr(net, "model", net)
    assert net.parameter_count() == case.params
    found = features(net, nd.array(case.image))
    assert set(case.reference) <= set(found)
    for key, wanted in case.reference.items():
        error = harness.formula.compare(wanted, case.meta["outputs"][key], found[key].asnumpy(), case.meta["stride"])
        assert error <= case.tolerance, key


# Options: learnable scalars (boundary heads included), GMAC of inference at 1024x1024.
FIGURES = {
    ("deepstem_resnet18",): (12_997_264, 109.074),
    ("deepstem_resnet50",): (25_672_720, 157.996),
    ("stdc1",): (7_105_264, 57.442),
    ("stdc2",): (11_135_728, 70.628),
    ("dfnet_v1",): (9_667_696, 56.637),
    ("dfnet_v2",): (19_146_352, 78.313),
    ("deepstem_resnet18", ("branches", (1, 2, 4))): (12_921_676 + 516, 104.162),
    ("deepstem_resnet18", ("pruned", True), ("aux", False)): (12_208_595, 87.334),
    ("deepstem_resnet18", ("pruned", True), ("aux", False), ("decoder_norm", False)): (12_206_291, 87.334),
    ("deepstem_resnet18", ("decoder_norm", False), ("boundary", False)): (12_993_164, 109.074),
}


@pytest.mark.parametrize("key", FIGURES)
def test_figures_of_the_specification(key):
    """Parameters exactly; multiply-accumulates as the tables round them, where all branches are used."""
    backbone, *options = key
    net = MFARANet(19, backbone=backbone, **{"boundary": True, **dict(options)})
    assert net.parameter_count() == FIGURES[key][0]
    if net.branches == (1, 2, 3, 4):
        assert round(net.macs(1024, 1024) / 1e9, 3) == FIGURES[key][1]


@pytest.mark.parametrize("options", [{"pruned": True}, {"branches": (1, 3)}, {"branches": (1,)}, {"repeat_fuse": True}])
def test_inference_holds_only_what_it_needs(options):
    """Without auxiliary maps the network is its inference view, with the same values."""
    full, small = (MFARANet(5, "stdc1", aux=aux, **options) for aux in (True, False))
    for net in (full, small):
        net.prepare()
    assert len(full.auxiliary) > 0 or "repeat_fuse" in options
    assert set(full.inference.collect_params()) | {"data"} == set(full.symbol().list_inputs())
    arrays = {name: p.data() for name, p in full._collect_params_with_prefix().items()}
    for name, parameter in small._collect_params_with_prefix().items():
        parameter.set_data(arrays[name])
    x = nd.random.normal(shape=(1, 3, 64, 96))
    assert relative(small(x)[0].asnumpy(), full.predict(x).asnumpy()) < 1e-5
    assert small.parameter_count() < full.parameter_count() or "repeat_fuse" in options


@pytest.mark.slow
@pytest.mark.parametrize("hybrid", [False, True], ids=["eager", "static"])
@pytest.mark.parametrize("name", TRAINING)
def test_recorded_training_branch(harness, shared, name, hybrid):
    """Maps, losses, gradients of every tensor and running statistics."""
    meta, recorded = read(shared, f"MFARANet__resnet18_deep_stem__trainfwd_{name}")
    formula = harness.formula
    net = build_reference("mfaranet", meta["model"], **meta["kwargs"])
    net.apply(without_dropout)
    state = {n: formula.tensor(n, shape) for n, shape in meta["tensors"]}
    assert load_reference(net, state, "mfaranet").complete
    x = nd.array(formula.image(meta["input_shape"], meta["input_seed"]) * np.float32(meta["kwargs"]["_input_scale"]))
    label = nd.array(np.where(recorded["in_label"] == 255, -1, recorded["in_label"]))
    options = {"segmentation": {"name": "OHEM", "options": {"min_kept": 2000 if "ohem2000" in name else 100_000}}}
    total, stage = (
        LossConfig(name="JointEdge", aux_weight=1.0, options={**options, **o}) for o in ({}, {"main_weight": 0})
    )
    total, stage = build_loss(total, 19), build_loss(stage, 19)
    if hybrid:
        for block in (net, total):
            block.hybridize(static_alloc=True, static_shape=True)
    net.freeze_bn(meta["kwargs"]["_mode"] == "evalbn")
    with autograd.record():
        outputs = net(x)
        value = total(outputs, label)
    value.backward()
    assert value.asscalar() == pytest.approx(recorded["loss_total"][0], rel=1e-5)
    assert build_loss(LossConfig(), 19)(outputs[:1], label).asscalar() == pytest.approx(
        recorded["loss_main"][0], rel=1e-5
    )
    assert (outputs[0].asnumpy().argmax(1) != recorded["pred"]).mean() < 1e-3
    for i in range(1, 5):
        for key, y in ((f"stage_logits{i}", outputs[i]), (f"stage_boundary{i}", outputs[4 + i])):
            assert formula.compare(recorded[key], meta["outputs"][key], y.asnumpy(), meta["stride"]) < 1e-4, key
        one = stage([outputs[0], outputs[i], outputs[4 + i]], label).asscalar()
        assert one == pytest.approx(recorded[f"stage_loss{i}"][0], rel=1e-5)
    # Noise of 1e-6 in the image moves these gradients by 3e-3, noise of 1e-5 by 2e-2 where batches are normalised:
    # pixels cross the kinks of pooling, ReLU and warping.
    check_gradients(net, state, recorded, 4e-3 if "evalbn" in name else 2e-2)


def check_gradients(net, state, recorded, tolerance):
    """Norms of all gradients, some in full, and running statistics after the step."""
    names = sys.modules["mxnetseg.convert.mfaranet"].names(net, state)
    parameters = net._collect_params_with_prefix()
    learnable = [n for n in state if not re.search("running|num_batches", n)]
    grads = {n: parameters[names[n]].grad().asnumpy() for n in learnable}
    assert relative([np.linalg.norm(grads[n]) for n in learnable], recorded["gradnorm_all"]) < 1e-3
    for key in (k for k in recorded if k.startswith("grad:")):
        got = grads[key[5:]].reshape(len(grads[key[5:]]), -1)
        wanted = recorded[key].reshape(len(recorded[key]), -1)
        assert relative(got[: len(wanted)], wanted) < tolerance, key
    for key in (k for k in recorded if k.startswith("after:")):
        wanted, before = recorded[key], state[key[6:]]
        if key.endswith("running_var"):
            # PyTorch adds the unbiased variance, n / (n - 1) of ours.
            n = 2 * (64 if "layer0" in key else 32) ** 2
            wanted = 0.9 * before + (wanted - 0.9 * before) * (n - 1) / n
        np.testing.assert_allclose(parameters[names[key[6:]]].data().asnumpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_recorded_inference(harness, shared):
    """Every mode of the original's test tool."""
    meta, recorded = read(shared, "inference__resnet18_deep_stem__c7_96x192_crop96x96")
    k, formula = meta["kwargs"], harness.formula
    official = {key: k[key] for key in ("backbone_name", "classes", "use_dilation", "if_use_boundary_loss")}
    net = build_reference("mfaranet", "MFARANet", **official)
    load_reference(net, {n: formula.tensor(n, shape) for n, shape in meta["tensors"]}, "mfaranet")
    image = formula.image(meta["input_shape"], meta["input_seed"])[0] * np.float32(k["_input_scale"])
    image = ((image.transpose(1, 2, 0).astype(np.float64) * STD + MEAN) * 255).astype(np.float32)
    published = PROTOCOLS["mfaranet_published"]
    modes = {
        "MS": (k["scales"], True, 1 / 3, published),
        "SS_flip": ([1.0], True, 0.0, published),
        "SS": ([1.0], False, 0.0, published),
        "full_img": ([1.0], False, 0.0, replace(PROTOCOLS["whole"], merge="exp")),
    }
    for mode, (scales, flip, overlap, protocol) in modes.items():
        config = EvalConfig(protocol="mfaranet", base_size=k["base_size"], scales=scales, flip=flip, overlap=overlap)
        predictor = Predictor(net.inference, config, tuple(k["crop"]), mx.cpu(), protocol=protocol)
        assert relative(predictor.scores(image), recorded[mode][0]) < 1e-5, mode
        if mode == "MS":
            assert (predictor.labels(image) != recorded["argmax_MS"][0]).mean() < 1e-3


def test_padding_with_the_mean_is_the_default():
    """What surrounds a small image is 0 after normalisation, unless the published figures are wanted."""
    seen = []

    def network(x):
        seen.append(x.asnumpy())
        return x

    image = np.full((4, 4, 3), 124, np.uint8)
    for name, wanted in (("mfaranet", 0), ("mfaranet_published", MEAN)):
        config = EvalConfig(protocol="mfaranet", crop_size=8)
        Predictor(network, config, (8, 8), protocol=PROTOCOLS[name]).scores(image)
        np.testing.assert_allclose(seen[-1][0, :, 0, 0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("module.layer1.0.downsample.0.weight", "backbone.layer1.0.downsample.0.weight"),
        ("layer4.0.1.bn2.bias", "backbone.layer4.1.bn2.beta"),
        ("layer4.1.bn2.bias", "backbone.layer4.1.bn2.beta"),
        ("layer0.0.4.running_var", "backbone.conv1.4.running_var"),
        ("ASFM_attentions.3.1.weight", "attentions3.0.bn.gamma"),
        ("HMSA_attentions.3.4.weight", "attentions3.2.weight"),
        ("boundary_heads.2.0.bias", None),
        ("layer0.1.num_batches_tracked", None),
    ],
)
def test_names_of_checkpoints(official, ours):
    """With data parallelism or not, of the main class or of scale choice; parts that were not built are ignored."""
    net = build_reference("mfaranet", "MFARANet", classes=3, if_use_boundary_loss=False)
    assert sys.modules["mxnetseg.convert.mfaranet"].names(net, [official]) == {official: ours}


def test_unknown_arguments_are_refused():
    with pytest.raises(NameNotFoundError, match="MFARANet_Scale_Choice"):
        build_reference("mfaranet", "MFARANetScaleChoise")
    for arguments, text in (
        ({"backbone_name": "resnet101_deep_stem"}, "resnet50_deep_stem"),
        ({"use_PPM": True}, "use_PPM"),
        ({"if_use_boundary_los": True}, "did you mean"),
        ({"Branch_Choose": [0, 1]}, "stages"),
        ({"Dropout_Rate_CNN": [0.1]}, "five shares"),
    ):
        with pytest.raises(ConfigError, match=text):
            build_reference("mfaranet", "MFARANet", **arguments)


def test_options_of_backbones():
    """Dilation and DFNet's repair change no values that they should not; unknown options are explained."""
    x = nd.random.normal(shape=(1, 3, 64, 64))
    plain, repaired = (MFARANet(3, "dfnet_v1", backbone_options={"repaired": r}) for r in (False, True))
    assert repaired.parameter_count() == plain.parameter_count() + 2 * 64
    dilated, dense = (MFARANet(3, backbone_options={"dilation": d}) for d in (True, False))
    for net in (dilated, dense):
        net.prepare()
    arrays = {name: p.data() for name, p in dilated._collect_params_with_prefix().items()}
    for name, parameter in dense._collect_params_with_prefix().items():
        parameter.set_data(arrays[name])
    different = [
        relative(a.asnumpy(), b.asnumpy()) > 1e-3 for a, b in zip(dilated.backbone(x), dense.backbone(x), strict=True)
    ]
    assert different == [False, False, True, True]
    with pytest.raises(ConfigError, match="dilatoin"):
        MFARANet(3, backbone_options={"dilatoin": True})


def test_dropout_of_scale_choice_drops_whole_channels():
    net = MFARANet(3, "stdc1", dropout=(0, 0.5, 0, 0, 0))
    net.prepare()
    x = nd.random.normal(shape=(2, 3, 64, 64))
    with autograd.train_mode():
        c1 = net.backbone(x)[0].asnumpy()
    dropped = (c1 == 0).all(axis=(2, 3)).mean()
    assert 0.3 < dropped < 0.7
    assert not (net.backbone(x)[0].asnumpy() == 0).all(axis=(2, 3)).mean() > 0.2
