"""Training a refinement module on a frozen network."""

import json
import warnings

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from tiny import write_checkpoint, write_city, write_refinement

from mxnetseg import cli
from mxnetseg.config import RefineConfig, load_config
from mxnetseg.data.refinement import RefinementTransform, unpack
from mxnetseg.data.transforms import normalize
from mxnetseg.engine.checkpoint import load_checkpoint, load_model
from mxnetseg.engine.refine import RefinementLearner, load_refinement
from mxnetseg.engine.refine.grid import Box
from mxnetseg.engine.refine.learner import adopt_network, build_learner
from mxnetseg.engine.refine.maps import crop, probabilities
from mxnetseg.engine.refine.views import Fixed
from mxnetseg.engine.weights import values
from mxnetseg.errors import CheckpointError, ConfigError

SETTINGS = {"scales": [(24, 48), (48, 96), (96, 192)], "crop_size": (24, 48), "input_size": (20, 40)}


def sizes(*pairs):
    """(height, width) of width and height."""
    return [(height, width) for width, height in pairs]


def views(packed, input_size):
    """Normalised views and the box of a packed sample."""
    coarse, fine, boxes = unpack(normalize(packed)[None], input_size)
    return coarse[0], fine[0], boxes[0]


def test_recorded_pair(shared, harness):
    path = shared / "oracle" / "magnet__data__pair__cityscapes"
    meta, wanted = json.loads(path.with_suffix(".json").read_text())["kwargs"], np.load(path.with_suffix(".npz"))
    crop_size, input_size = sizes(meta["crop"], meta["inp"])
    transform = RefinementTransform(
        RefineConfig(scales=sizes(*meta["scales"]), crop_size=crop_size, input_size=input_size)
    )
    image, label = (wanted[name].astype(np.uint8) for name in ("image", "label"))
    corner = (meta["y"], meta["x"])
    packed, ids = transform.pack(image, label.astype(np.int32), sizes(meta["picked_scale"])[0], corner)
    height = input_size[0]
    coarse, fine, box = views(packed, input_size)
    for name, found in (("coarse", coarse), ("fine", fine)):
        # One grey level is 1 / 57 at most.
        assert np.abs(found.reshape(3, -1) - wanted[name]).max() < 0.02
        assert np.abs(found.reshape(3, -1) - wanted[name]).mean() < 1e-3
    assert box == pytest.approx(wanted["coord"][0], abs=1e-3)
    from mxnetseg.data.datasets.cityscapes import LABEL_IDS

    table = np.full(256, 255)
    table[list(LABEL_IDS)] = np.arange(19)
    assert (table[ids[height : 2 * height]] == wanted["fine_label"]).all()
    assert (ids[:height] == -1).all() and (ids[-1] == -1).all()


def test_recorded_windows(shared):
    meta = json.loads((shared / "oracle/data_magnet_ops.json").read_text())
    wanted = np.load(shared / "oracle/data_magnet_ops.npz")
    for pair in meta["pairs"]:
        crop_size, input_size = sizes(pair["crop"], pair["input"])
        scales = sizes(*pair["scales"])
        transform = RefinementTransform(
            RefineConfig(scales=[crop_size, *scales], crop_size=crop_size, input_size=input_size)
        )
        left, top, right, _ = pair["coord"]
        # The box tells the scale and the corner.
        scale = next(s for s in scales if abs(crop_size[1] / s[1] * input_size[1] - (right - left)) < 1e-6)
        corner = tuple(round(c * s / i) for c, s, i in zip((top, left), scale, input_size, strict=True))
        packed, ids = transform.pack(wanted["image"], wanted["label"].astype(np.int32), scale, corner)
        height, prefix = input_size[0], f"s{pair['seed']}"
        assert (packed[:height] == wanted[f"{prefix}_coarse"]).all()
        assert (packed[height : 2 * height] == wanted[f"{prefix}_fine"]).all()
        assert (ids[height : 2 * height] == wanted[f"{prefix}_fine_label"]).all()
        assert packed[-1, :4, 0] == pytest.approx(pair["coord"])


def test_windows_reach_every_corner():
    config = RefineConfig(scales=[(4, 4), (4, 4), (5, 6)], crop_size=(4, 4), input_size=(4, 4))
    transform, image = RefinementTransform(config), np.zeros((5, 6, 3), np.uint8)
    label, rng = np.zeros((5, 6), np.int32), np.random.default_rng(0)
    boxes = {tuple(transform(image, label, rng)[0][-1, :4, 0].round(3)) for _ in range(200)}
    assert len(boxes) == 1 + 2 * 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny_best.params")


def test_learner_sees_what_inference_sees(checkpoint):
    """Fine and coarse probabilities as the program computes them on the host; the network stays as it is."""
    network, _ = load_model(checkpoint)
    learner = RefinementLearner(network, SETTINGS["input_size"])
    learner.prepare()
    learner.hybridize(static_alloc=True, static_shape=True)
    transform, rng = RefinementTransform(RefineConfig(**SETTINGS)), np.random.default_rng(0)
    small = rng.integers(0, 255, (8, 16, 3)).astype(np.uint8)
    image, label = cv2.resize(small, (192, 96)), np.zeros((96, 192), np.int32)
    packed = [transform(image, label, rng)[0] for _ in range(2)]
    batch = nd.array(np.stack([normalize(p) for p in packed]))
    fine, coarse = (p.asnumpy() for p in learner.probabilities(batch))
    for n, sample in enumerate(packed):
        *both, box = views(sample, SETTINGS["input_size"])
        whole, window = probabilities(network.predict(nd.array(np.stack(both))).asnumpy())
        np.testing.assert_allclose(fine[n], window, atol=1e-5)
        left, top, right, bottom = box
        np.testing.assert_allclose(coarse[n], crop(Fixed(whole), Box(top, left, bottom, right), (20, 40)), atol=1e-4)
    before = {name: value.asnumpy() for name, value in values(network).items()}
    with autograd.record():
        scores = learner(batch)
    scores.backward()
    assert scores.shape == (2, 19, 41, 40)
    own = learner._collect_params_with_prefix()
    assert set(own) == set(values(learner)) and not any("backbone" in name for name in own)
    assert abs(own["conv1.conv.weight"].grad().asnumpy()).max() > 0
    assert all((value.asnumpy() == before[name]).all() for name, value in values(network).items())
    inside = learner(*(nd.array(p) for p in (fine, coarse))).asnumpy()
    np.testing.assert_allclose(learner(batch).asnumpy()[:, :, 20:40], inside, atol=1e-4)


SCALES = ["--scales", "48-24,96-48", "--input-size", "40", "24"]
TRAIN = [*SCALES, "--batch-size", "2", "--lr", "0.01", "--ctx", "cpu", "--workers", "0"]
OVERRIDES = ["loss.name=ohem", "loss.options.min_kept=500", "schedule.name=step", "schedule.step_epochs=[1]"]


def test_one_trainer(capsys, tmp_path, monkeypatch):
    """A run from the command line: weights that progressive inference takes, validated by it, resumable."""
    monkeypatch.chdir(tmp_path)
    write_city(tmp_path / "dataset" / "Cityscapes", {"train": 4, "val": 2})
    network = write_checkpoint(tmp_path / "network.params")
    lists = tmp_path / "train.txt"
    folder = "leftImg8bit/train/aachen/aachen_{0:06d}_000019_leftImg8bit.png"
    mask = "gtFine/train/aachen/aachen_{0:06d}_000019_gtFine_labelIds.png"
    for split, count in (("train", 3), ("val", 2)):
        lines = (f"{folder}\t{mask}".replace("/train/", f"/{split}/").format(i) for i in range(count))
        (tmp_path / f"{split}.txt").write_text("\n".join(lines))
    words = ["train", "--data", "cityscapes", "--refines", network, "--datalist", "{split}.txt", "--epochs", "2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        code = cli.main([*map(str, words), *TRAIN, *OVERRIDES])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert lists.exists() and "3 images" in captured.out + captured.err
    best = next((tmp_path / "weights").rglob("*refinement*_best.params"))
    meta = load_checkpoint(best).meta
    assert meta["kind"] == "refinement" and "model" not in meta and 0 < meta["metrics"]["mIoU"] < 1
    module = load_refinement(best, 19)
    final = load_refinement(str(best).replace("_best", ""), 19)
    assert set(values(module)) == set(values(final))
    evaluate = ["eval", "--checkpoint", str(network), "--refinement", str(best), *SCALES, "--ctx", "cpu", "--json"]
    assert cli.main([*evaluate, "--datalist", "val.txt", "--workers", "0"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["images"] == 2 and record["mIoU"] == pytest.approx(meta["metrics"]["mIoU"], abs=1e-6)


def test_module_per_scale(capsys, tmp_path, monkeypatch, checkpoint):
    """Trained one after the other under names of their own, the second from the first; evaluated together."""
    monkeypatch.chdir(tmp_path)
    write_city(tmp_path / "dataset" / "Cityscapes", {"train": 2, "val": 1})
    files = []
    for number, scale in enumerate(("48-24,96-48", "48-24,192-96")):
        words = ["train", "--data", "cityscapes", "--refines", str(checkpoint), "--scales", scale, "--no-val"]
        words += [
            "--epochs",
            "1",
            *TRAIN[2:],
            *OVERRIDES,
            "--log-dir",
            "logs",
            "--task_name",
            f"scale {number}",
            "--seed",
            str(number),
        ]
        assert cli.main([*words, *(["--refinement", *files] if files else []), "optimizer.lr=1e-6"]) == 0
        files += [str(path) for path in (tmp_path / "weights").rglob(f"scale-{number}_*.params")]
        assert len(files) == number + 1 and len(list((tmp_path / "logs").glob(f"scale-{number}_*/config.yaml"))) == 1
    first, second = (load_checkpoint(file).params["classifier.weight"].asnumpy() for file in files)
    np.testing.assert_allclose(first, second, atol=1e-3)
    words = ["eval", "--checkpoint", str(checkpoint), "--scales", "48-24,96-48,192-96", "--input-size", "40", "24"]
    capsys.readouterr()
    assert cli.main([*words, "--refinement", *files, "--ctx", "cpu", "--workers", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["eval"]["refine"]["weights"] == files
    train = ["train", "--data", "cityscapes", "--refines", str(checkpoint), *TRAIN, "--refinement", *files]
    assert cli.main(train) != 0
    assert "2 refinement modules to start from" in capsys.readouterr().err


def test_training_without_scales_is_explained(capsys, tmp_path, monkeypatch, checkpoint):
    monkeypatch.chdir(tmp_path)
    write_city(tmp_path / "dataset" / "Cityscapes", {"train": 2, "val": 1})
    assert cli.main(["train", "--data", "cityscapes", "--refines", str(checkpoint), "--ctx", "cpu"]) != 0
    assert "train.refines without scales" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.freeze_bn=true"], "train.freeze_bn"),
        (["optimizer.head_lr_mult=2"], "head_lr_mult"),
        (["eval.refine.weights=[a.params, b.params]"], "2 refinement modules to start from"),
        (["eval.refine.scales=[[24, 48]]"], "without scales"),
    ],
)
def test_settings_that_no_module_has_are_refused(checkpoint, overrides, said):
    refine = {key: [list(s) for s in v] if key == "scales" else list(v) for key, v in SETTINGS.items()}
    config = load_config({"train": {"refines": str(checkpoint)}, "eval": {"refine": refine}}, overrides)
    with pytest.raises(ConfigError, match=said):
        adopt_network(config)


def test_module_belongs_to_a_number_of_classes(checkpoint, tmp_path):
    config = load_config({"train": {"refines": str(checkpoint)}, "eval": {"refine": SETTINGS}})
    with pytest.raises(ConfigError, match="has 19 classes, the data set 7"):
        build_learner(config, 7, [mx.cpu()])
    module = write_refinement(tmp_path / "module.params", 7)
    with pytest.raises(CheckpointError, match="refines 7 classes, the network has 19"):
        load_refinement(module, 19)
    with pytest.raises(CheckpointError, match="holds no refinement module"):
        load_refinement(checkpoint, 19)
