"""MLCRNet: recorded features, refinement block, loss, inference, test-time augmentation and metrics."""

import json

import cv2
import numpy as np
import pytest
from mxnet import autograd, init, nd

from mxnetseg.cli import main
from mxnetseg.config import EvalConfig, LossConfig
from mxnetseg.convert import build_reference, load_reference
from mxnetseg.engine.inference import Predictor, run_together
from mxnetseg.errors import ConfigError, NameNotFoundError
from mxnetseg.losses import build_loss
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.models.layers import make_norm, resize_like
from mxnetseg.models.mlcrnet import MLCRBlock
from mxnetseg.registry import MODELS

MODEL = "mlcrnet_r50-d16"
# Leaves normalised images as they are.
IDENTITY = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def read(shared, name):
    """Description and arrays of a case that is not a plain network."""
    path = shared / "oracle" / f"mlcrnet__{name}"
    return json.loads(path.with_suffix(".json").read_text()), dict(np.load(path.with_suffix(".npz")))


@pytest.fixture(scope="module")
def network(harness, shared):
    case = harness.load_case(shared / "oracle" / "mlcrnet__mlcrnet__r50-d16__6c_b2_64x96")
    net = build_reference("mlcrnet", MODEL, num_classes=6)
    report = load_reference(net, case.state, "mlcrnet")
    assert report.complete and len(case.state) == 442, report
    return net.model


@pytest.mark.parametrize("name", ["6c_b2_64x96", pytest.param("6c_128x128", marks=pytest.mark.slow)])
def test_recorded_features(harness, shared, network, name):
    case = harness.load_case(shared / "oracle" / f"mlcrnet__mlcrnet__r50-d16__{name}")
    x = nd.array(case.image)
    levels = network.backbone(x)
    last, *maps = network.head(*levels)
    found = {f"c{i}": y for i, y in enumerate(levels, start=1)} | {f"aux{i}": y for i, y in enumerate(maps)}
    found |= {"logits": last, "logits_full": network(x)[0]}
    assert set(found) == set(case.reference)
    for key, wanted in case.reference.items():
        error = harness.formula.compare(wanted, case.meta["outputs"][key], found[key].asnumpy(), case.meta["stride"])
        assert error <= case.tolerance, key
    assert network.parameter_count() == case.params - 257 * 6  # a classifier that is never run


def test_published_size():
    """Convolutions; the recorded figure counts the products of the context blocks, 1024 * 6 per position, too."""
    net = MODELS.get("MLCRNet")(6)
    positions = sum((512 // stride) ** 2 for stride in (16, 8, 4))
    products = 2 * 256 * 6 * positions
    assert (net.macs(512, 512) + products) / 1e9 == pytest.approx(44.39, abs=0.01)
    assert MODELS.get("MLCRNet")(5).parameter_count() + 257 * 5 == 25_684_119
    assert MODELS.get("MLCRNet")(19).parameter_count() + 257 * 19 == 26_010_417


def test_recorded_block(harness, shared):
    """Strong class scores, so that the softmax over positions matters."""
    meta, recorded = read(shared, "mlcr_block__c256_low512__6c")
    formula = harness.formula
    block = MLCRBlock(6, 512, make_norm("bn"))
    block.initialize(init.Zero())
    parameters = block._collect_params_with_prefix()
    for name, shape in meta["tensors"]:
        own = name.replace(".block.0.", ".conv.").replace(".block.1.", ".bn.")
        if own not in parameters:
            own = own.replace("weight", "gamma").replace("bias", "beta")
        if "num_batches" not in name:
            parameters.pop(own).set_data(nd.array(formula.tensor(name, shape)))
    assert not parameters
    high, low = (nd.array(np.abs(formula.image((2, c, 8, 10), seed))) for c, seed in ((256, 11), (512, 12)))
    scores = nd.array(4 * formula.image((2, 6, 8, 10), 13))
    low_, high_, local, image, semantic = block.contexts(nd, high, low, scores)
    out = resize_like(nd, block(high, low, scores), nd.zeros((1, 1, 16, 20)))
    found = {"out": out, "low": low_, "high": high_, "local": local, "glob": image[:, :, 0], "semantic": semantic}
    for key, wanted in recorded.items():
        error = formula.compare(wanted, meta["outputs"][key], found[key].asnumpy(), meta["stride"])
        assert error <= 1e-5, key


def test_recorded_loss(harness, shared):
    """Four maps resized to the label, each averaged over the labelled pixels, all of weight 1."""
    _, recorded = read(shared, "loss__ce4__6c_64x64")
    sizes = [(4, 4), (8, 8), (16, 16), (16, 16)]
    maps = [nd.array(2 * harness.formula.image((2, 6, *size), 31 + i)) for i, size in enumerate(sizes)]
    for y in maps:
        y.attach_grad()
    label = nd.array(np.where(recorded["label"] == 255, -1, recorded["label"]))
    loss = build_loss(LossConfig(name="ce", aux_weight=1.0), 6)
    with autograd.record():
        full = [resize_like(nd, y, label.expand_dims(1), align_corners=False) for y in maps]
        value = loss([full[3], *full[:3]], label)
    value.backward()
    assert value.asscalar() == pytest.approx(recorded["loss"][0], rel=1e-5)
    for i, y in enumerate(maps):
        np.testing.assert_allclose(loss([full[i]], label).asscalar(), recorded["each"][i], rtol=1e-5)
        np.testing.assert_allclose(y.grad.asnumpy(), recorded[f"grad{i}"], rtol=1e-3, atol=1e-8)


def views(network, protocol, crop, images, size):
    """Mean probabilities of images that have their scale already: (image, mirrored) each."""
    config = EvalConfig(protocol=protocol, crop_size=crop)
    predictor, total = Predictor(network.inference, config, crop, **IDENTITY), None
    for image, flip in images:
        # The recorded mirror images are given as they enter the network.
        image = image[:, ::-1] if flip else image
        total = run_together([predictor.add_view(total, image, size, 1.0, flip)])[0]
    return total / len(images)


@pytest.mark.parametrize("protocol", ["mmseg", "mmseg_slide"])
def test_recorded_inference(harness, shared, network, protocol):
    meta, recorded = read(shared, "infer__r50-d16__slide_96x160")
    k, formula = meta["kwargs"], harness.formula
    image = formula.image(meta["input_shape"], meta["input_seed"])[0].transpose(1, 2, 0)
    found = views(network, protocol, tuple(k["crop"]), [(image, False)], tuple(k["ori_shape"]))
    key = "slide_prob_rescaled" if protocol == "mmseg_slide" else "whole_prob_rescaled"
    assert formula.compare(recorded[key], meta["outputs"][key], found[None], meta["stride"]) < 1e-5
    if protocol == "mmseg":
        assert (found.argmax(0)[::2, ::2] == recorded["pred"][0]).all()
    else:
        scores = Predictor(network.inference, EvalConfig(protocol=protocol), tuple(k["crop"]), **IDENTITY)
        logits = run_together([scores._one_scale(image, 1.0, 0.0)])[0]
        assert formula.compare(recorded["slide"], meta["outputs"]["slide"], logits[None], meta["stride"]) < 1e-5


def test_recorded_augmented_inference(harness, shared, network):
    meta, recorded = read(shared, "augtest__r50-d16__6c")
    k, formula = meta["kwargs"], harness.formula
    images = [(formula.image((1, 3, *size), seed)[0].transpose(1, 2, 0), flip) for size, flip, seed in k["views"]]
    found = views(network, "mmseg", (512, 512), images, tuple(k["ori_shape"]))
    assert formula.compare(recorded["prob"], meta["outputs"]["prob"], found[None], meta["stride"]) < 1e-5
    assert (found.argmax(0)[::2, ::2] == recorded["pred"][0]).all()


def test_recorded_metrics(shared):
    """Raw labels are reduced once, by the data set."""
    meta, recorded = read(shared, "metric__iou_fscore__6c")
    metric = ConfusionMatrix(6)
    for i in range(3):
        label = recorded[f"label{i}"].astype(np.int32) - 1
        metric.update(label, recorded[f"pred{i}"].astype(np.uint8))
    names = {"IoU": "iou", "Acc": "class_accuracy", "Fscore": "f1", "Precision": "precision", "Dice": "dice"}
    for theirs, ours in (names | {"Recall": "class_accuracy"}).items():
        np.testing.assert_allclose(np.nan_to_num(getattr(metric, ours), nan=-1), recorded[theirs], rtol=1e-5)
    summary, percent = metric.summary(), meta["kwargs"]["summary_percent"]
    for theirs, ours in (("aAcc", "PA"), ("mIoU",) * 2, ("mAcc",) * 2, ("mFscore",) * 2, ("mPrecision",) * 2):
        assert 100 * summary[ours] == pytest.approx(percent[theirs], abs=0.006)


def test_recorded_tiles(shared, tmp_path):
    """Names and contents of one scene of Potsdam."""
    meta, recorded = read(shared, "data__potsdam_tiles")
    k = meta["kwargs"]
    for file, key in ((k["image_file"], "image"), (k["label_file"], "label_rgb")):
        path = tmp_path / "in" / file
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), recorded[key].astype(np.uint8)[..., ::-1])
    root = tmp_path / "root"
    words = ("--root", root, "--source", tmp_path / "in", f"tile={k['clip']}", f"stride={k['clip']}")
    assert main(["prepare", "Potsdam", *map(str, words)]) == 0
    for folder in ("img_dir", "ann_dir"):
        assert sorted(p.name for p in (root / folder / "train").iterdir()) == sorted(k["names"])
    whole = np.zeros(recorded["full_label"].shape, np.uint8)
    for name in k["names"]:
        x0, y0, x1, y1 = (int(n) for n in name.removesuffix(".png").split("_")[2:])
        whole[y0:y1, x0:x1] = cv2.imread(str(root / "ann_dir" / "train" / name), cv2.IMREAD_UNCHANGED)
    assert (whole == recorded["full_label"]).all()
    last = [cv2.imread(str(root / folder / "train" / k["last"]), -1) for folder in ("img_dir", "ann_dir")]
    assert (last[0][..., ::-1] == recorded["last_image"]).all() and (last[1] == recorded["last_label"]).all()


def test_unknown_names_are_refused():
    with pytest.raises(NameNotFoundError, match="r101"):
        build_reference("mlcrnet", "mlcrnet", num_classes=6)
    with pytest.raises(ConfigError, match="did you mean"):
        build_reference("mlcrnet", MODEL, num_classes=6, chanels=256)
    with pytest.raises(ConfigError, match="dilations"):
        build_reference("mlcrnet", MODEL, num_classes=6, dilations=[1, 1, 2, 4])
