"""Faults planted in a data set, what finds them, and the table of them in the documentation.

``python tests/tools/faults.py`` (with the package on the path) writes ``docs/data_faults.md``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.conftest import mask, picture, write

from mxnetseg.config import DataConfig
from mxnetseg.tools.checks import KINDS, Finding, check_splits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data_faults.md"
CLASSES = ["ground", "car", "tree"]
COLORS = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], np.uint8)
TRAIN, VAL = 4, 3


def clean_tree(root: Path) -> Path:
    """Clean pairs of three classes, void 255."""
    for split, count, first in (("train", TRAIN, 0), ("val", VAL, 100)):
        for i in range(count):
            write(root / f"images/{split}/{i:02d}.png", picture(first + i))
            write(root / f"masks/{split}/{i:02d}.png", mask(first + i, [0, 1, 2, 255]))
    return root


def config(root: Path, **options) -> DataConfig:
    options = {"classes": CLASSES, "palette": COLORS.tolist(), "ignore": [255], **options}
    return DataConfig(name="Custom", root=str(root), options=options)


def findings(root: Path, splits=("train", "val"), **options):
    return check_splits(config(root, **options), list(splits), progress=False).findings


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


def write_lists(root, lines):
    for split, pairs in {"train": lines, "val": [("00", "00"), ("01", "01"), ("02", "02")]}.items():
        text = "".join(f"images/{split}/{a}.png masks/{split}/{b}.png\n" for a, b in pairs)
        (root / f"{split}.txt").write_text(text)


def link_to_nothing(root):
    mask_of(root).unlink()
    mask_of(root).symlink_to("gone.png")
    write_lists(root, [("00", "00"), ("01", "01")])


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
    "listed file that does not exist": (
        lambda r: write_lists(r, [("00", "00"), ("1", "01"), ("02", "02"), ("03", "03")]),
        {"missing-file"},
        "images/train/1.png",
        "does not exist",
    ),
    "link to nothing": (link_to_nothing, {"missing-file"}, "masks/train/01.png", "a link to gone.png"),
    "sample listed twice": (
        lambda r: write_lists(r, [("00", "00"), ("01", "01"), ("00", "00")]),
        {"listed-twice"},
        "images/train/00.png",
        "more than once",
    ),
    "two classes of one name": (lambda r: None, {"class-list"}, "", "two classes are named 'b'"),
    "two classes of one colour": (lambda r: None, {"class-list"}, "", "car, tree have the same colour"),
    "class that is ignored": (
        lambda r: None,
        {"class-list", "absent-class"},
        "",
        "no mask value becomes class 2",
    ),
}
# Faults that lie in the description of the data.
OPTIONS = {
    "listed file that does not exist": {"list": "{split}.txt"},
    "link to nothing": {"list": "{split}.txt"},
    "sample listed twice": {"list": "{split}.txt"},
    "two classes of one name": {"classes": ["a", "b", "b"]},
    "two classes of one colour": {"palette": [[0, 0, 0], [9, 9, 9], [9, 9, 9]]},
    "class that is ignored": {"ignore": [2, 255]},
}


def planted(fault: str, root: Path) -> tuple[DataConfig, list[Finding]]:
    """A tree with a fault: how it is described, and what is found in it."""
    FAULTS[fault][0](clean_tree(root))
    data = config(root, **OPTIONS.get(fault, {}))
    return data, check_splits(data, ["train", "val"], progress=False).findings


def page() -> str:
    """The table of all faults."""
    rows = [
        "# Faults in data",
        "",
        "What `mxnetseg check-data` finds, and what training does about it. Every row is planted in a data set by the",
        "tests, which also write this table from what is then printed (`python tests/tools/faults.py`). An error stops",
        "training before its first step, a warning is printed; `data.allow=[kind]` takes a kind as meant to be so.",
        "",
        "| fault | kind | level | file | what is said | remedy |",
        "|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            found = next(f for f in planted(fault, Path(folder))[1] if _is_meant(fault, f))
            cells = [fault, f"`{found.kind}`", found.level, found.file, found.cause, found.remedy]
            rows.append("| " + " | ".join(c.replace(folder, "DATA").replace("|", "/") for c in cells) + " |")
    planted_kinds = set().union(*(kinds for _, kinds, _, _ in FAULTS.values()))
    others = "; ".join(f"`{kind}` ({KINDS[kind]})" for kind in KINDS if kind not in planted_kinds)
    return "\n".join([*rows, "", f"Further kinds: {others}.", ""])


def _is_meant(fault: str, finding: Finding) -> bool:
    _, kinds, file, cause = FAULTS[fault]
    return finding.kind in kinds and file in finding.file and cause in finding.cause


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
