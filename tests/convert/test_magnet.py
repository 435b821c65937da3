"""MagNet: recorded features, refinement module, losses, schedule and a training step."""

import json

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.config import ScheduleConfig
from mxnetseg.convert import build_reference, load_reference
from mxnetseg.engine.refine.grid import Box
from mxnetseg.engine.refine.maps import crop
from mxnetseg.engine.refine.views import Fixed
from mxnetseg.engine.schedule import Schedule
from mxnetseg.errors import NameNotFoundError
from mxnetseg.losses.cross_entropy import CrossEntropy
from mxnetseg.losses.ohem import OHEM
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.models.hrnet_ocr import gather_regions
from mxnetseg.models.layers import resize_like


def relative(a, b):
    return np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


def read(shared, name):
    """Description and arrays of a case that is not a plain network."""
    path = shared / "oracle" / f"magnet__{name}"
    return json.loads(path.with_suffix(".json").read_text()), dict(np.load(path.with_suffix(".npz")))


def ocr_features(net, x):
    branches = net.backbone(x)
    features = nd.concat(*(resize_like(nd, b, branches[0]) for b in branches), dim=1)
    regions = net.aux_head(features)
    pixels = net.head.pixels(features)
    context = gather_regions(nd, pixels, regions)
    found = {f"b{i}": b for i, b in enumerate(branches)} | {"ocr_feat": pixels, "context": context[..., 0]}
    return found | {"out": net.head(features, regions), "aux0": regions}


def fpn_features(net, x):
    levels = net.backbone(x)
    pyramid = None
    for lateral, level in zip(net.head.laterals, levels[::-1], strict=True):
        side = lateral(level)
        pyramid = side if pyramid is None else side + resize_like(nd, pyramid, side, False)
    return {f"c{i}": y for i, y in enumerate(levels, start=1)} | {"p2": pyramid}


def psp_features(net, x):
    levels = net.backbone(x)
    main, aux = net(x)
    pooled = []
    net.head.bottleneck.register_forward_hook(lambda block, inputs, output: pooled.append(output))
    net.head(levels[-1])
    found = {f"c{i}": y for i, y in enumerate(levels, start=1)}
    return found | {"out": main, "aux0": aux, "psp": nd.relu(pooled[0])}


NETWORKS = {
    "hrnet__w18-ocr__19c_64x128": ocr_features,
    "hrnet__w48-ocr__19c_32x64": ocr_features,
    "fpn__r50__7c_124x124": fpn_features,
    "psp__r101__7c_96x96": psp_features,
}
QUICK = "hrnet__w18-ocr__19c_64x128"


@pytest.mark.parametrize("name", [n if n == QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_recorded_features(harness, shared, name):
    """The state as a checkpoint of the training program holds it."""
    case = harness.load_case(shared / "oracle" / f"magnet__{name}")
    net = build_reference("magnet", case.model, **case.kwargs)
    state = {f"model.{key}": value for key, value in case.state.items()} | {"loss.criterion.weight": np.ones(19)}
    report = load_reference(net, state, "magnet")
    assert report.complete, report
    assert set(report.ignored) == {n for n in state if n.endswith("num_batches_tracked") or n.startswith("loss.")}
    model, x = net._maps.__self__, nd.array(case.image)
    found = NETWORKS[name](model, x) | {"logits": net(x)}
    assert set(found) == set(case.reference)
    for key, wanted in case.reference.items():
        error = harness.formula.compare(wanted, case.meta["outputs"][key], found[key].asnumpy(), case.meta["stride"])
        assert error <= case.tolerance, key


def test_unknown_network_is_explained():
    with pytest.raises(NameNotFoundError, match="unknown network 'hrnet18'"):
        build_reference("magnet", "hrnet18", num_classes=3)


def refinement(harness, meta, classes, **options):
    module = build_reference("magnet", "RefinementMagNet", num_classes=classes, **options)
    state = {name: harness.formula.tensor(name, shape) for name, shape in meta["tensors"]}
    assert load_reference(module, state, "magnet").complete
    learnable = sum(np.prod(p.shape) for p in module.collect_params().values() if p.grad_req != "null")
    assert learnable == meta["params"]
    return module, state


@pytest.mark.parametrize("name", ["bn__19c_32x64", "nobn__7c_33x31"])
def test_refinement_module(harness, shared, name):
    meta, wanted = read(shared, f"refine__{name}")
    classes, seed = meta["kwargs"]["num_classes"], meta["input_seed"]
    module, _ = refinement(harness, meta, classes, use_bn=meta["kwargs"]["use_bn"])
    shape = (meta["input_shape"][0], classes, *meta["input_shape"][2:])
    fine, coarse = (nd.array(softmax(3 * harness.formula.image(shape, s))) for s in (seed, seed + 1))
    for hybridize in (False, True):
        module.hybridize(hybridize)
        logits = module(fine, coarse).asnumpy()
        error = harness.formula.compare(wanted["logits"], meta["outputs"]["logits"], logits, meta["stride"])
        assert error <= 1e-5


def test_refinement_module_of_the_published_training(harness, shared):
    """Trained with the coarse map first, and imported so: it takes the fine one first."""
    meta, _ = read(shared, "refine__bn__19c_32x64")
    plain, _ = refinement(harness, meta, 19)
    swapped, _ = refinement(harness, meta, 19, coarse_first=True)
    one, other = (nd.array(softmax(harness.formula.image((1, 19, 8, 8), seed))) for seed in (1, 2))
    assert relative(swapped(one, other).asnumpy(), plain(other, one).asnumpy()) < 1e-6
    assert relative(swapped(other, one).asnumpy(), plain(other, one).asnumpy()) > 1e-2


def official_ohem(classes, label, thres=0.7, min_kept=100_000, **options):
    """Below min_kept labelled pixels, the published loss drops the easiest one if its probability passes thres."""
    return OHEM(classes, thresh=thres, min_kept=min(min_kept, int((label >= 0).sum()) - 1), **options)


def our_label(label):
    return np.where(label == 255, -1, label).astype(np.float32)


@pytest.mark.parametrize("name", ["default", "kept300", "kept300_thres03", "thres005"])
def test_hard_pixels(harness, shared, name):
    meta, wanted = read(shared, "loss__ohem__19c_24x40")
    label = our_label(wanted["label"])
    logits = nd.array(2 * harness.formula.image(meta["input_shape"], meta["input_seed"]))
    logits.attach_grad()
    criterion = official_ohem(19, label, **meta["kwargs"]["cases"][name])
    with autograd.record():
        loss = criterion([logits], nd.array(label))
    loss.backward()
    assert relative(loss.asnumpy(), wanted[f"loss_{name}"]) < 1e-5
    assert relative(logits.grad.asnumpy(), wanted[f"grad_{name}"]) < 1e-5


@pytest.mark.parametrize("name", ["ce", "ohem"])
def test_backbone_losses(harness, shared, name):
    """The published hard-pixel variant: the mean over all pixels of the main map, and hard pixels of the other."""
    meta, wanted = read(shared, "loss__backbone__19c_main_aux")
    k, label = meta["kwargs"], our_label(wanted["label"])
    outputs = [nd.array(2 * harness.formula.image((2, 19, 16, 24), meta["input_seed"] + i)) for i in range(2)]
    for output in outputs:
        output.attach_grad()
    weights, (_, aux_weight) = k["class_weights"], k["balance_weights"]
    with autograd.record():
        if name == "ce":
            criterion = CrossEntropy(19, aux_weight=aux_weight, class_weights=weights, reduction="weights")
            criterion.initialize()
            loss = criterion(outputs, nd.array(label))
        else:
            plain = CrossEntropy(19, class_weights=weights, reduction="pixels")
            hard = official_ohem(19, label, **k["ohem"], class_weights=weights)
            for criterion in (plain, hard):
                criterion.initialize()
            loss = plain(outputs[:1], nd.array(label)).mean() + aux_weight * hard(outputs[1:], nd.array(label))
    loss.backward()
    assert relative(loss.asnumpy(), wanted[f"loss_{name}"]) < 1e-5
    for i, output in enumerate(outputs):
        assert relative(output.grad.asnumpy(), wanted[f"grad_{name}{i}"]) < 1e-5


def test_metrics(shared):
    _, wanted = read(shared, "metric__none__cityscapes_19c")
    total, images = ConfusionMatrix(19), []
    for i in range(3):
        one = ConfusionMatrix(19)
        one.update(our_label(wanted[f"label{i}"]).astype(int), wanted[f"pred{i}"].astype(int))
        images.append(one.fwiou)
        total.merge(one)
    assert (total.counts == wanted["conf"]).all()
    np.testing.assert_allclose(np.nan_to_num(total.iou), wanted["iou"], rtol=1e-6)
    np.testing.assert_allclose(total.support / total.pixels, wanted["freq"], rtol=1e-6)
    np.testing.assert_allclose(images, wanted["freq_iou_per_image"], rtol=1e-6)
    assert total.miou_all == pytest.approx(wanted["overall"][0], rel=1e-6)


def test_learning_rate_of_the_backbone_is_one_step_late(shared):
    """The published program sets the rate after the step, so update i has that of update i - 1 in ours."""
    k = read(shared, "schedule__backbone__poly")[0]["kwargs"]
    schedule = Schedule(ScheduleConfig(name="poly", power=k["power"]), k["base_lr"], k["max_iters"], 247)
    for step, rate in k["table"]:
        assert schedule(step) == pytest.approx(rate, rel=1e-9)


def test_training_step(harness, shared):
    """Two steps on the same batch; the published program gives the maps in reverse order."""
    meta, wanted = read(shared, "trainstep__refine__19c_16x32")
    module, state = refinement(harness, meta, 19)
    coarse, fine = (softmax(3 * harness.formula.image((2, 19, 16, 32), seed)) for seed in (501, 502))
    boxes = [Box(top, left, bottom, right) for left, top, right, bottom in meta["kwargs"]["boxes"]]
    cropped = np.stack([crop(Fixed(maps), box, (16, 32)) for maps, box in zip(coarse, boxes, strict=True)])
    assert relative(cropped, wanted["crop"]) < 1e-5
    label = our_label(wanted["label"])
    criterion = official_ohem(19, label)
    settings = {"learning_rate": 0.001, "momentum": 0.9, "wd": 0.0005}
    trainer = gluon.Trainer(module.collect_params(), "sgd", settings)
    for step in range(2):
        with autograd.record():
            logits = module(nd.array(cropped), nd.array(fine))
            loss = criterion([logits], nd.array(label))
        loss.backward()
        assert loss.asscalar() == pytest.approx(wanted["losses"][step], rel=1e-5)
        if step == 0:
            assert relative(logits.asnumpy(), wanted["logits_step1"]) < 1e-5
            gradient = module.conv1.conv.weight.grad().asnumpy().reshape(64, -1)
            # Noise of 1e-7 in the input moves it by 8e-4, across a kink of a ReLU.
            assert relative(gradient, wanted["grad_conv1_step1"]) < 2e-3
        trainer.step(1)
    own = module._collect_params_with_prefix()
    from mxnetseg.convert.magnet import names

    for official, ours in names(module, [n for n in state if f"after__{n}" in wanted]).items():
        value, recorded = own[ours].data().asnumpy().reshape(wanted[f"after__{official}"].shape), state[official]
        if official.endswith("running_var"):
            # PyTorch divides the variance of n values by n - 1.
            kept = 0.99**2 * recorded
            value = kept + (value - kept) * 1024 / 1023
        assert relative(value, wanted[f"after__{official}"]) < 1e-5, official
