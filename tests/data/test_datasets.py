from __future__ import annotations

import json
import warnings

import cv2
import numpy as np
import pytest

from mxnetseg import cli
from mxnetseg.config import DataConfig, load_config
from mxnetseg.data import build_dataset, build_transform
from mxnetseg.data.base import IGNORE
from mxnetseg.data.datasets.mscoco import CATEGORIES
from mxnetseg.data.datasets.pascal_context import LABELS_459
from mxnetseg.data.labels import LabelMap
from mxnetseg.data.palettes import voc_palette
from mxnetseg.errors import ConfigError, DataError
from mxnetseg.registry import DATASETS

from .conftest import mask, picture, write
from .trees import FORMS, Form

PUBLIC = [n for n in DATASETS.names() if n not in ("Custom", "Synthetic")]
PRETTIER = {"column_pole": "pole", "byciclist": "bicyclist"}
ONE_EVALUATION_LIST = ("COCOStuff", "GATECH", "SUNRGBD")
PALETTES = {
    "Aeroscapes": "aeroscapes",
    "BDD100K": "cityscapes_official",
    "CityCoarse": "cityscapes_official",
    "CamVid": "camvid_last_is_void",
    "Cityscapes": "cityscapes_official",
    "PascalVOC": "voc_generator_first21",
    "PascalVOCAug": "voc_generator_first21",
    "DeepGlobe": "deepglobe",
    "NYUv2": "nyuv2",
    "Potsdam": "isprs",
    "Vaihingen": "isprs",
    "WeizmannHorses": "weizmannhorses",
}
# Other copies of CamVid mark void so; the public masks of horses are 0/255; ISPRS tables give 255 for void.
OURS = {("CamVid", "255"): IGNORE, ("WeizmannHorses", "255"): 1, ("Potsdam", "0"): IGNORE, ("Vaihingen", "0"): IGNORE}
FROM_INDEX_1 = {"ADE20K": "ade20k_index0_is_other", "MHPv1": "mhpv1_index0_is_background"}


pytestmark = pytest.mark.filterwarnings("ignore:.*images found, the official split")  # the trees are tiny


@pytest.fixture(scope="module")
def tables(shared):
    return json.loads((shared / "oracle" / "data_datasets.json").read_text())


@pytest.mark.parametrize("name", DATASETS.names())
def test_declarations_agree(name):
    entry = DATASETS.entry(name)
    cls = entry.load()
    assert entry.summary
    assert "folder" in entry.meta
    if name != "Custom":
        assert entry.meta["classes"] == len(cls.classes) == len(set(cls.classes)) == len(cls.palette)
        assert set(cls.id_map.values()) - {IGNORE} == set(range(len(cls.classes)))
    if name in PUBLIC:
        assert cls.layout
        assert cls.source
        assert entry.meta["homepage"].startswith("http")


@pytest.mark.parametrize("name", PUBLIC)
def test_classes_and_id_maps_equal_the_originals(tables, name):
    reference, cls = {k.lower(): v for k, v in tables["datasets"].items()}[name.lower()], DATASETS.get(name)
    classes = reference.get("classes_matching_train_ids", reference["classes"])
    assert [PRETTIER.get(c, c) for c in classes] == list(cls.classes)
    assert reference["num_class"] == len(cls.classes)
    for raw, label in reference.get("raw_to_train", {}).items():
        expected = None if label >= len(cls.classes) else label
        if (name, raw) in OURS:
            expected = OURS[name, raw]
        assert cls.id_map.get(int(raw)) == expected, raw


@pytest.mark.parametrize("name", PUBLIC)
def test_palettes_equal_the_originals(tables, name):
    cls = DATASETS.get(name)
    if name in PALETTES:
        expected = tables["palettes"][PALETTES[name]][: len(cls.classes)]
    elif name in FROM_INDEX_1:
        expected = tables["palettes"][FROM_INDEX_1[name]][1:]
    else:
        expected = voc_palette(len(cls.classes)).tolist()
    assert cls.palette.tolist() == expected


def test_further_originals(tables):
    assert list(CATEGORIES) == tables["datasets"]["MSCOCO"]["coco_category_id_per_class"]
    assert [0, *LABELS_459] == tables["datasets"]["PascalContext"]["context459_ids_sorted"]


def test_voc_generator():
    assert voc_palette(256)[255].tolist() == [224, 224, 192]


def opened(form: Form, root, split: str):
    return build_dataset(DataConfig(name=form.name, root=str(root), options=form.options), split)


def test_every_public_data_set_has_a_tree():
    assert {form.name for form in FORMS.values()} == set(PUBLIC)


@pytest.mark.parametrize("tree", FORMS)
def test_reads_its_layout_pixel_by_pixel(tmp_path, tree):
    form = FORMS[tree]
    expected = form.make(tmp_path)
    assert set(expected) == set(DATASETS.entry(form.name).meta["splits"])
    for split, pairs in expected.items():
        dataset = opened(form, tmp_path, split)
        assert [s.image for s in dataset.samples] == [path for path, _ in pairs]
        for index in sorted({path: i for i, (path, _) in enumerate(pairs)}.values()):
            path, raw = pairs[index]
            image, label = dataset.read(index)
            assert np.array_equal(image, cv2.imread(str(path))[..., ::-1])
            if raw is None:
                assert label is None
                continue
            assert label.dtype == np.int32
            assert np.array_equal(label, form.rule(raw)), path
            assert np.array_equal(dataset.read_compact(index)[1], label)
            assert set(np.unique(label)) >= set(range(dataset.num_classes))


@pytest.mark.parametrize("tree", FORMS)
def test_every_split_is_what_it_says(tmp_path, tree):
    form = FORMS[tree]
    form.make(tmp_path)
    splits = DATASETS.entry(form.name).meta["splits"]
    sets = {split: {s.image for s in opened(form, tmp_path, split).samples} for split in splits}
    for whole, part in (("trainval", "train"), ("trainval_aug", "train_aug")):
        if whole in sets:
            assert sets[whole] == sets[part] | sets["val"]
    assert not sets["train"] & sets["val"]
    if "test" in sets:
        assert not sets["test"] & sets["train"]
        assert (sets["test"] == sets["val"]) == (form.name in ONE_EVALUATION_LIST)


@pytest.mark.parametrize("tree", FORMS)
def test_a_missing_file_is_named(tmp_path, tree):
    form = FORMS[tree]
    form.make(tmp_path)
    lost = opened(form, tmp_path, "train").samples[0]
    for path in (lost.mask, lost.image):
        path.rename(path.with_suffix(".gone"))
        with pytest.raises(DataError) as caught:
            opened(form, tmp_path, "train")
        assert lost.mask.stem in str(caught.value) or lost.image.stem in str(caught.value)
        assert "data.root=FOLDER" in caught.value.remedy
        assert DATASETS.get(form.name).source in caught.value.remedy
        path.with_suffix(".gone").rename(path)


@pytest.mark.parametrize("tree", FORMS)
def test_a_wrong_number_of_images_is_said(tmp_path, tree):
    form = FORMS[tree]
    pairs = form.make(tmp_path)
    for split, expected in DATASETS.entry(form.name).meta["splits"].items():
        if expected not in (None, len(pairs[split])):
            with pytest.warns(UserWarning, match=f"{len(pairs[split])} images found, .* has {expected};") as caught:
                opened(form, tmp_path, split)
            message = str(caught[0].message)
            assert DATASETS.get(form.name).layout in message
            assert DATASETS.get(form.name).source in message
            assert str(tmp_path) in message


@pytest.mark.parametrize("name", PUBLIC)
def test_a_missing_folder_tells_where_to_get_the_data(tmp_path, monkeypatch, name):
    monkeypatch.setenv("MXNETSEG_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError) as caught:
        build_dataset(DataConfig(name=name), "train")
    assert str(tmp_path / "nowhere") in caught.value.found
    assert caught.value.expected == DATASETS.get(name).layout
    assert DATASETS.get(name).source in caught.value.remedy
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        build_dataset(DataConfig(name=name, root=str(tmp_path / "empty")), "train")


def test_usual_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MXNETSEG_DATA", str(tmp_path))
    FORMS["camvid"].make(tmp_path / "CamVid")
    assert build_dataset(DataConfig(name="CamVid"), "val").root == tmp_path / "CamVid"
    FORMS["camvid"].make(tmp_path / "CamVidFull")
    assert build_dataset(DataConfig(name="CamVid"), "val").root == tmp_path / "CamVidFull"


def test_unknown_split_and_option(tmp_path):
    FORMS["camvid"].make(tmp_path)
    with pytest.raises(DataError, match="trainval"):
        build_dataset(DataConfig(name="CamVid", root=str(tmp_path)), "trainvall")
    with pytest.raises(ConfigError, match=r"data\.options\.labls.*\n.*\n.*'labels'"):
        build_dataset(DataConfig(name="Cityscapes", root=str(tmp_path), options={"labls": "auto"}), "train")


def test_real_camvid(shared):
    config = DataConfig(name="CamVid", root=str(shared / "data" / "CamVid"))
    assert [len(build_dataset(config, s)) for s in ("train", "val", "trainval")] == [367, 101, 468]
    image, label = build_dataset(config, "val").read(7)
    assert image.shape == (360, 480, 3)
    assert set(np.unique(label)) <= set(range(-1, 11))


def test_cityscapes_submission(tmp_path, tables):
    FORMS["cityscapes-trainids"].make(tmp_path)
    dataset = build_dataset(DataConfig(name="Cityscapes", root=str(tmp_path)), "test")
    expected = tables["cityscapes_submission"]["train_to_label"]
    assert dataset.encode_prediction(np.arange(19)).tolist() == expected
    assert dataset.encode_prediction(np.arange(19)).dtype == np.uint8
    assert dataset.submission_name(0) == "ulm_000000_000019_pred_labelIds.png"
    assert dataset.read(0)[1] is None


def test_shifted_predictions_are_encoded_as_the_masks_are():
    cls = DATASETS.get("ADE20K")
    assert LabelMap(cls.id_map, 150).inverse()[[0, 149]].tolist() == [1, 150]


def test_mhp_sizes(tmp_path):
    FORMS["mhp"].make(tmp_path)
    sizes = {}
    for edge in (12, 0, 48):
        dataset = build_dataset(DataConfig(name="mhp", root=str(tmp_path), options={"short_edge": edge}), "val")
        image, label = dataset.read(0)
        assert image.shape[:2] == label.shape
        sizes[edge] = label.shape
    assert sizes == {12: (12, 16), 0: (24, 32), 48: (48, 64)}
    with pytest.raises(ConfigError, match="short_edge is -1"):
        build_dataset(DataConfig(name="mhp", root=str(tmp_path), options={"short_edge": -1}), "val")


def test_mapillary_takes_its_published_colours(tmp_path):
    FORMS["mapillary"].make(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"labels": [{"color": [i, 2 * i, 3]} for i in range(66)]}))
    config = DataConfig(name="Mapillary", root=str(tmp_path))
    assert build_dataset(config, "val").palette.tolist() == [[i, 2 * i, 3] for i in range(65)]
    path.write_text('{"labels": [{"color": [1, 2, 3]}]}')
    with pytest.raises(DataError, match=r"config\.json: 1 colours"):
        build_dataset(config, "val")


def test_deepglobe_refuses_colours_of_no_class(tmp_path):
    FORMS["deepglobe"].make(tmp_path)
    dataset = build_dataset(DataConfig(name="DeepGlobe", root=str(tmp_path)), "val")
    colours = cv2.imread(str(dataset.samples[0].mask))[..., ::-1]
    expected = dataset.read_label(0)
    write(dataset.samples[0].mask, np.clip(colours, 90, 200))
    assert np.array_equal(dataset.read_label(0), expected)
    colours[0, 0] = (255, 0, 0)
    write(dataset.samples[0].mask, colours)
    with pytest.raises(DataError, match=r"1_mask\.png: 1 pixels of a colour that is no class"):
        dataset.read_label(0)


def test_deepglobe_published_split(shared, tmp_path):
    """Lists of the published split are taken as they are: its order, its numbers of images, no warning."""
    published = json.loads((shared / "data" / "magnet_deepglobe_split.json").read_text())
    (tmp_path / "land-train").mkdir()
    for split in ("train", "val", "test"):
        pairs = [(f"land-train/{i}_sat.jpg", f"land-train/{i}_mask.png") for i in published[split]]
        for name in (name for pair in pairs for name in pair):
            (tmp_path / name).touch()
        (tmp_path / f"magnet_{split}.txt").write_text("".join(f"{i}\t{m}\n" for i, m in pairs))
        (tmp_path / f"{split}.txt").write_text("".join(f"{i}\t{m}\n" for i, m in pairs))
    seen = []
    for split in ("train", "val", "test"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            own = build_dataset(DataConfig(name="DeepGlobe", root=str(tmp_path)), split)
        lists = DataConfig(name="DeepGlobe", root=str(tmp_path), datalist=str(tmp_path / "magnet_{split}.txt"))
        assert own.samples == build_dataset(lists, split).samples
        assert [int(s.image.name.removesuffix("_sat.jpg")) for s in own.samples] == published[split]
        assert {s.mask.name.removesuffix("_mask.png") for s in own.samples} == {str(i) for i in published[split]}
        seen += published[split]
    assert len(set(seen)) == len(seen) == 803


def test_custom_colour_masks(tmp_path):
    """As MagNet describes custom data: a list with tabs, masks in colours, colours to leave out."""
    palette, void = [[0, 0, 0], [0, 255, 255], [255, 0, 255]], [9, 9, 9]
    ids = mask(0, range(4))
    for name in ("a b.png", "c.png"):
        write(tmp_path / f"pictures/{name}", picture(0))
        write(tmp_path / f"colours/{name}", np.array([*palette, void], np.uint8)[ids])
    (tmp_path / "val.txt").write_text("pictures/a b.png\tcolours/a b.png\npictures/c.png\tcolours/c.png\n")
    options = {"classes": ["none", "town", "range"], "palette": palette, "list": "{split}.txt", "color_masks": True}
    config = DataConfig(name="Custom", root=str(tmp_path), options={**options, "ignore_colors": [void]})
    dataset = build_dataset(config, "val")
    assert len(dataset) == 2
    assert np.array_equal(dataset.read(0)[1], np.where(ids == 3, IGNORE, ids))
    with pytest.raises(DataError, match=r"a b\.png: \d+ pixels of a colour that is no class, the first.*\[9, 9, 9\]"):
        build_dataset(DataConfig(name="Custom", root=str(tmp_path), options=options), "val").read(0)
    listed = DataConfig(name="Custom", root=str(tmp_path), datalist=str(tmp_path / "val.txt"), options=config.options)
    assert build_dataset(listed, "val").samples == dataset.samples


def test_configuration_of_own_large_images(tmp_path, capsys):
    """The shipped description of listed colour masks reads a tree made by it; check-data finds nothing wrong."""
    values = load_config("custom/large", [f"data.root={tmp_path}", "data.crop_size=[8, 16]"])
    options, rng = values.data.options, np.random.default_rng(0)
    colors = np.array([*options["palette"], *options["ignore_colors"]], np.uint8)
    for split, count in (("train", 5), ("val", 2)):
        names = [(f"images/{split}{i}.jpg", f"masks/{split}{i}.png") for i in range(count)]
        for image, target in names:
            write(tmp_path / image, rng.integers(0, 255, (32, 64, 3)).astype(np.uint8))
            write(tmp_path / target, colors[rng.integers(0, 5, (32, 64))])
        (tmp_path / f"{split}.txt").write_text("".join(f"{i}\t{m}\n" for i, m in names))
    values.data.datalist = str(tmp_path / "{split}.txt")
    train, val = (build_dataset(values.data, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (5, 2) and set(np.unique(val.read(0)[1])) == {-1, 0, 1, 2, 3}
    assert set(values.eval.left_out) < set(train.classes)
    image, label = build_transform(values.data)(*train.read_compact(0), rng)
    assert image.shape == (8, 16, 3) and label.shape == (8, 16)
    words = ["check-data", "--config", "custom/large", "--root", str(tmp_path)]
    code = cli.main([*words, f"data.datalist={values.data.datalist}"])
    captured = capsys.readouterr()
    assert code == 0, captured.out + captured.err


def test_custom_list_and_ids(own, tmp_path):
    config = own(values=(0, 128, 255), options={"ids": {0: "a", 128: "c", 255: "ignore"}, "ignore": []})
    assert set(np.unique(build_dataset(config, "train").read(0)[1])) == {-1, 0, 2}
    (tmp_path / "few.txt").write_text("images/train/04.png masks/train/04.png\n")
    config.options["list"] = "few.txt"
    dataset = build_dataset(config, "train")
    assert [dataset.sample_name(i) for i in range(len(dataset))] == ["images/train/04"]


def test_custom_palette_suffix_and_test_split(own, tmp_path):
    config = own(options={"palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "mask_suffix": "_m"})
    write(tmp_path / "images/test/x.png", picture(0))
    for path in (tmp_path / "masks/train").iterdir():
        path.rename(path.with_stem(f"{path.stem}_m"))
    assert build_dataset(config, "train").palette.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert build_dataset(config, "test").read(0)[1] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": []}, "classes is empty"),
        ({"palette": [[1, 2, 3]]}, "palette has shape"),
        ({"ids": {0: "bb"}}, "'bb'"),
        ({"classes": ["a"], "ids": {0: 3}}, "0: 3"),
        ({"color_masks": True}, "color_masks without palette"),
        ({"ignore_colors": [[1, 2, 3]]}, "ignore_colors with masks of class ids"),
    ],
)
def test_custom_contradictions(own, options, message):
    with pytest.raises(ConfigError, match=message):
        build_dataset(own(options=options), "train")


def test_unpaired_files_are_named(own, tmp_path):
    config = own()
    write(tmp_path / "masks/train/extra.png", mask(0, [0]))
    (tmp_path / "masks/train/02.png").unlink()
    with pytest.raises(DataError, match=r"2 files have no partner:\n.*images/train/02\.png\n.*masks/train/extra\.png"):
        build_dataset(config, "train")
