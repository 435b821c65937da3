"""Each tutorial is followed from its first line to its last, in a copy of the repository, on less data.

A block after "Save this as `FILE`:" becomes that file; other Python blocks and every line of a shell block are run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tiny
from documentation import ROOT, TABLE, environment, lines

pytestmark = pytest.mark.slow

FOLDER = ROOT / "docs" / "tutorials"
_BLOCK = re.compile(
    r"(?:Save this as `(\S+)`:\n\n)?^```(python|yaml|shell)\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.M | re.S
)
# What is made smaller, or cannot run here.
SMALLER = {
    'range(160), "val": range(160, 184)': 'range(12), "val": range(160, 164)',
    "val/184": "val/164",
    "train: {epochs: 10, batch_size: 8}": "train: {epochs: 2, batch_size: 4}\nlog: {images: 1}",
    "--ctx 0 1": "--ctx cpu0 cpu1 train.max_steps=1",
    "train=160 data.options.val=24 train.epochs=4": "train=8 data.options.val=2 train.epochs=1 data.allow=[split-size]",
    "--size 256x512": "--size 64x128 --iterations 2 --warmup 1",
    "--size 96x192": "--size 64x96 --iterations 2 --warmup 1",
    "--precision int8": "--limit 4 --precision int8",
    "eval --checkpoint weights/ocr/": "eval --limit 1 --scales 32-16,64-32,128-64,256-128 --crop_size 32 16 "
    "--input_size 32 16 --checkpoint weights/ocr/",
    "--protocol mfaranet": "--limit 1 --crop 96 --protocol mfaranet",
    "check-data cityscapes": "check-data cityscapes --ignore split-size absent-class",
}
SKIPPED = tuple(TABLE["not_followed"])
# What other pages have made before: beginnings of steps of own_data.md.
BEFORE = {"several_devices.md": ("file", "python"), "deploy_onnx.md": ("file", "python", "mxnetseg train")}
# Official cases whose tensors stand for the files that are converted.
OFFICIAL = {
    "MFARANet_resnet_18_deep_stem_cityscapes_2GPU_train_lr_005_batch_14_200_200.pth": (
        "mfaranet__MFARANet__resnet18_deep_stem__c19_128x128"
    ),
    "fcn_resnet18_cityscapes_best.params": "mxnetseg__FCNResNet__resnet18__nc19_96x96_os32_noaux",
    "mlms_s.pth": "mlmsnet__MLMSNet__mnv3large_w100__small_c19_97x161",
    "mlcrnet_r50-d16_512x512+80k_potsdam.pth": "mlcrnet__mlcrnet__r50-d16__6c_128x128",
    "cityscapes_hrnet.pth": "magnet__hrnet__w18-ocr__19c_64x128",
    **{f"cityscapes_refinement_{size}.pth": "magnet__refine__bn__19c_32x64" for size in (512, 1024, 2048)},
}


class Step(NamedTuple):
    """A file to write, a Python block, or a command with the errors that the page shows after it."""

    kind: str
    text: str
    name: str = ""
    errors: tuple[str, ...] = ()


def steps(page: str) -> Iterator[Step]:
    """What a reader does, in order."""
    for name, language, body, shown in _BLOCK.findall((FOLDER / page).read_text(encoding="utf-8")):
        for old, new in SMALLER.items():
            body = body.replace(old, new)
        if name:
            yield Step("file", body, name)
        elif language == "shell":
            *first, last = [line for line in lines(body) if not line.startswith(SKIPPED)] or [":"]
            yield from (Step("shell", line) for line in first)
            yield Step("shell", last, errors=tuple(re.findall(r"^error: .*", shown, re.M)))
        else:
            yield Step("python", body)


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository in which a tutorial is followed."""
    for name in ("mxnetseg", "configs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "eval.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tiny.write_city(tmp_path / "dataset" / "Cityscapes", {"train": 2, "val": 2})
    return tmp_path


def follow(step: Step, folder: Path) -> None:
    """Do a step; fail as it does."""
    if step.kind == "file":
        (folder / step.name).write_text(step.text)
        return
    runs = sorted((folder / "runs").glob("*/log.jsonl"), key=lambda path: path.stat().st_mtime)
    text = step.text.replace("<run>", runs[-1].parent.name if runs else "<run>")
    place = folder / "elsewhere" if "from runtime" in text else folder
    words = ["bash", "-c", text] if step.kind == "shell" else [sys.executable, "-c", text]
    env = environment(folder)
    done = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, timeout=1200, check=False)
    print("$", text, done.stdout, done.stderr, sep="\n")
    assert done.returncode == (1 if step.errors else 0)
    assert all(error in done.stdout for error in step.errors)


@pytest.mark.parametrize("page", sorted(path.name for path in FOLDER.glob("*.md") if list(steps(path.name))))
def test_page_can_be_followed(page, copy, request):
    if page == "reproduce.md":
        write_official(copy / "official", request.getfixturevalue("harness"))
    for step in steps("own_data.md"):
        if page in BEFORE and (step.kind in BEFORE[page] or step.text.startswith(BEFORE[page])):
            follow(step, copy)
    for step in steps(page):
        follow(step, copy)


def write_official(folder: Path, harness) -> None:
    """Files in the form of the original programs' ones."""
    import mxnet as mx
    from convert.files import torch_zip

    folder.mkdir()
    for name, case in OFFICIAL.items():
        state = official_state(harness, case)
        if name.endswith(".params"):
            mx.nd.save(str(folder / name), {key: mx.nd.array(value) for key, value in state.items()})
        else:
            (folder / name).write_bytes(torch_zip({"epoch": 200, "state_dict": state}))


def official_state(harness, case: str) -> dict[str, np.ndarray]:
    """Generated values under the official names."""
    path = Path(harness.__file__).with_name(f"{case}.json")
    return {name: harness.formula.tensor(name, shape) for name, shape in json.loads(path.read_text())["tensors"]}
