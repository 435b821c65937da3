"""Training starts only on data that are fit for it; oddities are said."""

from __future__ import annotations

import os

import numpy as np
import pytest
from data.conftest import mask, write
from faults import CLASSES, FAULTS, clean_tree, planted

from mxnetseg.cli import main
from mxnetseg.config import Config, load_config
from mxnetseg.data.base import build_dataset
from mxnetseg.errors import ConfigError, DataError
from mxnetseg.tools import precheck
from mxnetseg.tools.checks.findings import WARNINGS
from mxnetseg.tools.precheck import check_before_training

# Kinds that the loader refuses by itself, in every epoch and without any check.
REFUSED = {"damaged-image", "damaged-mask", "size", "colour-mask", "lossy-mask", "label-range", "same-file", "swapped"}


def whole(data, folder, *overrides) -> Config:
    values = {"data": data.model_dump(mode="json"), "train": {"runs_dir": str(folder / "runs")}}
    return load_config(values, overrides)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_is_silent(fault, tmp_path, capsys):
    data, found = planted(fault, tmp_path / "data")
    _, kinds, file, cause = FAULTS[fault]
    if kinds <= WARNINGS:
        assert check_before_training(whole(data, tmp_path)) == found
        said = capsys.readouterr().err
    else:
        with pytest.raises(DataError, match="not fit for training") as caught:
            check_before_training(whole(data, tmp_path))
        said = str(caught.value)
    assert file in said
    assert cause in said


@pytest.mark.parametrize("fault", [f for f, (_, kinds, _, _) in FAULTS.items() if kinds & REFUSED])
def test_wrong_labels_do_not_pass_the_loader_even_without_the_check(fault, tmp_path):
    data, _ = planted(fault, tmp_path)
    dataset = build_dataset(data, "train")
    with pytest.raises(DataError) as caught:
        for index in range(len(dataset)):
            dataset.read_compact(index)
    assert str(tmp_path) in str(caught.value)


@pytest.fixture
def clean(tmp_path):
    clean_tree(tmp_path / "data")
    options = {"classes": CLASSES, "ignore": [255]}
    return load_config(
        {
            "data": {"name": "Custom", "root": str(tmp_path / "data"), "options": options},
            "train": {"runs_dir": str(tmp_path / "runs")},
        }
    )


@pytest.fixture
def times(monkeypatch):
    calls, original = [], precheck.check_splits
    monkeypatch.setattr(precheck, "check_splits", lambda *a: calls.append(a) or original(*a))
    return calls


def test_data_are_looked_at_once_for_every_state_of_the_files(clean, times, tmp_path):
    path = tmp_path / "data/masks/train/00.png"
    assert check_before_training(clean) == check_before_training(clean) == []
    assert len(times) == 1
    os.utime(path, ns=(1, 1))
    check_before_training(clean)
    assert len(times) == 2
    write(path, np.zeros((24, 32), np.uint8))
    check_before_training(clean)
    assert len(times) == 3
    clean.data.options["ignore"] = [254, 255]
    check_before_training(clean)
    assert len(times) == 4


def test_a_damaged_record_is_made_again(clean, times, tmp_path):
    check_before_training(clean)
    (record,) = (tmp_path / "runs/.checked").iterdir()
    for content in (b"", b"{", b'[{"kind": 3}]', b"\xff"):
        record.write_bytes(content)
        check_before_training(clean)
    assert len(times) == 5


def test_a_folder_that_cannot_be_written_is_said(clean, tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    assert check_before_training(clean) == []
    assert "checked again" in capsys.readouterr().err


def test_the_check_can_be_left_out_and_kinds_allowed(clean, times, tmp_path):
    write(tmp_path / "data/masks/train/00.png", mask(0, [0, 1, 7]))
    with pytest.raises(DataError, match=r"data\.allow=\[label-range\]"):
        check_before_training(clean)
    clean.data.allow = ["label-range"]
    assert check_before_training(clean) == []
    clean.data.allow = ["label-rnage"]
    with pytest.raises(ConfigError, match="'label-range'"):
        check_before_training(clean)
    clean.data.allow, clean.data.check = [], False
    assert check_before_training(clean) == []
    assert len(times) == 1


def test_tolerated_damage_is_left_to_the_loader(clean, tmp_path):
    (tmp_path / "data/images/train/00.png").write_bytes(b"")
    with pytest.raises(DataError, match="damaged-image"):
        check_before_training(clean)
    clean.data.max_bad_samples = 1
    assert check_before_training(clean) == []


def test_training_does_not_begin(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, _ = planted("label out of range", tmp_path / "data")
    (tmp_path / "c.yaml").write_text(whole(data, tmp_path).to_yaml())
    assert main(["train", "--config", "c.yaml", "--ctx", "cpu", "--model", "bisenet"]) == 2
    said = capsys.readouterr().err
    assert "masks/train/01.png" in said and "Traceback" not in said
    assert not (tmp_path / "weights").exists()
