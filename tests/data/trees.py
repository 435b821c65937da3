"""Small trees in the folder form of every public data set, with the mask values they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .conftest import mask, picture, write

Splits = dict[str, list[tuple[Path, np.ndarray | None]]]
CITY_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
DEEPGLOBE = [(0, 0, 0), (0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def keep(raw: np.ndarray) -> np.ndarray:
    """Family A: masks hold training ids, nothing is ignored."""
    return raw.astype(int)


def shift(raw: np.ndarray) -> np.ndarray:
    """Family B: 0 is ignored, classes start at 1."""
    return raw.astype(int) - 1


def void(*values: int) -> Callable[[np.ndarray], np.ndarray]:
    """Family C: single values are ignored."""
    return lambda raw: np.where(np.isin(raw, values), -1, raw.astype(int))


def city(raw: np.ndarray) -> np.ndarray:
    """Family D: the label ids of Cityscapes."""
    return np.array([CITY_IDS.index(v) if v in CITY_IDS else -1 for v in range(34)])[raw]


@dataclass(frozen=True)
class Form:
    """A data set, the writer of a tree of it, the rule from mask values to training ids."""

    name: str
    make: Callable[[Path], Splits]
    rule: Callable[[np.ndarray], np.ndarray]
    options: dict[str, int] = field(default_factory=dict)


class _Writer:
    """Writes pairs of different pictures below a folder."""

    def __init__(self, root: Path, values: Sequence[int]):
        self.root, self.values, self.count = root, list(values), 0

    def image(self, name: str) -> tuple[Path, None]:
        self.count += 1
        return write(self.root / name, picture(self.count)), None

    def pair(self, image: str, label: str) -> tuple[Path, np.ndarray]:
        path, _ = self.image(image)
        raw = mask(self.count, self.values)
        write(self.root / label, raw)
        return path, raw

    def lines(self, name: str, lines: Sequence[str], end: str = "\n") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + end for line in lines).encode())


def listed(
    values: Sequence[int],
    image: str,
    label: str,
    lists: dict[str, str],
    line: str = "{}",
    same: dict[str, str] | None = None,
) -> Callable[[Path], Splits]:
    """Writer of a tree whose splits (split: list file) name pairs; `same` are further names of splits."""

    def make(root: Path) -> Splits:
        out, splits = _Writer(root, values), {}
        for number, (split, path) in enumerate(lists.items()):
            names = [f"{number}_{i}" for i in (2, 0, 1)][: 3 - number % 2]
            splits[split] = [out.pair(image.format(n, split), label.format(n, split)) for n in names]
            out.lines(path, [line.format(n, n) for n in names])
        return splits | {new: splits[old] for new, old in (same or {}).items()}

    return make


def folders(
    values: Sequence[int], image: str, label: str, names: dict[str, str], test: str | None = None
) -> Callable[[Path], Splits]:
    """Writer of a tree whose splits (split: folder) are folders."""

    def make(root: Path) -> Splits:
        out = _Writer(root, values)
        splits: Splits = {
            split: [out.pair(image.format(i, folder), label.format(i, folder)) for i in range(3 - number % 2)]
            for number, (split, folder) in enumerate(names.items())
        }
        if test:
            splits["test"] = [out.image(image.format(i, test)) for i in range(2)]
        return splits

    return make


def joined(make: Callable[[Path], Splits]) -> Callable[[Path], Splits]:
    """Tree of `make`; ``trainval`` is train followed by val."""

    def made(root: Path) -> Splits:
        splits = make(root)
        return splits | {"trainval": splits["train"] + splits["val"]}

    return made


def cityscapes(kind: str, values: Sequence[int]) -> Callable[[Path], Splits]:
    image = "leftImg8bit/{1}/ulm/ulm_00000{0}_000019_leftImg8bit.png"
    label = f"gtFine/{{1}}/ulm/ulm_00000{{0}}_000019_gtFine_{kind}.png"
    return joined(folders(values, image, label, {"train": "train", "val": "val"}, "test"))


def citycoarse(root: Path) -> Splits:
    out = _Writer(root, range(34))
    place = "ulm/ulm_00000{}_000019"
    parts = {"train": ("train_extra", "gtCoarse"), "val": ("val", "gtFine")}
    return {
        split: [
            out.pair(
                f"leftImg8bit/{part}/{place.format(i)}_leftImg8bit.png",
                f"{kind}/{part}/{place.format(i)}_{kind}_labelIds.png",
            )
            for i in range(2)
        ]
        for split, (part, kind) in parts.items()
    }


def pascal_voc(root: Path) -> Splits:
    out = _Writer(root, [*range(21), 255])
    splits: Splits = {
        split: [out.pair(f"JPEGImages/{s}.jpg", f"SegmentationClass/{s}.png") for s in stems]
        for split, stems in {"train": "bca", "val": "ed"}.items()
    }
    splits["trainval"] = splits["train"] + splits["val"]
    splits["test"] = [out.image(f"JPEGImages/{s}.jpg") for s in "fg"]
    for split, pairs in splits.items():
        out.lines(f"ImageSets/Segmentation/{split}.txt", [p.stem for p, _ in pairs], "\r\n")
    return splits


def pascal_voc_aug(root: Path) -> Splits:
    out = _Writer(root, [*range(21), 255])
    pairs = {s: out.pair(f"img_aug/{s}.jpg", f"cls_aug/{s}.png") for s in "abcdef"}
    stems = {"train": "abc", "val": "de", "train_aug": "abcf", "trainval_aug": "abcfde"}
    for split, names in stems.items():
        out.lines(f"{split}.txt", [f"{s}.jpg {s}.png" for s in names], "\r\n")
    return {split: [pairs[s] for s in names] for split, names in stems.items()}


def mapillary(names: dict[str, str], test: str) -> Callable[[Path], Splits]:
    form = folders(range(66), "{1}/images/m{0}.jpg", "{1}/labels/m{0}.png", names, test)
    return joined(form)


def mhp(root: Path) -> Splits:
    """All of the 4000 listed images are one file, so that the official numbers are met."""
    out = _Writer(root, range(19))
    pairs = {n: out.pair(f"images/{n}.jpg", f"labels/{n}.png") for n in ("1", "10", "2")}
    out.lines("train_list.txt", ["1.jpg"] * 3000 + ["10.jpg"] * 1000)
    out.lines("test_list.txt", ["2.jpg"] * 980)
    return {"train": [pairs["1"]] * 3000, "val": [pairs["10"]] * 1000, "test": [pairs["2"]] * 980}


def mscoco(root: Path) -> Splits:
    out = _Writer(root, range(21))
    splits = {
        split: [out.pair(f"{part}/{n:012d}.jpg", f"masks/{part}/{n:012d}.png") for n in numbers]
        for split, part, numbers in (("train", "train2017", (9, 25, 30)), ("val", "val2017", (139, 285)))
    }
    splits["val_filtered"] = splits["val"][1:]
    for split, pairs in splits.items():
        out.lines(f"{split}.txt", [p.name for p, _ in pairs])
    return splits


def deepglobe(root: Path) -> Splits:
    splits: Splits = {}
    for number, split in enumerate(("train", "val", "test")):
        image = write(root / f"land-train/{number}_sat.jpg", picture(number))
        raw = mask(number, range(7))
        write(root / f"land-train/{number}_mask.png", np.array(DEEPGLOBE, np.uint8)[raw])
        _Writer(root, ()).lines(f"list/{split}.txt", [f"land-train/{number}_sat.jpg\tland-train/{number}_mask.png"])
        splits[split] = [(image, raw)]
    return splits


def segnet(root: Path) -> Splits:
    """CamVid as SegNet distributes it: lists of two absolute paths of their author's machine."""
    out = _Writer(root, range(12))
    splits: Splits = {}
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        names = [(f"{split}/{i}.png", f"{split}annot/{i}.png") for i in range(count)]
        splits[split] = [out.pair(*n) for n in names]
        out.lines(f"{split}.txt", [f"/SegNet/CamVid/{i} /SegNet/CamVid/{m}" for i, m in names])
    return splits | {"trainval": splits["train"] + splits["val"]}


PLAIN = {"train": "train.txt", "val": "val.txt"}
TEST_ONLY = {"train": "train.txt", "val": "test.txt"}
CAMVID = {"train": "train.txt", "val": "val.txt", "test": "test.txt"}

FORMS = {
    "ade": Form(
        "ADE20K",
        folders(
            range(151),
            "images/{1}/ADE_{0}.jpg",
            "annotations/{1}/ADE_{0}.png",
            {"train": "training", "val": "validation"},
            "testing",
        ),
        shift,
    ),
    "aeroscapes": Form(
        "Aeroscapes",
        listed(
            range(12),
            "JPEGImages/{}.jpg",
            "SegmentationClass/{}.png",
            {"train": "ImageSets/trn.txt", "val": "ImageSets/val.txt"},
        ),
        keep,
    ),
    "bdd": Form(
        "BDD100K",
        folders(
            [*range(19), 255],
            "images/{1}/b{0}.jpg",
            "labels/{1}/b{0}_train_id.png",
            {"train": "train", "val": "val"},
            "test",
        ),
        void(255),
    ),
    "camvid": Form(
        "CamVid",
        joined(listed([*range(12), 255], "images/{}.png", "labels/{}_L.png", CAMVID, "{0}.png {0}_L.png")),
        void(11, 255),
    ),
    "camvid-mlmsnet": Form(
        "CamVid",
        joined(
            listed(
                [*range(11), 255],
                "CamVid_RGB/{}.png",
                "CamVidGray/{}_L.png",
                {s: f"camvid_{s}.txt" for s in ("train", "val", "test")},
                "CamVid_RGB/{0}.png CamVidGray/{0}_L.png",
            )
        ),
        void(255),
    ),
    "camvid-segnet": Form("CamVid", segnet, void(11)),
    "citycoarse": Form("CityCoarse", citycoarse, city),
    "cityscapes": Form("Cityscapes", cityscapes("labelIds", range(34)), city),
    "cityscapes-trainids": Form("Cityscapes", cityscapes("labelTrainIds", [*range(19), 255]), void(255)),
    "cocostuff": Form(
        "COCOStuff",
        listed(
            range(183),
            "images/{}.jpg",
            "labels/{}.png",
            {"train": "imageLists/train.txt", "val": "imageLists/test.txt"},
            same={"test": "val"},
        ),
        shift,
    ),
    "deepglobe": Form("DeepGlobe", deepglobe, keep),
    "gatech": Form(
        "GATECH",
        listed(
            range(9), "images/{}.jpg", "labels/{}.png", TEST_ONLY | {"test_all": "test_all.txt"}, same={"test": "val"}
        ),
        shift,
    ),
    "mapillary": Form("Mapillary", mapillary({"train": "train", "val": "val"}, "test"), void(65)),
    "mapillary-published": Form(
        "Mapillary", mapillary({"train": "training", "val": "validation"}, "testing"), void(65)
    ),
    "mhp": Form("MHPv1", mhp, shift, {"short_edge": 0}),
    "mscoco": Form("MSCOCO", mscoco, keep),
    "nyuv2": Form("NYUv2", listed(range(41), "images/{}.png", "labels40/{}.png", PLAIN), shift),
    "nyuv2-jpeg": Form("NYUv2", listed(range(41), "images/{}.jpg", "labels40/{}.png", PLAIN), shift),
    "pascalcontext": Form("PascalContext", listed(range(60), "JPEGImages/{}.jpg", "Labels_59/{}.png", PLAIN), shift),
    "potsdam": Form(
        "Potsdam",
        folders(range(7), "img_dir/{1}/{0}.png", "ann_dir/{1}/{0}.png", {"train": "train", "val": "val"}),
        shift,
    ),
    "sbd": Form(
        "SBD",
        joined(listed(range(21), "img/{}.jpg", "cls_png/{}.png", PLAIN)),
        keep,
    ),
    "siftflow": Form("SiftFlow", listed(range(34), "images/{}.jpg", "labels/{}.png", PLAIN), shift),
    "stanford": Form(
        "StanfordBackground",
        listed([*range(8), 255], "images/{}.jpg", "labels/{}.png", {"train": "trainList.txt", "val": "evalList.txt"}),
        void(255),
    ),
    "sunrgbd": Form(
        "SUNRGBD",
        listed(range(38), "images/k/{}.jpg", "labels/{}.png", TEST_ONLY, "k/{0}.jpg {0}.png", same={"test": "val"}),
        shift,
    ),
    "vaihingen": Form(
        "Vaihingen",
        folders(range(7), "img_dir/{1}/{0}.png", "ann_dir/{1}/{0}.png", {"train": "train", "val": "val"}),
        shift,
    ),
    "voc": Form("PascalVOC", pascal_voc, void(255)),
    "vocaug": Form("PascalVOCAug", pascal_voc_aug, void(255)),
    "weizmann": Form("WeizmannHorses", listed([0, 1], "horse/{}.jpg", "mask/{}.png", PLAIN, "{}.jpg"), keep),
    "weizmann-255": Form(
        "WeizmannHorses", listed([0, 255], "horse/{}.png", "mask/{}.png", PLAIN), lambda raw: (raw > 0).astype(int)
    ),
}
