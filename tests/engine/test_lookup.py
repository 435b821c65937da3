"""Finding checkpoints by name and refusing contradicting flags."""

import pytest

from mxnetseg.engine.lookup import find_checkpoint, refuse_contradictions
from mxnetseg.errors import CheckpointError, ConfigError
from mxnetseg.registry import MODELS

FCN, PSP = (MODELS.entry(name).short_name for name in ("fcn", "psp"))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (f"{FCN}/fcn_a_best.params", f"{PSP}/psp_b_best.params", f"{PSP}/fcn_a_best.params"):
        path = tmp_path / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "weights"


def test_paths_and_bare_names(weights):
    assert find_checkpoint(weights / PSP / "psp_b_best.params").exists()
    for name in ("psp_b_best.params", "psp_b_best"):
        assert find_checkpoint(name).name == "psp_b_best.params"


def test_a_name_in_two_folders_is_not_guessed(weights):
    with pytest.raises(CheckpointError, match="several"):
        find_checkpoint("fcn_a_best.params")
    assert find_checkpoint("fcn_a_best.params", "psp").parent.name == PSP


def test_a_misspelt_name_gets_a_suggestion(weights):
    with pytest.raises(CheckpointError, match=r"did you mean 'psp_b_best\.params'"):
        find_checkpoint("psp_b_bets.params")


def test_contradictions_name_both_values():
    recorded = {"model": "PSPNet", "backbone": "resnet18", "dilate": True, "aux": None}
    refuse_contradictions(recorded, {"model": "pspnet", "backbone": None, "dilate": True, "aux": True}, "f")
    with pytest.raises(ConfigError, match=r"resnet50.*resnet18\n.*False.*True"):
        refuse_contradictions(recorded, {"backbone": "resnet50", "dilate": False}, "f")
