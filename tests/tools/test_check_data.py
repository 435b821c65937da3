"""Every planted fault is found with its file; clean data raise no alarm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from data.conftest import mask, picture, write
from data.trees import FORMS
from PIL import Image

from mxnetseg.cli import main
from mxnetseg.config import DataConfig, load_config
from mxnetseg.registry import DATASETS
from mxnetseg.tools.checks import KINDS, check_splits

CLASSES = ["ground", "car", "tree"]
COLORS = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], np.uint8)
TRAIN, VAL = 4, 3


@pytest.fixture
def root(tmp_path) -> Path:
    """Clean pairs of three classes, void 255."""
    for split, count, first in (("train", TRAIN, 0), ("val", VAL, 100)):
        for i in range(count):
            write(tmp_path / f"images/{split}/{i:02d}.png", picture(first + i))
            write(tmp_path / f"masks/{split}/{i:02d}.png", mask(first + i, [0, 1, 2, 255]))
    return tmp_path


def config(root: Path, **options) -> DataConfig:
    options = {"classes": CLASSES, "palette": COLORS.tolist(), "ignore": [255], **options}
    return DataConfig(name="Custom", root=str(root), options=options)


def findings(root: Path, splits=("train", "val"), **options):
    return check_splits(config(root, **options), list(splits), progress=False).findings


def test_clean_tree_raises_no_alarm(root):
    assert findings(root) == []


def image_of(root, number=1):
    return root / f"images/train/{number:02d}.png"


def mask_of(root, number=1):
    return root / f"masks/train/{number:02d}.png"


def labels(root):
    return cv2.imread(str(mask_of(root)), cv2.IMREAD_UNCHANGED)


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def replace_mask(root, array, **options):
    Image.fromarray(array).save(mask_of(root), **options)


def colored(root):
    return COLORS[np.where(labels(root) == 255, 0, labels(root))]


def sorted_palette(root):
    """The same picture with the entries of the palette in another order."""
    image = Image.fromarray(np.array([2, 0, 1], np.uint8)[np.where(labels(root) == 255, 0, labels(root))], mode="P")
    image.putpalette(COLORS[[1, 2, 0]].ravel().tolist())
    image.save(mask_of(root))


def turned(path):
    exif = Image.Exif()
    exif[274] = 3
    image = Image.open(path)
    image.load()
    image.save(path, exif=exif)


def turned_sideways(root):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture(1)).save(image_of(root), exif=exif)
    replace_mask(root, labels(root).T.copy())


def all_masks(root, change):
    for path in (root / "masks").rglob("*.png"):
        write(path, change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def from_1(label):
    return np.where(label == 255, 255, label + 1).astype(np.uint8)


def change_case(root):
    mask_of(root).rename(root / "masks/train/O1.png")
    image_of(root).rename(root / "images/train/o1.png")


def swap_folders(root):
    (root / "images").rename(root / "x")
    (root / "masks").rename(root / "images")
    (root / "x").rename(root / "masks")


def two_frames(path):
    first = Image.fromarray(picture(1))
    first.save(path.with_suffix(".tif"), save_all=True, append_images=[Image.fromarray(picture(2))])
    path.unlink()


# name: (what is done to the tree, kinds that must be found and no others, part of the file's name, part of the cause)
FAULTS = {
    "image without mask": (lambda r: mask_of(r).unlink(), {"missing-mask"}, "images/train/01.png", "no mask"),
    "mask without image": (lambda r: image_of(r).unlink(), {"missing-image"}, "masks/train/01.png", "no image"),
    "case of names": (change_case, {"missing-mask", "missing-image"}, "o1.png", "upper and lower case"),
    "suffix of masks": (
        lambda r: [p.rename(p.with_stem(f"{p.stem}_mask")) for p in (r / "masks/train").iterdir()],
        {"missing-mask", "missing-image"},
        "images/train/00.png",
        "'_mask'",
    ),
    "two files of one name": (
        lambda r: write(r / "images/train/01.bmp", picture(50)),
        {"name-clash"},
        "images/train/01.png",
        "suffix",
    ),
    "empty split": (
        lambda r: [shutil.rmtree(r / k / "train") or (r / k / "train").mkdir() for k in ("images", "masks")],
        {"split"},
        "",
        "no images of split 'train'",
    ),
    "absent folder": (lambda r: shutil.rmtree(r / "masks/val"), {"split"}, "", "folder of masks not found"),
    "repeated image": (
        lambda r: shutil.copy(image_of(r, 0), image_of(r)),
        {"duplicate"},
        "images/train/01.png",
        "images/train/00.png",
    ),
    "image of both splits, stored again": (
        lambda r: write(r / "images/val/00.png", picture(2)),
        {"leak"},
        "images/val/00.png",
        "images/train/02.png",
    ),
    "truncated image": (lambda r: cut(image_of(r)), {"damaged-image"}, "images/train/01.png", "truncated"),
    "empty image": (lambda r: image_of(r).write_bytes(b""), {"damaged-image"}, "images/train/01.png", "empty"),
    "web page as image": (
        lambda r: image_of(r).write_text("<html>404</html>"),
        {"damaged-image"},
        "images/train/01.png",
        "not an image",
    ),
    "truncated mask": (lambda r: cut(mask_of(r)), {"damaged-mask"}, "masks/train/01.png", ""),
    "mask linked to its image": (
        lambda r: mask_of(r).unlink() or mask_of(r).symlink_to(image_of(r)),
        {"same-file"},
        "masks/train/01.png",
        "image itself",
    ),
    "folders exchanged": (swap_folders, {"swapped"}, "masks/train/00.png", "holds class ids"),
    "resized mask": (
        lambda r: replace_mask(r, cv2.resize(labels(r), (16, 12), interpolation=cv2.INTER_NEAREST)),
        {"size"},
        "masks/train/01.png",
        "one of them was resized",
    ),
    "mask of another image": (
        lambda r: replace_mask(r, mask(1, [0, 1, 2], (24, 40))),
        {"size"},
        "masks/train/01.png",
        "another image",
    ),
    "transposed mask": (
        lambda r: replace_mask(r, labels(r).T.copy()),
        {"size"},
        "masks/train/01.png",
        "height and width have changed places",
    ),
    "mask drawn on the turned image": (turned_sideways, {"size", "orientation"}, "masks/train/01.png", "EXIF"),
    "image stored upside down": (lambda r: turned(image_of(r)), {"orientation"}, "images/train/01.png", "EXIF"),
    "16-bit image": (
        lambda r: cv2.imwrite(str(image_of(r)), picture(1).astype(np.uint16) * 256),
        {"image-mode"},
        "images/train/01.png",
        "16 bits",
    ),
    "RGBA image": (
        lambda r: Image.fromarray(np.dstack([picture(1), mask(1, [0, 255])])).save(image_of(r)),
        {"image-mode"},
        "images/train/01.png",
        "alpha",
    ),
    "CMYK image": (
        lambda r: [
            Image.fromarray(picture(1)).convert("CMYK").save(image_of(r).with_suffix(".jpg")),
            image_of(r).unlink(),
        ],
        {"image-mode"},
        "images/train/01.jpg",
        "CMYK",
    ),
    "several frames": (lambda r: two_frames(image_of(r)), {"multi-frame"}, "images/train/01.tif", "2 frames"),
    "black image": (
        lambda r: write(image_of(r), np.zeros((24, 32, 3), np.uint8)),
        {"blank-image"},
        "images/train/01.png",
        "(0, 0, 0)",
    ),
    "placeholder of one pixel": (
        lambda r: [write(image_of(r), picture(1, (1, 1))), write(mask_of(r), mask(1, [0], (1, 1)))],
        {"tiny-image"},
        "images/train/01.png",
        "1x1",
    ),
    "colour mask": (
        lambda r: replace_mask(r, colored(r)),
        {"colour-mask"},
        "masks/train/01.png",
        "the colours of the classes",
    ),
    "colours that are no classes": (
        lambda r: replace_mask(r, 255 - colored(r)),
        {"colour-mask"},
        "masks/train/01.png",
        "not the data set's",
    ),
    "ids in three channels": (
        lambda r: replace_mask(r, np.dstack([labels(r)] * 3)),
        {"colour-mask"},
        "masks/train/01.png",
        "same value in all channels",
    ),
    "RGBA mask": (
        lambda r: replace_mask(r, np.dstack([colored(r), np.full((24, 32), 255, np.uint8)])),
        {"colour-mask"},
        "masks/train/01.png",
        "RGBA",
    ),
    "mask with loss": (
        lambda r: replace_mask(r, np.zeros((24, 32), np.uint8), format="JPEG"),
        {"lossy-mask"},
        "masks/train/01.png",
        "JPEG",
    ),
    "palette in another order": (sorted_palette, {"palette-order"}, "masks/train/01.png", "sorted the palette"),
    "label out of range": (
        lambda r: replace_mask(r, mask(1, [0, 1, 7])),
        {"label-range"},
        "masks/train/01.png",
        "7 (",
    ),
    "0/255 mask of grey levels": (
        lambda r: replace_mask(r, mask(1, list(range(200)))),
        {"label-range"},
        "masks/train/01.png",
        "expected class ids 0-2",
    ),
    "instance ids": (
        lambda r: replace_mask(r, mask(1, [0, 1001, 2003], dtype=np.uint16)),
        {"label-range"},
        "masks/train/01.png",
        "2003",
    ),
    "grey levels made visible": (
        lambda r: replace_mask(r, mask(1, [0, 127, 254])),
        {"label-range"},
        "masks/train/01.png",
        "127",
    ),
    "labels that start at 1": (lambda r: all_masks(r, from_1), {"labels-from-1", "label-range"}, "", "no mask holds 0"),
    "mask without labels": (
        lambda r: replace_mask(r, np.full((24, 32), 255, np.uint8)),
        {"empty-mask"},
        "masks/train/01.png",
        "ignored",
    ),
    "all masks black": (lambda r: all_masks(r, np.zeros_like), {"one-class"}, "", "hold 'ground' only"),
    "class that never occurs": (
        lambda r: all_masks(r, lambda label: np.where(label == 2, 0, label)),
        {"absent-class"},
        "",
        "2 (tree)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(root, fault):
    plant, kinds, file, cause = FAULTS[fault]
    plant(root)
    found = findings(root)
    assert {f.kind for f in found} == kinds
    assert any(file in f.file and cause in f.cause for f in found), found
    assert all(f.file and f.cause and f.remedy for f in found)
    assert all(f.split in ("train", "val") for f in found)


def test_two_faults_of_one_sample_are_both_found(root):
    image_of(root).write_text("<html>404</html>")
    replace_mask(root, picture(3))
    assert [f.kind for f in findings(root)] == ["damaged-image", "colour-mask"]


def listed(root, lines):
    (root / "train.txt").write_text("".join(f"images/train/{a}.png masks/train/{b}.png\n" for a, b in lines))
    return findings(root, ["train"], list="{split}.txt")


def test_listed_file_that_does_not_exist(root):
    found = listed(root, [("00", "00"), ("1", "01"), ("02", "02"), ("03", "03")])
    assert [(f.kind, Path(f.file).name) for f in found] == [("missing-file", "1.png")]
    mask_of(root).unlink()
    mask_of(root).symlink_to("gone.png")
    (found,) = listed(root, [("00", "00"), ("01", "01")])
    assert "a link to gone.png" in found.cause


def test_sample_listed_twice(root):
    found = listed(root, [("00", "00"), ("01", "01"), ("00", "00")])
    assert [(f.kind, Path(f.file).name) for f in found] == [("listed-twice", "00.png")]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"classes": ["a", "b", "b"]}, "two classes are named 'b'"),
        ({"palette": [[0, 0, 0], [9, 9, 9], [9, 9, 9]]}, "car, tree have the same colour"),
        ({"ignore": [2, 255]}, "no mask value becomes class 2"),
    ],
)
def test_contradicting_classes(root, options, cause):
    found = [f for f in findings(root, **options) if f.kind == "class-list"]
    assert [cause in f.cause for f in found] == [True]


def test_every_kind_is_planted_somewhere():
    others = {"missing-file", "listed-twice", "class-list", "split-size"}
    assert set().union(*(kinds for _, kinds, _, _ in FAULTS.values())) | others == set(KINDS)


def test_masks_counted_from_0_where_they_start_at_1(tmp_path):
    for split in ("training", "validation"):
        for i in range(2):
            write(tmp_path / f"images/{split}/{i}.jpg", picture(10 * len(split) + i, (48, 48)))
            write(tmp_path / f"annotations/{split}/{i}.png", mask(i, list(range(150)), (48, 48)))
    found = check_splits(DataConfig(name="ADE20K", root=str(tmp_path)), ["train"], progress=False).findings
    assert [f.kind for f in found] == ["split-size", "absent-class"]
    assert "149 (flag)" in found[1].cause and "add 1" in found[1].remedy


def test_threads_find_the_same(root):
    mask_of(root).unlink()
    cut(image_of(root, 2))
    alone, together = (check_splits(config(root), ["train", "val"], n, progress=False) for n in (0, 4))
    assert alone.findings == together.findings and len(alone.findings) == 2
    assert [s.values for s in alone.splits["train"].samples] == [s.values for s in together.splits["train"].samples]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "mhp"])  # its tree lists one file 3000 times
def test_clean_tree_of_each_data_set_raises_no_alarm(form, tmp_path):
    FORMS[form].make(tmp_path)
    data = DataConfig(name=FORMS[form].name, root=str(tmp_path), options=FORMS[form].options)
    found = check_splits(data, list(DATASETS.entry(data.name).meta["splits"]), progress=False).findings
    assert [f for f in found if f.kind != "split-size"] == []  # the trees are tiny


def test_generated_scenes_are_clean(tmp_path, capsys):
    words = ["check-data", "synthetic", "--root", str(tmp_path / "s")]
    assert main([*words, "data.options.train=8", "data.options.val=4", "data.options.size=[64,96]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clean"]


def test_real_camvid_is_clean(shared):
    data = DataConfig(name="CamVid", root=str(shared / "data" / "CamVid"))
    report = check_splits(data, ["val"], progress=False)
    assert report.findings == []
    assert sum(report.splits["val"].balance.pixels) + report.splits["val"].balance.void == 101 * 360 * 480


def words(root, *more):
    return ["check-data", "custom", "--root", str(root), f"data.options.classes={CLASSES}", *more]


def test_command_prints_statistics_and_weights(root, capsys):
    assert main(words(root, "data.options.ignore=[255]")) == 0
    text = capsys.readouterr().out
    assert "nothing wrong was found" in text
    (line,) = (line for line in text.splitlines() if "class_weights" in line)
    assert len(load_config(None, [f"loss.{line.strip().replace(': ', '=')}"]).loss.class_weights) == 3
    rows = [line.split() for line in text.splitlines() if any(f" {c} " in line for c in CLASSES)]
    assert [row[3] for row in rows] == [str(TRAIN)] * 3
    assert sum(float(row[2].rstrip("%")) for row in rows) == pytest.approx(100, abs=0.01)


def test_command_names_files_and_returns_1(root, capsys):
    shutil.rmtree(root / "masks/train")
    (root / "masks/train").mkdir()
    assert main(words(root, "data.options.ignore=[255]")) == 1
    text = capsys.readouterr().out
    assert "[missing-mask]" in text and str(image_of(root, 0)) in text and "remedy:" in text
    assert f"{TRAIN} errors" in text
    assert main(words(root, "data.options.ignore=[255]", "--ignore", "missing-mask", "absent-class")) == 0


def test_command_names_five_files_of_a_kind_or_all(root, capsys):
    for i in range(10, 20):
        write(root / f"masks/train/{i}.png", mask(i, [0]))
    command = words(root, "data.options.ignore=[255]", "--ignore", "absent-class")
    assert main(command) == 1
    assert "... and 5 more" in capsys.readouterr().out
    assert main([*command, "--all"]) == 1
    assert "masks/train/19.png" in capsys.readouterr().out


def test_json_holds_everything(root, capsys):
    cut(mask_of(root))
    assert main(words(root, "data.options.ignore=[255]", "--json", "--weights", "enet")) == 1
    result = json.loads(capsys.readouterr().out)
    (finding,) = result["findings"]
    assert (finding["kind"], finding["level"], finding["split"]) == ("damaged-mask", "error", "train")
    assert finding["file"] == str(mask_of(root)) and finding["cause"] and finding["remedy"]
    train = result["splits"]["train"]
    assert (train["images"], train["masks"], train["sizes"]) == (TRAIN, TRAIN - 1, [[24, 32]])
    assert sum(c["pixels"] for c in train["classes"]) + train["void"] == (TRAIN - 1) * 24 * 32
    assert (result["class_weights"]["method"], len(result["class_weights"]["values"])) == ("enet", 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["data.root=nowhere"], "nowhere"),
        (["--ignore", "empty-masks"], "'empty-mask'"),
        (["--config", "no.yaml"], "no.yaml"),
        (["data.options.klasses=[a]"], "'classes'"),
    ],
)
def test_wrong_use_is_explained_with_code_2(root, more, message, capsys):
    assert main(words(root, *more)) == 2
    assert message in capsys.readouterr().err


def test_mxnet_is_not_imported(root):
    code = f"import sys; from mxnetseg.cli import main; print(main({words(root)!r}), 'mxnet' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1] == "1 False", done.stderr


def test_unknown_split_is_wrong_use(tmp_path, capsys):
    assert main(["check-data", "camvid", "--root", str(tmp_path), "--split", "trian"]) == 2
    assert "'train'" in capsys.readouterr().err


def test_configuration_file_describes_the_data(root, tmp_path, capsys):
    path = tmp_path / "own.yaml"
    path.write_text(f"data: {{name: Custom, root: {root}, options: {{classes: {CLASSES}, ignore: [255]}}}}\n")
    assert main(["check-data", "--config", str(path)]) == 0
    assert main(["check-data", "--config", str(path), "data.options.ignore=[]"]) == 1
    assert "255 usually marks void" in capsys.readouterr().out


def test_balancing_follows_the_papers(root):
    from mxnetseg.tools.checks.balance import Balance, enet_weights, median_frequency_weights

    balance = Balance(pixels=[60, 30, 10, 0], images=[2, 2, 1, 0], visible=[100, 100, 40, 0])
    assert median_frequency_weights(balance) == pytest.approx([0.5, 1.0, 1.2, 1.0])
    assert enet_weights(balance) == pytest.approx([1 / np.log(1.02 + p) for p in (0.6, 0.3, 0.1, 0.0)])
