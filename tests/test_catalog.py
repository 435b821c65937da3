"""The shipped configurations: one for every row of MXNetSeg's tables, each of which builds what it describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mxnetseg.catalog import CONFIGS, find_config, shipped
from mxnetseg.cli import main
from mxnetseg.config import Config, load_config
from mxnetseg.data import build_transform
from mxnetseg.engine.schedule import Schedule
from mxnetseg.errors import ConfigError
from mxnetseg.registry import DATASETS

# The rows of MXNetSeg's tables: file, names of the run, and what was published (single scale, then multi-scale).
ROWS = [
    ("cityscapes/bisenetr_resnet18", ["silver-brook-24"], {"mIoU": 71.6, "mIoU_ms": 74.7}),
    ("cityscapes/bisenetr_resnet18_trainval", ["effortless-dust-25"], {"mIoU_ms": 74.8}),
    ("cityscapes/fcnresnet_resnet18_os32", [], {"mIoU": 64.9, "mIoU_ms": 68.1}),
    ("cityscapes/fcnresnet_resnet18", ["pretty-surf-1"], {"mIoU": 68.3, "mIoU_ms": 69.9}),
    ("cityscapes/fcnresnet_resnet101", [], {"mIoU": 74.5}),
    ("cityscapes/pspnet_resnet101", [], {"mIoU": 78.2, "mIoU_ms": 79.5}),
    ("cityscapes/deeplabv3_resnet101", [], {"mIoU": 79.3, "mIoU_ms": 80.0}),
    ("cityscapes/denseaspp_resnet101", ["neapolitan-pastry-1"], {"mIoU": 78.7, "mIoU_ms": 79.8}),
    ("cityscapes/danet_resnet101", [], {"mIoU": 79.7, "mIoU_ms": 80.9}),
    ("ade20k/pspnet_resnet101", [], {"PA": 80.1, "mIoU": 42.9, "PA_ms": 80.9, "mIoU_ms": 43.7}),
    ("pascal_voc/fcnresnet_resnet101", ["glad-voice-1"], {"PA": 94.4, "mIoU": 74.6, "PA_ms": 94.5, "mIoU_ms": 75.0}),
    ("pascal_voc/attentiontoscale_resnet101", ["peachy-snow-4"], {"PA": 94.8, "mIoU": 77.1}),
    ("pascal_voc/pspnet_resnet101", ["smart-valley-12"], {"PA": 95.1, "mIoU": 78.1, "PA_ms": 95.3, "mIoU_ms": 78.5}),
    (
        "pascal_voc/deeplabv3_resnet101",
        ["fearless-firefly-5"],
        {"PA": 95.5, "mIoU": 80.1, "PA_ms": 95.6, "mIoU_ms": 80.4},
    ),
    (
        "pascal_voc/deeplabv3plusr_resnet101",
        ["robust-pine-18", "silver-brook-24"],
        {"PA": 95.5, "mIoU": 79.9, "PA_ms": 95.6, "mIoU_ms": 80.1},
    ),
    ("nyuv2/fcnresnet_resnet101", ["hopeful-snowflake-1"], {"PA": 69.2, "mIoU": 39.7, "PA_ms": 70.2, "mIoU_ms": 41.0}),
    ("nyuv2/pspnet_resnet101", ["grateful-vortex-8"], {"PA": 71.3, "mIoU": 43.0, "PA_ms": 71.9, "mIoU_ms": 43.6}),
    ("nyuv2/deeplabv3plusr_resnet101", ["comfy-dew-31"], {"PA": 73.5, "mIoU": 46.0, "PA_ms": 74.3, "mIoU_ms": 47.2}),
]
# Published recipes: crop, base size, batch, GPUs, epochs, learning rate there, factor of the heads.
RECIPES = {
    "pretty-surf-1": (768, 2048, 8, 4, 200, 0.001, 10),
    "cityscapes/bisenetr_resnet18": (1024, 2048, 8, 4, 240, 0.01, 1),
    "effortless-dust-25": (1024, 2048, 8, 4, 240, 0.01, 1),
    "neapolitan-pastry-1": (768, 2048, 8, 8, 240, 0.01, 1),
    "glad-voice-1": (512, 520, 16, 8, 80, 0.001, 10),
    "fearless-firefly-5": (512, 520, 16, 8, 80, 0.001, 10),
    "peachy-snow-4": (480, 520, 16, 8, 80, 0.001, 10),
    "smart-valley-12": (480, 520, 16, 8, 80, 0.001, 10),
    "robust-pine-18": (480, 520, 16, 8, 80, 0.001, 10),
    "hopeful-snowflake-1": (480, 640, 16, 4, 120, 0.01, 1),
    "grateful-vortex-8": (480, 640, 16, 4, 180, 0.01, 1),
    "comfy-dew-31": (480, 640, 16, 8, 240, 0.001, 10),
}
SHARED_NAMES = {"silver-brook-24"}
# MLMSNet's configurations: splits, published mIoU, mAcc and PA, and the base size of the evaluation.
MLMS = {
    "cityscapes_ohem_large": (("train", "val"), (72.68, 79.91, 95.40), 2048),
    "cityscapes_ohem_small": (("train", "val"), (72.74, 80.33, 95.37), 2048),
    "mlmsv2_large": (("train", "val"), (71.64, 79.82, 95.26), 2048),
    "camvid_ohem_large": (("trainval", "test"), (68.14, 75.74, 91.96), 960),
    "camvid_ohem_small": (("trainval", "test"), (67.90, 76.12, 91.88), 960),
}

# MFARANet's: splits of figures and training, mIoU at 1024x2048 and 1024x1024, and whether it is pruned.
MFARA = {
    "cityscapes/mfaranet_resnet18": (("val", "train"), (78.2, 77.9), False),
    "cityscapes/mfaranet_resnet18_pruned": (("val", "train"), (77.9, 77.7), True),
    "cityscapes/mfaranet_resnet18_trainval": (("test", "trainval"), (77.3, 77.1), False),
    "cityscapes/mfaranet_resnet18_pruned_trainval": (("test", "trainval"), (77.0, 76.8), True),
}


@pytest.mark.parametrize(("name", "aliases", "published"), ROWS, ids=[row[0] for row in ROWS])
def test_published_row(name, aliases, published):
    config = load_config(name)
    assert config.aliases == aliases == shipped()[f"{name}.yaml"]
    assert {k: v for k, v in config.published.items() if k.startswith(("PA", "mIoU"))} == published
    assert config.published["split"] == ("test" if name.endswith("trainval") else "val")
    for alias in set(aliases) - SHARED_NAMES:
        assert load_config(alias) == config


@pytest.mark.parametrize("name", RECIPES)
def test_published_recipe(name):
    """The original's gradient was divided by batch / GPUs once more; rate and weight decay make up for it."""
    crop, base, batch, gpus, epochs, rate, head = RECIPES[name]
    config = load_config(name)
    assert (config.data.crop_size, config.data.base_size) == (crop, base)
    assert (config.train.batch_size, config.train.epochs) == (batch, epochs)
    optimizer, schedule = config.optimizer, config.schedule
    assert (optimizer.name, optimizer.momentum, optimizer.head_lr_mult) == ("sgd", 0.9, head)
    assert optimizer.lr == pytest.approx(rate * gpus / batch)
    assert optimizer.wd == pytest.approx(1e-4 * batch / gpus)
    assert (schedule.name, schedule.power, schedule.target_lr) == ("poly", 0.9, 0)
    assert (config.model.norm, config.model.pretrained) == ("syncbn", True)


@pytest.mark.parametrize("name", MLMS)
def test_recipe_of_mlmsnet(name):
    splits, published, base = MLMS[name]
    config = load_config(name)
    assert (config.data.train_split, config.data.val_split) == splits
    assert tuple(config.published[key] for key in ("mIoU", "mAcc", "PA")) == published
    assert config.model.options["wide"] == ("small" not in name)
    assert (config.data.transform, config.data.augment.rotate, config.crop()) == ("semseg", 10, (713, 713))
    assert config.loss.options == {"thresh": 0.7, "min_kept": 1 / 16}
    assert (config.train.epochs, config.train.batch_size, config.optimizer.head_lr_mult) == (200, 36, 10)
    settings = config.eval
    assert (settings.protocol, settings.base_size, settings.crop_size, settings.flip) == ("slide", base, 713, True)


@pytest.mark.parametrize("name", MFARA)
def test_recipe_of_mfaranet(name):
    splits, published, pruned = MFARA[name]
    config = load_config(name)
    assert (config.published["split"], config.data.train_split) == splits
    assert (config.published["mIoU"], config.published["mIoU_1024x1024"]) == published
    assert config.model.options == {"boundary": True} | ({"pruned": True} if pruned else {})
    assert (config.data.transform, config.data.resize, config.crop()) == ("semseg", None, (1024, 1024))
    augment = config.data.augment
    assert (augment.scale, augment.rotate, augment.flip, augment.blur) == ((0.5, 2.0), 10, 0.5, 0)
    assert (config.loss.name, config.loss.aux_weight, config.loss.options) == ("JointEdge", 1.0, {})
    optimizer = config.optimizer
    assert (optimizer.lr, optimizer.head_lr_mult, optimizer.momentum, optimizer.wd) == (0.005, 10, 0.9, 5e-4)
    assert (config.train.epochs, config.train.batch_size) == (275 if "trainval" in name else 200, 14)
    assert optimizer.wd_norm_bias and config.model.norm == "syncbn"


# MagNet's: scales, patch and input (height, width), points, patches, kernel, published mIoU.
CITY, GLOBE = [(128 * 2**i, 256 * 2**i) for i in range(4)], [(612 * 2**i, 612 * 2**i) for i in range(3)]
MAGNET = {
    "cityscapes/hrnetocr_hrnet_w18_small_v2_magnet": (CITY, CITY[0], 32768, -1, 5, 68.20),
    "cityscapes/hrnetocr_hrnet_w18_small_v2_magnet_fast": (CITY, CITY[0], 0.9, 4, 5, 67.37),
    "deepglobe/magnetfpn_resnet50_v1b_magnet": (GLOBE, (508, 508), 0.75, -1, 11, 72.10),
    "deepglobe/magnetfpn_resnet50_v1b_magnet_fast": (GLOBE, (508, 508), 0.9, 3, 11, 68.22),
}


@pytest.mark.parametrize("name", MAGNET)
def test_recipe_of_magnet(name):
    scales, size, points, patches, kernel, published = MAGNET[name]
    config = load_config(name)
    refine = config.eval.refine
    assert (refine.scales, refine.crop_size, refine.input_size) == (scales, scales[0], size)
    assert (refine.n_points, refine.n_patches, refine.smooth_kernel) == (points, patches, kernel)
    assert config.published["mIoU"] == published and refine.selection == "fixed"
    schedule = Schedule(config.schedule, config.optimizer.lr, 500, 10)
    assert [schedule(10 * epoch) for epoch in (0, 9, 10, 20, 30, 40, 45)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
    )
    assert (config.train.epochs, config.train.batch_size, config.optimizer.wd) == (50, 8, 5e-4)
    assert (config.loss.name, config.loss.options) == ("OHEM", {"thresh": 0.7, "min_kept": 100_000})


@pytest.mark.parametrize("data", ["potsdam", "vaihingen"])
def test_recipe_of_mlcrnet(data):
    """Rates at updates 0, 1000, 20000, 40000, 60000 and 79999 as the original's log has them."""
    config = load_config(f"mlcrnet_r50-d16_512x512+80k_{data}")
    assert (config.train.steps, config.train.batch_size, config.loss.aux_weight) == (80_000, 16, 1.0)
    assert (config.data.transform, config.data.augment.cat_max_ratio) == ("mmseg", 0.75)
    schedule = Schedule(config.schedule, config.optimizer.lr, config.train.steps, 216)
    rates = [schedule(step) for step in (0, 1000, 20_000, 40_000, 60_000, 79_999)]
    assert rates == pytest.approx([1e-3, 9.8987e-4, 7.9470e-4, 5.8230e-4, 3.5846e-4, 1.0003e-4], rel=1e-4)


@pytest.mark.parametrize("file", shipped())
def test_configuration_builds(file, monkeypatch):
    import mxnet as mx

    from mxnetseg.losses import build_loss
    from mxnetseg.models import build_model
    from mxnetseg.models.base import SegmentationModel

    monkeypatch.setattr(SegmentationModel, "prepare", lambda *_: None)  # shapes do, values take long to draw

    config = load_config(CONFIGS / file, ["model.pretrained=false"])
    classes = DATASETS.entry(config.data.name).meta["classes"] or len(config.data.options["classes"])
    network = build_model(config.model, classes)
    side = 64 + -64 % network.divisor
    _, shapes, _ = network.symbol(aux=True).infer_shape(data=(1, 3, side, side))
    assert shapes[0] == (1, classes, side, side)
    assert config.model.norm != "syncbn" or "SyncBatchNorm" in str(network)
    loss = build_loss(config.loss, classes)
    loss.initialize()
    scores, label = [mx.nd.zeros(shape) for shape in shapes], mx.nd.zeros((1, side, side))
    value = loss(scores, label, float(label.size)).asscalar()
    assert np.isfinite(value) and value > 0


@pytest.mark.parametrize("file", shipped())
def test_transform_and_schedule_build(file):
    config = load_config(CONFIGS / file)
    image, label = np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40), np.int8)
    image, label = build_transform(config.data)(image, label, np.random.default_rng(0))
    assert image.shape == (*config.crop(), 3) and label.shape == config.crop()
    rates = [Schedule(config.schedule, config.optimizer.lr, 400, 10)(step) for step in range(401)]
    assert max(rates) == pytest.approx(config.optimizer.lr, rel=0.2)
    assert config.schedule.name == "step" or rates[-1] == config.schedule.target_lr


@pytest.mark.parametrize("file", shipped())
def test_split_is_known(file):
    config = load_config(CONFIGS / file)
    splits = DATASETS.entry(config.data.name).meta["splits"]
    assert not splits or {config.data.train_split, config.data.val_split} <= set(splits)


def test_name_of_two_rows_is_refused_with_both(capsys):
    assert main(["train", "--config", "silver-brook-24"]) == 2
    message = capsys.readouterr().err
    assert "cityscapes/bisenetr_resnet18 or pascal_voc/deeplabv3plusr_resnet101" in message


@pytest.mark.parametrize(
    "word",
    [
        "cityscapes/danet_resnet101",
        "danet_resnet101",
        "Cityscapes/DANet_resnet101.yaml",
        "configs/cityscapes/danet_resnet101.yaml",
    ],
)
def test_shipped_file_is_found_by_name_from_anywhere(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(word) == CONFIGS / "cityscapes" / "danet_resnet101.yaml"


def test_misspelt_name_gets_a_suggestion():
    with pytest.raises(ConfigError, match="'pretty-surf-1'"):
        find_config("pretty-surf-2")


def test_a_file_comes_first_and_its_facts_are_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pretty-surf-1").write_text(f"_base_: {CONFIGS / 'cityscapes' / 'fcnresnet_resnet18.yaml'}\n")
    config = load_config("pretty-surf-1")
    assert (config.model.name, config.train.epochs) == ("FCNResNet", 200)
    assert (config.description, config.aliases, config.published) == ("", [], Config().published)
