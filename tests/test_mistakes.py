"""What users type wrong ends with a message: what was found, what was expected, what to do; never with a traceback."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import yaml
from PIL import Image

from mxnetseg import cli

ROOT = Path(__file__).resolve().parent.parent
MISTAKES: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that are not what the command lines take them for, and a few good ones."""
    root = tmp_path_factory.mktemp("mistakes")
    texts = {
        "wrong_key.yaml": "optimizer: {lrr: 1}",
        "wrong_value.yaml": "optimizer: {lr: fast}",
        "not_yaml.yaml": "a: [1",
        "list.yaml": "- 1",
        "itself.yaml": "_base_: itself.yaml",
        "no_base.yaml": "_base_: nowhere.yaml",
        "empty.params": "",
        **dict.fromkeys(("broken.state", "broken.params", "text.txt", "text.pth"), "hello\n"),
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (root / "emptyfolder").mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / "picture.png")
    tiny.write_checkpoint(root / "tiny.params")
    tiny.write_city(root / "city", {"train": 2, "val": 2, "test": 1})
    return root


@pytest.fixture
def inside(folder, monkeypatch):
    """Commands run in that folder; none of them may begin to train."""
    from mxnetseg.engine.trainer import Trainer

    monkeypatch.chdir(folder)
    monkeypatch.delenv("MXNETSEG_DATA", raising=False)
    monkeypatch.setattr(Trainer, "fit", lambda self: pytest.fail("training began"))


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _check(line: str, code: int, error: str) -> None:
    assert code == 2, error
    assert "Traceback" not in error
    assert re.search(r"^error: (?!unexpected)", error, re.M), error
    assert re.search(r"^  (expected: |remedy:   )\S", error, re.M), error
    for fragment in MISTAKES[line]:
        assert fragment in _squeeze(error)


@pytest.mark.parametrize("line", MISTAKES)
def test_mistake_is_explained(line, inside, capsys):
    code = cli.main(shlex.split(line))
    _check(line, code, capsys.readouterr().err)


def test_there_are_a_hundred_of_every_command():
    assert len(MISTAKES) >= 100
    assert {line.split()[0] for line in MISTAKES} >= cli.COMMANDS.keys()


@pytest.mark.parametrize("line", ["trian --model fcn", "eval --checkpoint broken.params", "train optimizer.name=sdg"])
def test_the_same_in_a_process(line, folder):
    command = [sys.executable, "-m", "mxnetseg", *shlex.split(line)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    _check(line, done.returncode, done.stderr)
