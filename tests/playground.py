"""A folder in which documented commands run: small data, pictures, a trained network, a run, exported files."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import tiny
from documentation import ROOT, small

from mxnetseg import cli
from mxnetseg.data.datasets.camvid import CamVid

_LINKED = ("benchmarks", "configs", "demo", "docs", "mxnetseg", "tests", "eval.py", "train.py", "Makefile")


def build(folder: Path) -> dict[str, str]:
    """Fill a folder.

    Returns
    -------
    dict
        What placeholders of the documentation stand for in it.
    """
    for path in [*map(ROOT.joinpath, _LINKED), *ROOT.glob("requirements*.txt")]:
        (folder / path.name).symlink_to(path)
    write_camvid(folder / "dataset" / "CamVid")
    tiny.write_city(folder / "dataset" / "Cityscapes", {"train": 4, "val": 2, "test": 1})
    write_own(folder / "my_data")
    write_pictures(folder)
    run = train(folder)
    return {"<run>": run, "<other>": run, "RUN": run}


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


def _labels(classes: int, seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Blocks of class ids."""
    blocks = np.random.default_rng(seed).integers(0, classes, (6, 8)).astype(np.uint8)
    return cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST)


def _picture(labels: np.ndarray, palette: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 60, (*labels.shape, 3))
    return (palette[labels] * 0.7 + noise).astype(np.uint8)[..., ::-1]


def write_camvid(root: Path, counts: dict[str, int] | None = None) -> None:
    """CamVid's folders and lists with a few small pictures."""
    for split, count in (counts or {"train": 4, "val": 2, "test": 1}).items():
        names = [f"{split}_{i}.png" for i in range(count)]
        for seed, name in enumerate(names, 100 * len(split)):
            labels = _labels(len(CamVid.classes), seed)
            _write(root / "images" / name, _picture(labels, CamVid.palette, seed))
            _write(root / "labels" / name, labels)
        (root / f"{split}.txt").write_text("".join(f"{name} {name}\n" for name in names))


def write_own(root: Path, classes: int = 3) -> None:
    """Images and masks in the two folders that `Custom` reads."""
    palette = np.array([[90, 90, 90], [20, 20, 20], [180, 90, 30]])
    for split, count in {"train": 4, "val": 2}.items():
        for seed in range(count):
            labels = _labels(classes, seed + 10 * len(split))
            _write(root / "images" / split / f"{seed}.png", _picture(labels, palette, seed))
            _write(root / "masks" / split / f"{seed}.png", labels)


def write_pictures(folder: Path) -> None:
    """Pictures to segment."""
    for seed, name in enumerate(("photos/a.jpg", "photos/b.png", "street.jpg")):
        _write(folder / name, _picture(_labels(11, seed), CamVid.palette, seed))


def train(folder: Path) -> str:
    """Train the quickstart's network for two updates; name of the run."""
    words = shlex.split(small("net", "crop", "scenes", "short"))
    assert cli.main(["train", "--config", "synthetic/quickstart", "--ctx", "cpu", *words]) == 0
    (run,) = (folder / "runs").glob("swiftnet_*")
    return run.name


def unfinished(folder: Path) -> dict[str, str]:
    """A run that was stopped after the first of its updates."""
    words = shlex.split(small("net", "crop", "scenes", "short"))
    run = [*words, "train.steps=2", "train.max_steps=1", "log.name=unfinished"]
    assert cli.main(["train", "--config", "synthetic/quickstart", "--ctx", "cpu", *run]) == 0
    (run,) = (folder / "runs").glob("unfinished_*")
    return {"<run>": run.name}


def fcn(folder: Path) -> dict[str, str]:
    """The checkpoint that the README evaluates."""
    path = folder / "weights" / "fcn" / "fcn_resnet18_cityscapes_20261120_101500_best.params"
    tiny.write_checkpoint(path, model="fcn")
    return {}


def refined(folder: Path) -> dict[str, str]:
    """A network and a refinement module."""
    tiny.write_checkpoint(
        folder / "weights" / "ocr" / "network_best.params", "model.backbone=resnet18_quarter", model="fcn"
    )
    tiny.write_refinement(folder / "weights" / "ocr" / "module_best.params")
    return {"<run>": "network", "<refinement>": "module", "IMAGE": "street.jpg"}


def python(folder: Path, run: str) -> dict[str, object]:
    """Names that Python of the documentation takes for granted, and the exported file that it reads."""
    words = [
        "export",
        "--checkpoint",
        f"weights/swiftnet/{run}_best.params",
        "--format",
        "onnx",
        "--raw",
        "--output",
        "labels",
    ]
    assert cli.main([*words, "--out", str(folder)]) == 0
    return {"rgb": np.full((64, 96, 3), 90, np.uint8)}
