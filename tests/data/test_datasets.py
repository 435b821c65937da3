from __future__ import annotations

import json

import numpy as np
import pytest

from mxnetseg.config import DataConfig
from mxnetseg.data import build_dataset
from mxnetseg.data.base import IGNORE
from mxnetseg.data.labels import LabelMap
from mxnetseg.data.palettes import voc_palette
from mxnetseg.errors import ConfigError, DataError
from mxnetseg.registry import DATASETS

from .conftest import mask, picture, write

PUBLIC = [n for n in DATASETS.names() if n not in ("Custom", "Synthetic")]
PRETTIER = {"column_pole": "pole", "byciclist": "bicyclist"}
PALETTES = {
    "CamVid": "camvid_last_is_void",
    "Cityscapes": "cityscapes_official",
    "PascalVOC": "voc_generator_first21",
    "PascalVOCAug": "voc_generator_first21",
}


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
    reference, cls = tables["datasets"][name], DATASETS.get(name)
    assert [PRETTIER.get(c, c) for c in reference["classes"]] == list(cls.classes)
    for raw, label in reference["raw_to_train"].items():
        expected = None if label >= len(cls.classes) else label
        if (name, raw) == ("CamVid", "255"):
            expected = IGNORE  # other copies of CamVid mark void so
        assert cls.id_map.get(int(raw)) == expected, raw


@pytest.mark.parametrize("name", PUBLIC)
def test_palettes_equal_the_originals(tables, name):
    cls = DATASETS.get(name)
    if name in PALETTES:
        expected = tables["palettes"][PALETTES[name]][: len(cls.classes)]
    elif name == "ADE20K":
        expected = tables["palettes"]["ade20k_index0_is_other"][1:]
    else:
        pytest.skip("no reference palette")
    assert cls.palette.tolist() == expected


def test_voc_generator():
    assert voc_palette(256)[255].tolist() == [224, 224, 192]


def camvid(root):
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        lines = []
        for i in range(count):
            write(root / f"images/{split}{i}.png", picture(i))
            write(root / f"labels/{split}{i}_L.png", mask(i, [*range(12), 255]))
            lines.append(f"{split}{i}.png {split}{i}_L.png\n")
        (root / f"{split}.txt").write_text("".join(lines))


def camvid_segnet(root):
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        lines = []
        for i in range(count):
            write(root / split / f"{split}{i}.png", picture(i))
            write(root / f"{split}annot" / f"{split}{i}.png", mask(i, list(range(12))))
            lines.append(f"/SegNet/CamVid/{split}/{split}{i}.png /SegNet/CamVid/{split}annot/{split}{i}.png\n")
        (root / f"{split}.txt").write_text("".join(lines))


def cityscapes(root, kind="labelIds", values=(0, 7, 33)):
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        for i in range(count):
            stem = f"{split}/ulm/ulm_00000{i}_000019"
            write(root / f"leftImg8bit/{stem}_leftImg8bit.png", picture(i))
            write(root / f"gtFine/{stem}_gtFine_{kind}.png", mask(i, list(values)))


def cityscapes_train_ids(root):
    cityscapes(root, "labelTrainIds", (0, 18, 255))


def pascal_voc(root):
    lists = {"train": ["a", "b", "c"], "val": ["d", "e"], "trainval": list("abcde"), "test": ["f", "g"]}
    for split, stems in lists.items():
        path = root / f"ImageSets/Segmentation/{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\r\n".join(stems))
        for stem in stems:
            write(root / f"JPEGImages/{stem}.jpg", picture(0))
            if split != "test":
                write(root / f"SegmentationClass/{stem}.png", mask(0, [0, 20, 255]))


def pascal_voc_aug(root):
    for split, stems in {"train": "abc", "val": "de", "train_aug": "abcf", "trainval_aug": "abcfde"}.items():
        for stem in stems:
            write(root / f"img_aug/{stem}.jpg", picture(0))
            write(root / f"cls_aug/{stem}.png", mask(0, [0, 20, 255]))
        (root / f"{split}.txt").write_text("\r\n".join(f"{s}.jpg {s}.png" for s in stems))


def ade20k(root):
    for part, count in (("training", 3), ("validation", 2)):
        for i in range(count):
            write(root / f"images/{part}/ADE_{i}.jpg", picture(i))
            write(root / f"annotations/{part}/ADE_{i}.png", mask(i, [0, 1, 150]))
    for i in range(2):
        write(root / f"images/testing/ADE_{i}.jpg", picture(i))


TREES = {
    "camvid": ("CamVid", camvid, {-1, *range(11)}),
    "camvid-segnet": ("CamVid", camvid_segnet, {-1, *range(11)}),
    "cityscapes": ("Cityscapes", cityscapes, {-1, 0, 18}),
    "cityscapes-trainids": ("Cityscapes", cityscapes_train_ids, {-1, 0, 18}),
    "voc": ("PascalVOC", pascal_voc, {-1, 0, 20}),
    "vocaug": ("PascalVOCAug", pascal_voc_aug, {-1, 0, 20}),
    "ade": ("ADE20K", ade20k, {-1, 0, 149}),
}


@pytest.mark.parametrize("tree", TREES)
def test_reads_its_layout(tmp_path, tree):
    name, make, labels = TREES[tree]
    make(tmp_path)
    config = DataConfig(name=name, root=str(tmp_path))
    train, val = build_dataset(config, "train"), build_dataset(config, "val")
    assert (len(train), len(val)) == (3, 2)
    image, label = train.read(0)
    assert image.dtype == np.uint8
    assert label.dtype == np.int32
    assert set(np.unique(label)) == labels
    assert not {train.samples[i].image for i in range(3)} & {val.samples[i].image for i in range(2)}
    names = [train.sample_name(i) for i in range(3)]
    assert len(set(names)) == 3
    assert names == sorted(names)


@pytest.mark.parametrize("tree", TREES)
def test_every_split_is_what_it_says(tmp_path, tree):
    name, make, _ = TREES[tree]
    make(tmp_path)
    config = DataConfig(name=name, root=str(tmp_path))
    sets = {s: {x.image for x in build_dataset(config, s).samples} for s in DATASETS.entry(name).meta["splits"]}
    if "trainval" in sets:
        assert sets["trainval"] == sets["train"] | sets["val"]
    if "trainval_aug" in sets:
        assert sets["trainval_aug"] == sets["train_aug"] | sets["val"]
    if "test" in sets:
        assert not sets["test"] & (sets["train"] | sets["val"])


@pytest.mark.parametrize("tree", TREES)
def test_a_missing_file_is_named(tmp_path, tree):
    name, make, _ = TREES[tree]
    make(tmp_path)
    config = DataConfig(name=name, root=str(tmp_path))
    lost = build_dataset(config, "train").samples[1]
    for path in (lost.mask, lost.image):
        path.rename(path.with_suffix(".gone"))
        with pytest.raises(DataError) as caught:
            build_dataset(config, "train")
        assert lost.mask.stem in str(caught.value) or lost.image.stem in str(caught.value)
        assert "data.root=FOLDER" in caught.value.remedy
        path.with_suffix(".gone").rename(path)


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
    camvid(tmp_path / "CamVid")
    assert build_dataset(DataConfig(name="CamVid"), "val").root == tmp_path / "CamVid"
    camvid(tmp_path / "CamVidFull")
    assert build_dataset(DataConfig(name="CamVid"), "val").root == tmp_path / "CamVidFull"


def test_unknown_split_and_option(tmp_path):
    camvid(tmp_path)
    with pytest.raises(DataError, match="trainval"):
        build_dataset(DataConfig(name="CamVid", root=str(tmp_path)), "trainvall")
    with pytest.raises(ConfigError, match=r"data\.options\.labls.*\n.*\n.*'labels'"):
        build_dataset(DataConfig(name="Cityscapes", root=str(tmp_path), options={"labls": "auto"}), "train")


def test_an_unofficial_number_of_images_is_said(tmp_path):
    camvid(tmp_path)
    with pytest.warns(UserWarning, match="3 images found, the official split has 367"):
        build_dataset(DataConfig(name="CamVid", root=str(tmp_path)), "train")


def test_real_camvid(shared):
    config = DataConfig(name="CamVid", root=str(shared / "data" / "CamVid"))
    assert [len(build_dataset(config, s)) for s in ("train", "val", "trainval")] == [367, 101, 468]
    image, label = build_dataset(config, "val").read(7)
    assert image.shape == (360, 480, 3)
    assert set(np.unique(label)) <= set(range(-1, 11))


def test_cityscapes_submission(tmp_path, tables):
    cityscapes_train_ids(tmp_path)
    dataset = build_dataset(DataConfig(name="Cityscapes", root=str(tmp_path)), "test")
    expected = tables["cityscapes_submission"]["train_to_label"]
    assert dataset.encode_prediction(np.arange(19)).tolist() == expected
    assert dataset.encode_prediction(np.arange(19)).dtype == np.uint8
    assert dataset.submission_name(0) == "ulm_000000_000019_pred_labelIds.png"
    assert dataset.read(0)[1] is None


def test_shifted_predictions_are_encoded_as_the_masks_are():
    cls = DATASETS.get("ADE20K")
    assert LabelMap(cls.id_map, 150).inverse()[[0, 149]].tolist() == [1, 150]


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
