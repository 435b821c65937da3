"""Preparation of every data set, from the form in which it is distributed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from data.conftest import mask, picture, write
from data.trees import FORMS, city
from PIL import Image

from mxnetseg.cli import main
from mxnetseg.config import DataConfig
from mxnetseg.data import build_dataset
from mxnetseg.data.datasets.pascal_context import LABELS_459
from mxnetseg.registry import DATASETS
from mxnetseg.tools.prepare import STEPS, sbd, workspace
from mxnetseg.tools.prepare.isprs import tile_boxes

pytestmark = pytest.mark.filterwarnings("ignore:.*images found, the official split")
ALSO_READY = ("CamVid", "SiftFlow")  # forms that are converted already are recognised


def prepare(name, root, *words):
    return main(["prepare", name, "--root", str(root), *map(str, words)])


def labels(name, root, split, **options):
    """Training ids of every image of a split, by its stem."""
    data = build_dataset(DataConfig(name=name, root=str(root), options=options), split)
    return {data.samples[i].image.stem: data.read(i)[1] for i in range(len(data))}


def same(found, expected):
    assert list(found) == list(expected)
    for name, label in expected.items():
        assert np.array_equal(found[name], label), name


def lines(path, *content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in content))


def mat(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content)


def test_every_data_set_with_steps_is_registered():
    assert set(STEPS) <= set(DATASETS.names())


@pytest.mark.parametrize("form", [f for f in FORMS if FORMS[f].name not in STEPS or FORMS[f].name in ALSO_READY])
@pytest.mark.parametrize("archive", ["zip", "gztar", None])
def test_unpacking_gives_the_layout(tmp_path, capsys, form, archive):
    form, source = FORMS[form], tmp_path / "download" / "wrapped" / "twice"
    pairs = form.make(source)
    given = tmp_path / "download"
    if archive:
        given = shutil.make_archive(tmp_path / "data", archive, given)
    root = tmp_path / "root"
    assert prepare(form.name, root, "--source", given) == 0
    for split, expected in pairs.items():
        data = build_dataset(DataConfig(name=form.name, root=str(root), options=form.options), split)
        assert [s.image for s in data.samples] == [root / p.relative_to(source) for p, _ in expected]
        if expected[0][1] is not None:
            assert np.array_equal(data.read_label(0), form.rule(expected[0][1]))
        assert f"  {split:12} {len(expected):6} images" in capsys.readouterr().out or split != next(iter(pairs))
    assert not (root / ".unpacked").exists()
    assert json.loads((root / f"prepared-{form.name}.json").read_text())["complete"]


def sbd_source(base, stems, train=2):
    raw = {}
    for i, stem in enumerate(stems):
        raw[stem] = mask(i, range(21))
        write(base / f"img/{stem}.jpg", picture(i))
        mat(base / f"cls/{stem}.mat", {"GTcls": {"Segmentation": raw[stem], "Boundaries": np.zeros(3)}})
    lines(base / "train.txt", *stems[:train])
    lines(base / "val.txt", *stems[train:])
    return raw


def test_sbd(tmp_path):
    raw = sbd_source(tmp_path / "s/benchmark_RELEASE/dataset", ["a", "b", "c"])
    archive = shutil.make_archive(tmp_path / "benchmark", "gztar", tmp_path / "s")
    assert prepare("SBD", tmp_path / "SBD", "--source", archive) == 0
    same(labels("SBD", tmp_path / "SBD", "train"), {s: raw[s] for s in "ab"})
    same(labels("SBD", tmp_path / "SBD", "trainval"), raw)


def test_sbd_where_it_lies(tmp_path):
    raw = sbd_source(tmp_path, ["a", "b", "c"])
    assert prepare("SBD", tmp_path) == 0
    same(labels("SBD", tmp_path, "trainval"), raw)


def test_vocaug_takes_the_masks_of_voc_over_those_of_sbd(tmp_path):
    devkit = tmp_path / "VOCdevkit"
    sbd = sbd_source(devkit / "SBD", ["a", "b", "d", "x", "y"])
    voc = {s: mask(50 + i, [*range(21), 255]) for i, s in enumerate("abcde")}
    palette = np.random.default_rng(0).integers(0, 256, 768).tolist()
    for stem, raw in voc.items():
        write(devkit / f"VOC2012/JPEGImages/{stem}.jpg", picture(7))
        path = devkit / f"VOC2012/SegmentationClass/{stem}.png"
        path.parent.mkdir(exist_ok=True)
        image = Image.fromarray(raw, mode="P")
        image.putpalette(palette)
        image.save(path)
    lines(devkit / "VOC2012/ImageSets/Segmentation/train.txt", *"abc")
    lines(devkit / "VOC2012/ImageSets/Segmentation/val.txt", *"de")
    root = devkit / "VOCAug"
    assert prepare("vocaug", root) == 0
    expected = sbd | {s: np.where(raw == 255, -1, raw.astype(int)) for s, raw in voc.items()}
    for split, stems in {"train": "abc", "val": "de", "train_aug": "abcxy", "trainval_aug": "abcxyde"}.items():
        same(labels("PascalVOCAug", root, split), {s: expected[s] for s in stems})


def test_cocostuff(tmp_path):
    base, raw = tmp_path / "s/cocostuff-10k-v1.1", {}
    for i in range(3):
        raw[f"COCO_{i}"] = mask(i, range(183)).astype(np.uint16)
        write(base / f"images/COCO_{i}.jpg", picture(i))
        mat(base / f"annotations/COCO_{i}.mat", {"S": raw[f"COCO_{i}"], "names": "x"})
    lines(base / "imageLists/train.txt", "COCO_2", "COCO_0")
    lines(base / "imageLists/test.txt", "COCO_1")
    archive = shutil.make_archive(tmp_path / "stuff", "zip", tmp_path / "s")
    assert prepare("COCOStuff", tmp_path / "COCOStuff", "--source", archive) == 0
    same(
        labels("COCOStuff", tmp_path / "COCOStuff", "train"), {n: raw[n].astype(int) - 1 for n in ("COCO_2", "COCO_0")}
    )
    same(labels("COCOStuff", tmp_path / "COCOStuff", "val"), {"COCO_1": raw["COCO_1"].astype(int) - 1})


def test_siftflow(tmp_path):
    place, raw = "spatial_envelope_256x256_static_8outdoorcategories", {}
    for i, name in enumerate("abc"):
        raw[name] = mask(i, range(34))
        write(tmp_path / f"s/Images/{place}/{name}.jpg", picture(i))
        mat(tmp_path / f"s/SemanticLabels/{place}/{name}.mat", {"S": raw[name]})
        mat(tmp_path / f"s/GeoLabels/{place}/{name}.mat", {"S": raw[name]})
    lines(tmp_path / "s/TestSet1.txt", f"{place}\\b.jpg")
    assert prepare("SiftFlow", tmp_path / "root", "--source", tmp_path / "s") == 0
    same(labels("SiftFlow", tmp_path / "root", "train"), {n: raw[n].astype(int) - 1 for n in "ac"})
    same(labels("SiftFlow", tmp_path / "root", "val"), {"b": raw["b"].astype(int) - 1})


def test_mhp_merges_persons(tmp_path):
    base = tmp_path / "LV-MHP-v1"
    for name in ("1", "10", "7"):
        write(base / f"images/{name}.jpg", picture(int(name)))
    persons = {n: [mask(i + 20 * int(n), [0, 0, i + 1, 18]) for i in range(11)] for n in ("1", "10", "7")}
    for name, masks in persons.items():
        for i, raw in enumerate(masks, 1):
            write(base / f"annotations/{name}_{len(masks):02d}_{i}.png", raw)
    lines(base / "train_list.txt", *["1.jpg"] * 3000, *["10.jpg"] * 1000)
    lines(base / "test_list.txt", "7.jpg")
    assert prepare("MHPv1", tmp_path / "mhp", "--source", base) == 0
    for split, name in (("train", "1"), ("val", "10"), ("test", "7")):
        expected = np.zeros((24, 32), int)
        for raw in persons[name]:
            expected = expected + (expected == 0) * raw
        data = build_dataset(DataConfig(name="mhp", root=str(tmp_path / "mhp"), options={"short_edge": 0}), split)
        assert np.array_equal(data.read_label(0), expected - 1)
        assert data.samples[0].image.name == f"{name}.jpg"


def nyu_source(base, count=5, size=(20, 28)):
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    labels = rng.integers(0, 895, (count, *size), dtype=np.uint16)
    labels[:, 0, :2] = 0, 894
    base.mkdir(parents=True)
    with h5py.File(base / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["labels"] = labels.transpose(0, 2, 1)
    mat(base / "splits.mat", {"trainNdxs": np.array([[5], [1], [3]]), "testNdxs": np.array([[2], [4]])})
    return images, labels


@pytest.mark.parametrize("kind", ["labels40", "labels40-hdf5", "table"])
def test_nyuv2(tmp_path, kind):
    images, all_labels = nyu_source(tmp_path / "source")
    rng = np.random.default_rng(4)
    raw = rng.integers(0, 41, all_labels.shape, dtype=np.uint8)
    if kind == "labels40":
        mat(tmp_path / "source/labels40.mat", {"labels40": raw.transpose(1, 2, 0)})
    elif kind == "labels40-hdf5":
        with h5py.File(tmp_path / "source/labels40.mat", "w", userblock_size=512) as file:
            file["labels40"] = raw.transpose(0, 2, 1)
    else:
        table = rng.integers(1, 41, 894)
        mat(tmp_path / "source/classMapping40.mat", {"mapClass": table[None].astype(float)})
        raw = np.concatenate([[0], table])[all_labels]
    root = tmp_path / "NYUv2"
    assert prepare("NYUv2", root, "--source", tmp_path / "source") == 0
    for split, numbers in (("train", (4, 0, 2)), ("val", (1, 3))):
        data = build_dataset(DataConfig(name="NYUv2", root=str(root)), split)
        for place, number in enumerate(numbers):
            image, label = data.read(place)
            assert np.array_equal(image, images[number])
            assert np.array_equal(label, raw[number].astype(int) - 1)


def test_nyuv2_without_the_forty_classes(tmp_path, capsys):
    nyu_source(tmp_path / "source")
    assert prepare("NYUv2", tmp_path / "root", "--source", tmp_path / "source") == 2
    assert "labels40.mat" in capsys.readouterr().err


def box(x0, y0, x1, y1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def runs(covered):
    """COCO's run lengths, column by column, beginning with the zeros."""
    flat = np.concatenate([[0], covered.T.ravel().astype(int), [2]])
    ends = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], ends])).tolist()
    return {"counts": counts, "size": list(covered.shape)}


def test_mscoco(tmp_path):
    source = tmp_path / "source"
    crowd = np.zeros((50, 60), bool)
    crowd[40:, 50:] = True
    things = [
        {"image_id": 9, "category_id": 17, "segmentation": [box(0, 0, 50, 30)], "iscrowd": 0},
        {"image_id": 9, "category_id": 1, "segmentation": [box(10, 20, 30, 45), box(40, 35, 45, 40)], "iscrowd": 0},
        {"image_id": 9, "category_id": 13, "segmentation": [box(0, 0, 60, 50)], "iscrowd": 0},
        {"image_id": 9, "category_id": 5, "segmentation": runs(crowd), "iscrowd": 1},
        {"image_id": 25, "category_id": 7, "segmentation": [box(0, 0, 25, 40)], "iscrowd": 0},
        {"image_id": 30, "category_id": 72, "segmentation": [box(0, 0, 60, 17), [1, 1, 2, 2]], "iscrowd": 0},
    ]
    pictures = {n: {"id": n, "file_name": f"{n:012d}.jpg", "height": 50, "width": 60} for n in (30, 9, 25, 2)}
    (source / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        content = {"images": list(pictures.values()), "annotations": things}
        (source / f"annotations/instances_{part}.json").write_text(json.dumps(content))
        for n in pictures:
            write(source / part / f"{n:012d}.jpg", picture(n, (50, 60)))
    expected = {f"{n:012d}": np.zeros((50, 60), int) for n in sorted(pictures)}
    expected[f"{9:012d}"][40:, 50:] = 1
    expected[f"{9:012d}"][20:45, 10:30] = expected[f"{9:012d}"][35:40, 40:45] = 15
    expected[f"{9:012d}"][:30, :50] = 8
    expected[f"{25:012d}"][:40, :25] = 19
    expected[f"{30:012d}"][:17] = 20
    assert prepare("coco", tmp_path / "COCO", "--source", source) == 0
    same(labels("MSCOCO", tmp_path / "COCO", "val"), expected)
    many = {n: label for n, label in expected.items() if (label > 0).sum() > 1000}
    assert list(many) == [f"{9:012d}", f"{30:012d}"]  # 25 has 1000 labelled pixels
    for split in ("train", "val_filtered"):
        same(labels("MSCOCO", tmp_path / "COCO", split), many)


def context_images(base, stems):
    for i, stem in enumerate(stems):
        write(base / f"VOCdevkit/VOC2010/JPEGImages/{stem}.jpg", picture(i))


def test_pascal_context_from_json(tmp_path):
    source, stems = tmp_path / "source", ["2008_1", "2008_2", "2008_3"]
    context_images(source, [*stems, "unused"])
    things, expected = [], {}
    for number, stem in enumerate(stems):
        ids = mask(number, [0, 1, 2, 9, 18, 458, 459])
        things += [
            {"image_id": number, "category_id": int(i), "segmentation": runs(ids == i)} for i in np.unique(ids) if i
        ]
        expected[stem] = np.array([([0, *LABELS_459].index(i) if i in LABELS_459 else 0) - 1 for i in range(460)])[ids]
    phases = ("val", "train", "train")
    images = [
        {"image_id": n, "file_name": f"{s}.jpg", "phase": phases[n], "height": 24, "width": 32}
        for n, s in enumerate(stems)
    ]
    (source / "trainval_merged.json").write_text(json.dumps({"images": images, "annos_segmentation": things}))
    assert prepare("PascalContext", tmp_path / "PContext", "--source", source) == 0
    same(labels("PascalContext", tmp_path / "PContext", "train"), {s: expected[s] for s in stems[1:]})
    same(labels("PascalContext", tmp_path / "PContext", "val"), {stems[0]: expected[stems[0]]})
    names = DATASETS.get("PascalContext").classes
    assert [names[LABELS_459.index(i)] for i in (2, 9, 18, 458)] == ["aeroplane", "bag", "bed", "wood"]


def test_pascal_context_from_matlab(tmp_path):
    source = tmp_path / "source"
    context_images(source, "abc")
    raw = {s: np.random.default_rng(i).choice([0, 431, *LABELS_459], (24, 32)) for i, s in enumerate("abc")}
    for stem, ids in raw.items():
        mat(source / f"trainval/{stem}.mat", {"LabelMap": ids.astype(np.uint16)})
    lines(source / "train.txt", "a", "c")
    lines(source / "val.txt", "b")
    assert prepare("PascalContext", tmp_path / "PContext", "--source", source) == 0
    table = np.full(460, -1)
    table[list(LABELS_459)] = range(59)
    same(labels("PascalContext", tmp_path / "PContext", "train"), {s: table[raw[s]] for s in "ac"})


def test_stanford_background(tmp_path):
    base = tmp_path / "iccv09Data"
    raw = {}
    for i in range(10):
        raw[f"{i:04d}"] = np.random.default_rng(i).integers(-1, 8, (24, 32))
        write(base / f"images/{i:04d}.jpg", picture(i))
        lines(base / f"labels/{i:04d}.regions.txt", *(" ".join(map(str, row)) for row in raw[f"{i:04d}"]))
    archive = shutil.make_archive(tmp_path / "data", "gztar", tmp_path, "iccv09Data")
    root = tmp_path / "Stanford10"
    assert prepare("StanfordBackground", root, "--source", archive) == 0
    same(labels("StanfordBackground", root, "val"), {n: raw[n] for n in ("0004", "0009")})
    lines(base / "trainList.txt", "0003", "0001")
    lines(base / "evalList.txt", "0000")
    assert prepare("StanfordBackground", root, "--source", base) == 0
    same(labels("StanfordBackground", root, "train"), {n: raw[n] for n in ("0003", "0001")})


@pytest.mark.parametrize("published", [True, False])
def test_weizmann_horses(tmp_path, published):
    base = tmp_path / "weizmann_horse_db"
    images, masks = ("rgb", "figure_ground") if published else ("horse", "mask")
    expected = {}
    for i in range(5):
        label = expected[f"horse{i:03d}"] = np.zeros((24, 32), int)
        label[4 + i : 20, 8:16] = 1
        write(base / images / f"horse{i:03d}.jpg", picture(i))
        ready = i == 1 and not published
        mask_name = f"horse{i:03d}.{'png' if ready else 'jpg'}"
        write(base / masks / mask_name, (label * (1 if ready else 255)).astype(np.uint8))
    root = tmp_path / "WeizHorses" if published else base
    assert prepare("WeizmannHorses", root, *(["--source", base] if published else [])) == 0
    same(labels("WeizmannHorses", root, "train"), {n: expected[n] for n in sorted(expected)[:4]})
    same(labels("WeizmannHorses", root, "val"), {n: expected[n] for n in sorted(expected)[4:]})


def polygons(path, objects, size=(24, 32)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"imgHeight": size[0], "imgWidth": size[1], "objects": objects}))


def thing(label, x0, y0, x1, y1, **more):
    return {"label": label, "polygon": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], **more}


def test_cityscapes_label_ids_become_training_ids(tmp_path):
    splits = FORMS["cityscapes"].make(tmp_path)
    assert prepare("Cityscapes", tmp_path) == 0
    found = labels("Cityscapes", tmp_path, "trainval", labels="labelTrainIds")
    same(found, {p.stem: city(raw) for p, raw in splits["trainval"]})


@pytest.mark.parametrize(("name", "train"), [("Cityscapes", "train"), ("CityCoarse", "train_extra")])
def test_cityscapes_polygons_become_training_ids(tmp_path, name, train):
    kind = "gtFine" if train == "train" else "gtCoarse"
    stem = "ulm/ulm_000000_000019"
    for part, annotation in ((train, kind), ("val", "gtFine")):
        write(tmp_path / f"leftImg8bit/{part}/{stem}_leftImg8bit.png", picture(1))
        things = [
            thing("road", 0, 12, 31, 23),
            thing("cargroup", 4, 10, 9, 15),
            thing("license plate", 5, 11, 6, 12),
            thing("bus", 0, 0, 31, 23, deleted=1),
            thing("traffic light", 20, 2, 22, 6),
            thing("out of roi", 0, 0, 1, 23),
            thing("polegroup", 25, 0, 26, 9),
        ]
        polygons(tmp_path / f"{annotation}/{part}/{stem}_{annotation}_polygons.json", things)
    expected = np.full((24, 32), -1)
    expected[12:] = 0
    expected[10:16, 4:10] = 13
    expected[2:7, 20:23] = 6
    expected[:, :2] = expected[:10, 25:27] = -1
    assert prepare(name, tmp_path) == 0
    for split in ("train", "val"):
        same(labels(name, tmp_path, split), {"ulm_000000_000019_leftImg8bit": expected})


def test_cityscapes_refuses_unknown_polygons(tmp_path, capsys):
    FORMS["cityscapes"].make(tmp_path)
    polygons(tmp_path / "gtFine/train/ulm/x_gtFine_polygons.json", [thing("elephant", 0, 0, 1, 1)])
    assert prepare("Cityscapes", tmp_path) == 2
    assert "x_gtFine_polygons.json: unknown label 'elephant'" in capsys.readouterr().err


def test_camvid_colours(tmp_path):
    source, expected = tmp_path / "source", {}
    colours = {
        (128, 128, 128): 0,
        (192, 0, 128): 1,
        (0, 0, 64): 2,
        (192, 0, 64): 3,
        (128, 128, 192): 4,
        (192, 192, 0): 5,
    }
    colours |= {(0, 64, 64): 6, (64, 64, 128): 7, (128, 64, 64): 8, (64, 128, 64): 9, (192, 0, 192): 10, (0, 0, 0): -1}
    colours |= {(64, 192, 128): 4, (128, 128, 64): 6, (1, 2, 3): -1}
    for i, name in enumerate("abcd"):
        ids = mask(i, range(len(colours)))
        write(source / f"701_StillsRaw_full/{name}.png", picture(i))
        write(source / f"LabeledApproved_full/{name}_{'P' if name == 'b' else 'L'}.png", np.uint8(list(colours))[ids])
        expected[name] = np.array(list(colours.values()))[ids]
    for split, names in (("train", "ca"), ("val", "b"), ("test", "d")):
        lines(
            source / f"{split}.txt",
            *(f"/SegNet/CamVid/{split}/{n}.png /SegNet/CamVid/{split}annot/{n}.png" for n in names),
        )
    assert prepare("CamVid", tmp_path / "root", "--source", source) == 0
    for split, names in (("train", "ca"), ("val", "b"), ("test", "d"), ("trainval", "cab")):
        same(labels("CamVid", tmp_path / "root", split), {n: expected[n] for n in names})


ISPRS_COLOURS = [(0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]
SCENES = {
    "Potsdam": ("top_potsdam_{}_RGB.tif", "top_potsdam_{}_label_noBoundary.tif", ("2_10", "5_15", "9_9"), "{}"),
    "Vaihingen": (
        "top_mosaic_09cm_area{}.tif",
        "top_mosaic_09cm_area{}_noBoundary.tif",
        ("1", "6", "9"),
        "area{}",
    ),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("stride", [32, 20])
def test_isprs_tiles(tmp_path, name, stride):
    image, label, keys, tile_name = SCENES[name]
    photos, ids = {}, {}
    for i, key in enumerate(keys):
        photos[key], ids[key] = picture(i, (70, 90)), mask(i, range(7), (70, 90))
        write(tmp_path / "in" / image.format(key), photos[key])
        write(tmp_path / "in" / label.format(key), np.array(ISPRS_COLOURS, np.uint8)[ids[key]])
    inner = shutil.make_archive(tmp_path / "all", "zip", tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as file:
        file.write(inner, "isprs/all.zip")
    root = tmp_path / "root"
    assert prepare(name, root, "--source", tmp_path / "outer.zip", "tile=32", f"stride={stride}") == 0
    for split, key in (("train", keys[0]), ("val", keys[1])):
        data = build_dataset(DataConfig(name=name, root=str(root)), split)
        boxes = tile_boxes(70, 90, 32, stride)
        assert len(data) == len(boxes)
        found = {data.samples[i].image.stem: data.read(i) for i in range(len(data))}
        for x0, y0, x1, y1 in boxes:
            tile = found[f"{tile_name.format(key)}_{x0}_{y0}_{x1}_{y1}"]
            assert np.array_equal(tile[0], photos[key][y0:y1, x0:x1])
            assert np.array_equal(tile[1], ids[key][y0:y1, x0:x1].astype(int) - 1)


def test_isprs_tiles_equal_the_originals(shared):
    reference = json.loads((shared / "oracle" / "data_isprs_clip.json").read_text())["boxes"]
    for size, facts in reference.items():
        height, width = map(int, size.split("x"))
        boxes = tile_boxes(height, width, 512, 512)
        assert len(boxes) == facts["unique"]
        assert {tuple(b) for b in facts["boxes"]} <= set(boxes)


def test_isprs_tile_content_equals_the_originals(shared, tmp_path):
    facts = json.loads((shared / "oracle" / "data_isprs_clip.json").read_text())["small"]
    reference = np.load(shared / "oracle" / "data_isprs_clip.npz")
    write(tmp_path / "in/top_potsdam_2_10_RGB.tif", picture(0, (70, 90)))
    write(tmp_path / "in/top_potsdam_2_10_label.tif", reference["small_rgb"])
    assert prepare("Potsdam", tmp_path, "tile=32", "stride=32") == 0
    tiles = {p.name: cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in (tmp_path / "ann_dir/train").iterdir()}
    assert sorted(tiles) == sorted(facts["names"])
    for name, tile in zip(facts["names"], reference["small_tiles"], strict=True):
        assert np.array_equal(tiles[name], tile), name


@pytest.mark.parametrize("words", [["stride=600"], ["tile=0"], ["stide=3"], ["tile=x"]])
def test_options_are_checked(tmp_path, capsys, words):
    assert prepare("Potsdam", tmp_path, *words) == 2
    assert words[0].split("=")[0] in capsys.readouterr().err


def test_synthetic_is_generated(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(DATASETS.get("Synthetic"), "prepare", classmethod(lambda cls, root: calls.append(root)))
    assert prepare("Synthetic", tmp_path / "s") == 0
    assert calls == [tmp_path / "s"]
    assert prepare("Custom", tmp_path / "c") == 2
    assert "data.options" in capsys.readouterr().err


@pytest.mark.parametrize("name", [n for n in DATASETS.names() if n not in ("Custom", "Synthetic")])
def test_nothing_to_prepare_is_said(tmp_path, capsys, name):
    assert prepare(name, tmp_path / "root") == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "root") in message
    assert DATASETS.get(name).layout in message
    assert DATASETS.get(name).source in message
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("name", STEPS)
def test_missing_sources_are_named(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    assert prepare(name, tmp_path / "root", "--source", tmp_path / "empty") == 2
    message = capsys.readouterr().err
    assert str(tmp_path) in message
    assert DATASETS.get(name).source.split(",")[0] in message
    assert prepare(name, tmp_path / "root", "--source", tmp_path / "nowhere.zip") == 2
    assert "source not found" in capsys.readouterr().err
    lines(tmp_path / "x.rar", "x")
    assert prepare(name, tmp_path / "root", "--source", tmp_path / "x.rar") == 2
    assert "neither a folder nor an archive" in capsys.readouterr().err


def test_an_interrupted_preparation_goes_on(tmp_path, monkeypatch):
    source, root = tmp_path / "source", tmp_path / "SBD"
    raw = sbd_source(source, list("abcdef"), 4)
    made, original = [], sbd.read_sbd_mask

    def read(path):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(path.stem)
        return original(path)

    monkeypatch.setattr(sbd, "read_sbd_mask", read)
    assert prepare("SBD", root, "--source", source) == 130
    assert sorted(p.name for p in (root / "cls_png").iterdir()) == ["a.png", "b.png", "c.png"]
    assert not json.loads((root / "prepared-SBD.json").read_text())["complete"]
    monkeypatch.setattr(sbd, "read_sbd_mask", lambda path: made.append(path.stem) or original(path))
    assert prepare("SBD", root, "--source", source) == 0
    assert made == list("abcdef")
    same(labels("SBD", root, "trainval"), raw)
    assert prepare("SBD", root, "--source", source) == 0
    assert prepare("SBD", root) == 0
    assert made == list("abcdef")
    (root / "cls_png/b.png").unlink()
    assert prepare("SBD", root, "--source", source) == 0
    assert made == list("abcdefb")


def test_files_of_other_origin_are_replaced(tmp_path):
    source, root = tmp_path / "source", tmp_path / "SBD"
    raw = sbd_source(source, ["a", "b", "c"])
    write(root / "cls_png/a.png", mask(99, range(21)))
    write(root / "img/a.jpg", picture(99))
    assert prepare("SBD", root, "--source", source) == 0
    same(labels("SBD", root, "trainval"), raw)
    assert (root / "img/a.jpg").read_bytes() == (source / "img/a.jpg").read_bytes()


def test_sources_are_never_changed(tmp_path):
    source, root = tmp_path / "source", tmp_path / "SBD"
    sbd_source(source, ["a", "b", "c"])
    before = {p: p.read_bytes() for p in source.rglob("*") if p.is_file()}
    assert prepare("SBD", root, "--source", source) == 0
    assert {p: p.read_bytes() for p in source.rglob("*") if p.is_file()} == before


def test_copies_where_links_are_impossible(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("cross-device link")

    monkeypatch.setattr(workspace.os, "link", refuse)
    raw = sbd_source(tmp_path / "source", ["a", "b", "c"])
    assert prepare("SBD", tmp_path / "SBD", "--source", tmp_path / "source") == 0
    same(labels("SBD", tmp_path / "SBD", "trainval"), raw)
    assert not (tmp_path / "SBD/img/a.jpg").samefile(tmp_path / "source/img/a.jpg")


def test_a_source_around_the_root_is_refused(tmp_path, capsys):
    FORMS["ade"].make(tmp_path / "ADE20K")
    assert prepare("ADE20K", tmp_path / "new", "--source", tmp_path) == 2
    assert "holds" in capsys.readouterr().err


def test_mxnet_is_not_imported(tmp_path):
    FORMS["cityscapes"].make(tmp_path)
    code = f"import sys; from mxnetseg.cli import main; main(['prepare', 'Cityscapes', '--root', {str(tmp_path)!r}]); "
    subprocess.run([sys.executable, "-c", code + "assert 'mxnet' not in sys.modules"], check=True)
