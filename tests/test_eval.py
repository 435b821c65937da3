"""The eval command on a tiny data set in the form of Cityscapes."""

import json
import re
import warnings

import cv2
import numpy as np
import pytest
from tiny import SIZE, register, write_checkpoint, write_city, write_refinement

from mxnetseg import cli
from mxnetseg.data.datasets.cityscapes import LABEL_IDS, Cityscapes

README_NAME = "fcn_resnet18_cityscapes_20261120_101500_best.params"
NAME = "tiny_resnet18_cityscapes_20261120_101500_best.params"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    write_city(folder / "dataset" / "Cityscapes", {"val": 3, "test": 2})
    write_checkpoint(folder / "weights" / "tiny" / NAME)
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.delenv("MXNETSEG_DATA", raising=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Cityscapes")
        yield


def run(capsys, *words, checkpoint=NAME):
    code = cli.main(["eval", "--checkpoint", checkpoint, "--ctx", "cpu", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_readme_command(capsys, place):
    """The original README's command, with sizes for the tiny images."""
    write_checkpoint(place / "weights" / "fcn" / README_NAME, model="fcn")
    flags = "--model fcn --backbone resnet18 --data cityscapes --crop 48 --base 24 --mode val --ms --limit 1"
    code, out, err = run(capsys, *flags.split(), checkpoint=README_NAME)
    assert code == 0, err
    assert re.search(r"^road +\d", out, re.M) and "mIoU" in out
    folder = place / "predictions" / "cityscapes" / README_NAME.removesuffix(".params")
    record = json.loads((folder / "val.json").read_text())
    expected = "gluon, long side 24, window 48x48, overlap 0.333, scales 0.75 1 1.25 1.5 1.75 2 2.25, mirrored too"
    assert record["protocol"] == expected and expected in out
    assert record["images"] == 1 and record["data"] == "Cityscapes" and record["split"] == "val"
    assert record["eval"]["flip"] is True
    for picture in ("val_confusion.png", "val_classes.png"):
        assert cv2.imread(str(folder / picture)) is not None


def test_augmented_test_as_mmsegmentation(capsys, tmp_path):
    _, out, _ = run(capsys, "--save-dir", tmp_path, "--protocol", "mmseg", "--base", 48, "--aug-test")
    assert "mmseg, long side 48, scales 0.5 0.75 1 1.25 1.5 1.75, mirrored too" in out
    assert re.search(r"mFscore +\d", out)


def test_nothing_typed_means_the_checkpoint_s_protocol(capsys, tmp_path):
    _, out, _ = run(capsys, "--save-dir", tmp_path, "--json")
    record = json.loads(out)
    assert record["protocol"] == "whole, image size, scales 1, not mirrored"
    assert sum(map(sum, record["confusion"])) == record["pixels"] == 3 * (SIZE[0] - 4) * SIZE[1]
    names = [row["class"] for row in record["per_class"]]
    assert names == list(Cityscapes.classes)
    assert record == json.loads((tmp_path / "val.json").read_text())


@pytest.mark.parametrize(
    ("words", "protocol"),
    [
        (("--protocol", "slide", "--overlap", "0.5"), "slide, image size, window 48x48, overlap 0.5"),
        (("--protocol", "whole", "--scales", "0.5", "1", "--flip"), "whole, image size, scales 0.5 1, mirrored too"),
        (("--crop", "32x64"), "gluon, long side 96, window 32x64"),
        (("--crop", "40", "eval.overlap=0.25"), "gluon, long side 96, window 40x40, overlap 0.25"),
        (("eval.protocol=slide",), "slide, image size, window 48x48"),
    ],
)
def test_protocol_flags(capsys, tmp_path, words, protocol):
    code, out, err = run(capsys, "--save-dir", tmp_path, "--json", "--limit", 1, *words)
    assert code == 0, err
    record = json.loads(out)
    assert record["protocol"].startswith(protocol)
    assert record["images"] == 1


@pytest.mark.parametrize(
    ("words", "both"),
    [
        (("--backbone", "resnet50"), ("resnet50", "resnet18")),
        (("--model", "fcn"), ("FCNResNet", "Tiny")),
        (("--protocol", "whole", "--scales", "48-24,96-48"), ("--protocol whole with the sizes of a progression",)),
        (("--dilate",), ("True", "False")),
        (("--aux",), ("True", "False")),
    ],
)
def test_contradictions_are_errors_with_both_values(capsys, words, both):
    code, _, err = run(capsys, *words)
    assert code == 2
    assert all(value in err for value in both)


def test_other_classes_are_an_error_with_both_data_sets(capsys, shared):
    code, _, err = run(capsys, "--data", "camvid", "--data-root", shared / "data" / "CamVid")
    assert code == 2 and "Cityscapes" in err and "CamVid" in err


def test_test_mode_writes_colours_and_refuses_a_submission_of_another_size(capsys, tmp_path, monkeypatch):
    code, out, _ = run(capsys, "--mode", "test", "--save-dir", tmp_path)
    assert code == 0 and "mIoU" not in out and "protocol: whole" in out
    color = cv2.imread(str(next((tmp_path / "color").rglob("*.png"))))[..., ::-1]
    assert color.shape[:2] == SIZE
    assert {tuple(c) for c in color.reshape(-1, 3)} <= {tuple(c) for c in Cityscapes.palette}
    assert len(list((tmp_path / "color").rglob("*.png"))) == 2
    assert json.loads((tmp_path / "test.json").read_text())["protocol"].startswith("whole")
    code, _, err = run(capsys, "--mode", "test", "--submission", "--save-dir", tmp_path)
    assert code == 2 and "48x96" in err and "1024x2048" in err
    monkeypatch.setattr(Cityscapes, "submission_size", SIZE)
    code, _, err = run(capsys, "--mode", "test", "--submission", "--save-dir", tmp_path)
    written = tmp_path / "submission" / "aachen_000000_000019_pred_labelIds.png"
    assert code == 0 and set(np.unique(cv2.imread(str(written), cv2.IMREAD_UNCHANGED))) <= set(LABEL_IDS)


def test_testval_mode_writes_colours_overlays_and_scores(capsys, tmp_path):
    code, out, _ = run(capsys, "--mode", "testval", "--save-dir", tmp_path, "--limit", 2)
    assert code == 0 and "mIoU" in out
    assert len(list((tmp_path / "color").rglob("*.png"))) == len(list((tmp_path / "overlay").rglob("*.png"))) == 2
    overlay = cv2.imread(str(next((tmp_path / "overlay").rglob("*.png"))))
    assert overlay.shape[0] == SIZE[0] and overlay.shape[1] > SIZE[1], "the legend is beside"
    assert json.loads((tmp_path / "testval.json").read_text())["mIoU"] is not None
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") == 2 * 4 and "Confusion matrix" in page and "crop_size: 48" in page


def test_a_missing_checkpoint_or_data_set_is_explained(capsys):
    assert cli.main(["eval", "--checkpoint", NAME.replace("best", "bset")]) == 2
    assert NAME in capsys.readouterr().err
    assert cli.main(["eval"]) == 2
    assert "--checkpoint" in capsys.readouterr().err
    code, _, err = run(capsys, "--data-root", "nowhere")
    assert code == 2 and "nowhere" in err


def test_a_split_without_masks_cannot_be_scored(capsys):
    code, _, err = run(capsys, "--split", "test")
    assert code == 2 and "no masks" in err and "--mode test" in err


def test_speed_states_its_protocol(capsys, tmp_path):
    words = ("--purpose", "speed", "--crop", "64x96", "--warmup", 1, "--iterations", 3)
    code, out, _ = run(capsys, *words, "--json", "--save-dir", tmp_path)
    result = json.loads(out)
    assert code == 0 and result == json.loads((tmp_path / "speed.json").read_text())
    latency = result["latency_ms"]
    assert 0 < latency["p5"] <= latency["median"] <= latency["p95"]
    assert result["fps"] == pytest.approx(1e3 / latency["median"])
    assert result["protocol"]["input"] == [1, 3, 64, 96] and result["protocol"]["iterations"] == 3
    assert result["macs"] > 1e5 and result["parameters"] > 100
    code, out, _ = run(capsys, *words)
    assert code == 0 and "warm-up" in out and "threads" in out


def test_speed_of_a_network_without_weights(capsys):
    register()
    words = ["eval", "--purpose", "speed", "--model", "tiny", "--crop", "64", "--warmup", "1", "--iterations", "2"]
    assert cli.main([*words, "--no-aux", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["weights"] == "random weights" and result["protocol"]["input"] == [1, 3, 64, 64]
    assert cli.main(["eval", "--purpose", "speed"]) == 2
    assert "--model" in capsys.readouterr().err


def test_progressive_refinement(capsys, tmp_path):
    """Coarse and refined scores, panels, and the settings in the record."""
    module = write_refinement(tmp_path / "refinement.params")
    words = ["--scales", "48-24,96-48", "--n_points", "0.9", "--n_patches", "2", "--save_pred", "--boundary"]
    code, out, err = run(capsys, *words, "--pretrained_refinement", module, "--save-dir", tmp_path)
    assert code == 0, err
    record = json.loads((tmp_path / "val.json").read_text())
    assert record["protocol"].startswith("progressive, scales 24x48 48x96, patches 24x48, 2 refined per scale")
    coarse, refined = record["coarse"]["mIoU"], record["mIoU"]
    assert coarse != refined and f"coarse mIoU {100 * coarse:.2f}, refined mIoU {100 * refined:.2f}" in out
    assert 0 < record["coarse"]["mBIoU"] < 1 and 0 < record["mBF"] < 1 and "refined mBIoU" in out
    assert re.search(r"^class +IoU +Acc +precision +BIoU +BF +pixels", out, re.M)
    assert {"BIoU", "BF"} <= set(record["per_class"][0])
    assert record["eval"]["refine"]["scales"] == [[24, 48], [48, 96]]
    panels = sorted((tmp_path / "panels").rglob("*.png"))
    assert len(panels) == 3 and cv2.imread(str(panels[0])).shape == (512, 4 * 1024 + 30, 3)
    code, out, _ = run(capsys, *words[:2], "--n_patches", "0", "--save-dir", tmp_path / "coarse", "--json")
    assert json.loads(out)["mIoU"] == coarse
