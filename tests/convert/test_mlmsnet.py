"""MLMSNet: recorded features, training branch, losses and sliding-window inference."""

import json
import re
import sys

import mxnet as mx
import numpy as np
import pytest
from models.networks import without_dropout
from mxnet import autograd, nd

from mxnetseg.config import EvalConfig, LossConfig
from mxnetseg.convert import build_reference, load_reference
from mxnetseg.engine.inference import Predictor
from mxnetseg.errors import ConfigError, NameNotFoundError
from mxnetseg.losses import build_loss
from mxnetseg.registry import MODELS

QUICK = ["MLMSNet__mnv3small_w100__g220_small_c19_97x129", "MLMSNetv2__mnv3large_w100__g200_large_c19_97x129"]
SLOW = [
    "BaselineNet__mnv3large_w100__dilated_c19_121x121",
    "BaselineNet__mnv3large_w100__g200_dilated_c19_97x129",
    "BaselineNet__mnv3large_w100__plain_c19_121x121",
    "MLMSNet__mnv3large_w100__g200_large_c19_97x129",
    "MLMSNet__mnv3large_w100__large_c19_121x121",
    "MLMSNet__mnv3large_w100__small_c19_97x161",
    "MLMSNet__mnv3small_w100__small_c19_121x121",
    "MLMSNetv2__mnv3large_w100__large_c19_121x121",
]
OHEM = LossConfig(name="ohem", aux_weight=0.0, options={"thresh": 0.7, "min_kept": 1 / 16})


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def read(shared, name):
    """Description and arrays of a case that is not a plain network."""
    path = shared / "oracle" / f"mlmsnet__{name}"
    return json.loads(path.with_suffix(".json").read_text()), dict(np.load(path.with_suffix(".npz")))


def build(meta, arguments=("mode", "width_mult", "classes", "zoom_factor", "use_msf", "use_mlf", "large", "atrous3")):
    known = (*arguments, "atrous4")
    model = meta["model"] if "/" not in meta["model"] else "MLMSNet"
    return build_reference("mlmsnet", model, **{k: v for k, v in meta["kwargs"].items() if k in known})


def features(net, x):
    """Everything that the recordings hold, by their names."""
    backbone, found = net.backbone, {}
    found["c0"] = backbone.layer0(x)
    found |= {f"c{i}": y for i, y in enumerate(backbone(x), start=1)}
    levels = [found[f"c{i}"] for i in (2, 3, 4)]
    if hasattr(net.head, "cls"):
        found |= {f"msf{i}": getattr(net.head, f"msf{i}")(y) for i, y in enumerate(levels)}
        found["mlf"] = found["cls_in"] = net.head.mlf(nd.concat(*(found[f"msf{i}"] for i in range(3)), dim=1))
        found["low"] = net.head.cls(found["mlf"])
    else:
        found["cls_in"], found["low"] = levels[2], net.head(levels[2])
    if net.aux:
        found["aux0"] = net.aux_head(levels[1])
    return found | {"logits": net(x)[0]}


@pytest.mark.parametrize("name", QUICK + [pytest.param(name, marks=pytest.mark.slow) for name in SLOW])
def test_recorded_features(harness, shared, name):
    case = harness.load_case(shared / "oracle" / f"mlmsnet__{name}")
    net = build(case.meta)
    report = load_reference(net, case.state, "mlmsnet")
    assert report.complete, report
    assert {n.rpartition(".")[2] for n in report.ignored} == {"num_batches_tracked"}
    assert net.parameter_count() == case.params
    assert net.macs(*case.image.shape[2:]) == case.meta["macs"]
    found = features(net, nd.array(case.image))
    assert set(found) == set(case.reference)
    for key, wanted in case.reference.items():
        error = harness.formula.compare(wanted, case.meta["outputs"][key], found[key].asnumpy(), case.meta["stride"])
        assert error <= case.tolerance, key


@pytest.mark.parametrize(
    ("model", "width", "options", "millions", "billions"),
    [
        ("MLMSNet", "large_1_0", {}, 7.139206, 36.902),
        ("MLMSNet", "large_1_0", {"wide": False}, 5.313334, 24.495),
        ("MLMSNet", "large_0_75", {}, 4.513782, 24.136),
        ("MLMSNet", "large_0_75", {"wide": False}, 3.241942, 15.247),
        ("MLMSNet", "small_1_0", {}, 2.526166, 13.967),
        ("MLMSNet", "small_1_0", {"wide": False}, 1.724134, 8.166),
        ("MLMSNet", "small_0_75", {"wide": False}, 1.110926, 5.418),
        ("MLMSNet", "large_1_0", {"wide": False, "use_msf": False}, 3.440374, 14.514),
        ("MLMSNet", "large_1_0", {"wide": False, "use_mlf": False}, 5.117398, 23.706),
        ("MLMSNet", "large_1_0", {"wide": False, "use_msf": False, "use_mlf": False}, 3.244438, 13.726),
        ("MLMSNetv2", "large_1_0", {}, 4.187163, 17.655),
        ("MLMSNetv2", "large_1_0", {"wide": False}, 3.579219, 13.953),
        ("MLMSBaseline", "large_1_0", {}, 3.069334, 12.307),
        ("MLMSBaseline", "large_1_0", {"dilate3": True, "dilate4": True}, 3.069334, 12.307),
    ],
)
def test_size_of_every_form(model, width, options, millions, billions):
    """Parameters and multiply-accumulates at 713x713, 19 classes."""
    net = MODELS.get(model)(19, backbone=f"mobilenet_v3_{width}", **options)
    assert net.parameter_count() == round(millions * 1e6)
    assert net.macs(713, 713) / 1e9 == pytest.approx(billions, abs=6e-4)


def test_published_size():
    """The narrow form with 2 classes; 14.2209 G count 2 operations per normalised and 1 per pooled element besides."""
    net = MODELS.get("MLMSNetv2")(2, wide=False)
    assert net.parameter_count() / 1e6 == pytest.approx(3.5739, abs=5e-5)
    assert net.macs(713, 713) / 1e9 == pytest.approx(13.9104, abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("MLMSNet__mnv3large_w100__trainfwd_trainbn_ohem_c19_b2_97x129", OHEM),
        ("BaselineNet__mnv3large_w100__trainfwd_evalbn_ce_c19_b2_97x129", LossConfig(name="ce", aux_weight=0.4)),
    ],
)
def test_recorded_training_branch(harness, shared, name, loss):
    """Losses, gradients of every tensor and running statistics; eagerly and in a static graph."""
    meta, recorded = read(shared, name)
    formula = harness.formula
    net = build(meta)
    net.apply(without_dropout)
    state = {n: formula.tensor(n, shape) for n, shape in meta["tensors"]}
    x, label = nd.array(formula.image(meta["input_shape"], meta["input_seed"])), recorded["in_label"]
    label = nd.array(np.where(label == 255, -1, label))
    names = sys.modules["mxnetseg.convert.mlmsnet"].names(net, state)
    parameters = net._collect_params_with_prefix()
    learnable = [n for n in state if not re.search("running|num_batches", n)]
    terms = [build_loss(LossConfig(**{**loss.model_dump(), "aux_weight": 0.0}), 19) for _ in range(2)]
    total = build_loss(loss, 19)
    for hybrid in (False, True):
        load_reference(net, state, "mlmsnet")
        if hybrid:
            net.hybridize(static_alloc=True, static_shape=True)
        net.freeze_bn(meta["kwargs"]["_mode"] == "evalbn")
        with autograd.record():
            outputs = net(x)
            value = total(outputs, label)
        value.backward()
        assert value.asscalar() == pytest.approx(recorded["loss_total"][0], rel=1e-5)
        for key, term, y in zip(("loss_main", "loss_aux"), terms, outputs, strict=True):
            assert term([y], label).asscalar() == pytest.approx(recorded[key][0], rel=1e-5)
        assert (outputs[0].asnumpy().argmax(1) != recorded["pred"]).mean() < 1e-3
        grads = {n: parameters[names[n]].grad().asnumpy() for n in learnable}
        assert relative([np.linalg.norm(grads[n]) for n in learnable], recorded["gradnorm_all"]) < 1e-3
        for key in (k for k in recorded if k.startswith("grad:")):
            got = grads[key[5:]].reshape(len(grads[key[5:]]), -1)
            wanted = recorded[key].reshape(len(recorded[key]), -1)
            assert relative(got[: len(wanted)], wanted) < 2e-3, key
        for key in (k for k in recorded if k.startswith("after:")):
            check_statistics(parameters[names[key[6:]]].data().asnumpy(), recorded[key], state[key[6:]], key)


def check_statistics(got, recorded, before, key):
    """PyTorch adds the unbiased variance, n / (n - 1) of ours: n = 2 in the attention, 2 * 49 * 65 in the stem."""
    if key.endswith("running_var"):
        n = 2 if "atten" in key else 2 * 49 * 65
        recorded = 0.9 * before + (recorded - 0.9 * before) * (n - 1) / n
    np.testing.assert_allclose(got, recorded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["ohem_hard_c19_b2_96x96", "ohem_topk_c19_b2_128x128"])
def test_recorded_losses(harness, shared, name):
    import loss_inputs  # beside the harness

    meta, recorded = read(shared, f"loss__none__{name}")
    k, (n, classes, height, width) = meta["kwargs"], meta["input_shape"]
    label = loss_inputs.labels(n, height, width, classes, k["lab_seed"], k["block"], k["void"])
    scores = loss_inputs.logits(label, classes, meta["input_seed"], k["a"], k["b"])
    np.testing.assert_array_equal(label, recorded["in_label"])
    for key, config in (("OhemCELoss", OHEM), ("CrossEntropy", LossConfig(name="ce"))):
        x = nd.array(scores)
        x.attach_grad()
        with autograd.record():
            value = build_loss(config, classes)([x], nd.array(np.where(label == 255, -1, label)))
        value.backward()
        gradient = x.grad.asnumpy()
        # oneDNN's logarithm is off by up to 4e-6.
        assert value.asscalar() == pytest.approx(recorded[key][0], rel=1e-5, abs=4e-6)
        np.testing.assert_allclose(gradient[..., :16, :16], recorded[f"grad_logits:{key}"], rtol=1e-4, atol=1e-9)
        assert np.linalg.norm(gradient) == pytest.approx(recorded[f"gn_logits:{key}"][0], rel=1e-4)
        np.testing.assert_allclose(np.abs(gradient).sum((1, 2, 3)), recorded[f"gsum_logits:{key}"], rtol=2e-4)


def test_loss_without_labels_is_zero():
    """The original's mean over no pixel is not a number."""
    x = nd.random.normal(shape=(1, 3, 4, 4))
    x.attach_grad()
    with autograd.record():
        value = build_loss(OHEM, 3)([x], -nd.ones((1, 4, 4)))
    value.backward()
    assert value.asscalar() == 0 and not x.grad.asnumpy().any()


def test_recorded_inference(harness, shared):
    """Windows with mirrored images, as the original's test tool."""
    meta, recorded = read(shared, "inference__mnv3large_w100__c7_100x140_crop73_ss")
    k, formula = meta["kwargs"], harness.formula
    net = build(meta)
    gain = np.float32(k["_bn_gain"])
    values = {n: formula.tensor(n, shape) for n, shape in meta["tensors"]}
    load_reference(
        net, {n: v * gain if n.endswith(".weight") and v.ndim == 1 else v for n, v in values.items()}, "mlmsnet"
    )
    config = EvalConfig(protocol="slide", base_size=k["base_size"], scales=k["scales"], flip=k["flip"])
    predictor = Predictor(net.inference, config, (k["crop"], k["crop"]), mx.cpu())
    image = recorded["in_image"][0].transpose(1, 2, 0).astype(np.uint8)
    scores = predictor.scores(image)
    assert relative(scores, recorded["prob_mean"][0]) < 1e-5
    assert (predictor.labels(image) == recorded["pred_png"][0]).all()


@pytest.mark.parametrize(("zoom", "size"), [(1, (9, 10)), (2, (17, 19)), (4, (33, 37)), (8, (65, 73))])
def test_outputs_have_the_official_size(zoom, size):
    net = build_reference("mlmsnet", "MLMSNetv2", mode="small", width_mult=0.75, classes=3, zoom_factor=zoom)
    assert net(nd.zeros((1, 3, 65, 73)))[0].shape == (1, 3, *size)


def test_unknown_names_are_refused():
    with pytest.raises(NameNotFoundError, match="MLMSNetv2"):
        build_reference("mlmsnet", "MLMSNetv3")
    with pytest.raises(ConfigError, match="did you mean"):
        build_reference("mlmsnet", "MLMSNet", larg=True)
    with pytest.raises(ConfigError, match="zoom_factor"):
        build_reference("mlmsnet", "MLMSNet", zoom_factor=3)
