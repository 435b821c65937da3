"""Every planted fault is found with its file; clean data raise no alarm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.conftest import mask, picture, write
from data.trees import FORMS
from faults import (
    CLASSES,
    FAULTS,
    PAGE,
    TRAIN,
    clean_tree,
    config,
    cut,
    findings,
    image_of,
    mask_of,
    page,
    planted,
    replace_mask,
)

from mxnetseg.cli import main
from mxnetseg.config import DataConfig, load_config
from mxnetseg.registry import DATASETS
from mxnetseg.tools.checks import KINDS, check_splits


@pytest.fixture
def root(tmp_path) -> Path:
    return clean_tree(tmp_path)


def test_clean_tree_raises_no_alarm(root):
    assert findings(root) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(tmp_path, fault):
    _, kinds, file, cause = FAULTS[fault]
    _, found = planted(fault, tmp_path)
    assert {f.kind for f in found} == kinds
    assert any(file in f.file and cause in f.cause for f in found), found
    assert all(f.file and f.cause and f.remedy for f in found)
    assert all(f.split in ("train", "val") or f.kind == "class-list" for f in found)


def test_table_of_faults_is_up_to_date():
    assert page() == PAGE.read_text(encoding="utf-8"), "python tests/tools/faults.py writes it"


def test_two_faults_of_one_sample_are_both_found(root):
    image_of(root).write_text("<html>404</html>")
    replace_mask(root, picture(3))
    assert [f.kind for f in findings(root)] == ["damaged-image", "colour-mask"]


def test_every_kind_is_planted_somewhere():
    others = {"split-size"}
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
