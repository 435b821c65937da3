"""Configuration: defaults, inheritance, overrides, messages."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from mxnetseg.catalog import CONFIGS
from mxnetseg.cli import main
from mxnetseg.config import Config, apply_overrides, key_names, load_config, read_yaml
from mxnetseg.errors import ConfigError
from mxnetseg.tools.listing import config_rows
from mxnetseg.tools.settings import describe_keys

FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "sweeps")


def _write(folder: Path, name: str, values: object) -> Path:
    path = folder / name
    if not isinstance(values, bytes):
        values = (values if isinstance(values, str) else yaml.safe_dump(values)).encode()
    path.write_bytes(values)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_shipped_file_loads_and_survives_a_round_trip(path, tmp_path):
    config = load_config(path)
    again = load_config(_write(tmp_path, "again.yaml", config.to_yaml()))
    assert again == config


RUNS = [row for row in config_rows() if not row["name"].startswith(("synthetic/", "custom/"))]


@pytest.mark.parametrize("row", RUNS, ids=lambda r: r["name"])
def test_shipped_run_is_described_and_named_after_its_network(row):
    assert row["summary"]
    name, backbone = f"{Path(row['name']).stem}_", row["backbone"] or ""
    short = backbone.removeprefix("deepstem_")
    names = {"_".join(filter(None, (row["model"].lower(), b))) for b in (backbone, short)}
    assert name.startswith(tuple(f"{n}_" for n in names))


def test_inheritance_merges_sections_and_the_top_wins(tmp_path):
    _write(tmp_path, "a.yaml", {"optimizer": {"lr": 1.0, "wd": 0.5}, "train": {"epochs": 3}})
    _write(tmp_path, "b.yaml", {"optimizer": {"lr": 2.0}})
    top = _write(tmp_path, "top.yaml", {"_base_": ["a.yaml", "b.yaml"], "train": {"batch_size": 4}})
    config = load_config(top, ["optimizer.momentum=0.5"])
    assert (config.optimizer.lr, config.optimizer.wd, config.optimizer.momentum) == (2.0, 0.5, 0.5)
    assert (config.train.epochs, config.train.batch_size) == (3, 4)


def test_inheriting_from_itself_is_an_error(tmp_path):
    _write(tmp_path, "a.yaml", {"_base_": "b.yaml"})
    with pytest.raises(ConfigError, match="inherits from itself"):
        read_yaml(_write(tmp_path, "b.yaml", {"_base_": "a.yaml"}))


@pytest.mark.parametrize(
    ("pair", "section", "key", "value"),
    [
        ("optimizer.lr=1e-4", "optimizer", "lr", 1e-4),
        ("lr=0.5", "optimizer", "lr", 0.5),
        ("data.crop_size=[96, 192]", "data", "crop_size", (96, 192)),
        ("eval.scales=[0.5, 1, 2]", "eval", "scales", [0.5, 1.0, 2.0]),
        ("model.backbone=null", "model", "backbone", None),
        ("eval.flip=true", "eval", "flip", True),
        ("model.options={width: 2}", "model", "options", {"width": 2}),
        ("model.options.width=2", "model", "options", {"width": 2}),
    ],
)
def test_override(pair, section, key, value):
    assert getattr(getattr(load_config(None, [pair]), section), key) == value


def test_overrides_do_not_touch_their_source():
    values = {"optimizer": {"lr": 1.0}}
    assert apply_overrides(values, ["optimizer.lr=2"]) == {"optimizer": {"lr": 2}}
    assert values == {"optimizer": {"lr": 1.0}}


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (["optimizer.lrr=1"], "optimizer.lr"),
        (["epoch=1"], "epochs"),
        (["crop_size=1"], "ambiguous"),
        (["optimizer.lr"], "no '='"),
        (["optimizer.lr=-1"], "greater than 0"),
        (["optimizer.lr=[1"], "not valid YAML"),
        (["optimizer.lr=inf"], "finite number"),
        (["model.options=3", "model.options.width=2"], "cannot be set in it"),
        (["optimizer.name=sgdd"], "'sgd'"),
        (["data.augment.scale=[2, 1]"], "low <= high"),
        (["schedule.name=step"], "step_epochs"),
        (["train.ema=1"], "less than 1"),
        (["data.augment.rotate=5"], "transform gluon has no augment.rotate"),
        (
            ["data.transform=mmseg", "resize=[3, 4]", "data.augment.jitter=[0, 0, 0, 1]"],
            "no resize and no augment.jitter",
        ),
    ],
)
def test_wrong_override_is_explained(pairs, text):
    with pytest.raises(ConfigError, match=text.replace("[", r"\[")):
        load_config(None, pairs)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("- 1\n- 2\n", "holds a list"),
        ("a: [1", "not valid YAML"),
        ("optimizer: {learning_rate: 1}", "unknown key 'optimizer.learning_rate'"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("train: {epochs: 1}\ntrain: {epochs: 2}", "key 'train' occurs twice.*\n.*line 2"),
        ("optimizer: {lr: 1, lr: 2}", "key 'lr' occurs twice"),
        ("a: &a [*a]", "grows"),
        ("[" * 5000, "not valid YAML"),
        ("9" * 5000, "not valid YAML"),
        ("x: !!timestamp x", "not valid YAML"),
        ("x: !!binary aGk=", "not valid YAML"),
        ('_base_: "\\0"', "zero character"),
        ("_base_: [3]", "names of files"),
        ("x: " + "y" * 70_000, "at most 65536"),
        (b"\xff", "UTF-8"),
    ],
)
def test_wrong_file_is_explained(content, text, tmp_path):
    with pytest.raises(ConfigError, match=text):
        load_config(_write(tmp_path, "wrong.yaml", content))


def test_aliases_are_read_but_not_multiplied(tmp_path):
    once = "model: {options: {a: &a [1, 2], b: *a}}"
    assert load_config(_write(tmp_path, "once.yaml", once)).model.options == {"a": [1, 2], "b": [1, 2]}
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]" for before, after in pairwise("abcdefghij")]
    with pytest.raises(ConfigError, match="grows to more than"):
        read_yaml(_write(tmp_path, "bomb.yaml", "\n".join(lines)))


@pytest.mark.parametrize("text", ["", "# nothing but a comment", "---", "null"])
def test_empty_files_are_the_defaults(text, tmp_path):
    assert load_config(_write(tmp_path, "empty.yaml", text)) == Config()


def test_every_key_can_be_set_by_its_name():
    values = Config().model_dump(mode="json")
    assert {"optimizer.lr", "data.augment.flip", "description"} <= set(key_names())
    for key in key_names():
        value = values
        for part in key.split("."):
            value = value[part]
        assert load_config(None, [f"{key}={json.dumps(value)}"]) == Config(), key


def test_dates_are_words(tmp_path):
    assert load_config(_write(tmp_path, "c.yaml", "log: {name: 2026-01-05}")).log.name == "2026-01-05"


def test_missing_file_is_explained(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "absent.yaml")


def test_every_key_is_listed_once(capsys):
    keys = [row["key"] for row in describe_keys()]
    assert len(keys) == len(set(keys))
    assert {"optimizer.lr", "data.augment.flip", "train.epochs", "log.wandb"} <= set(keys)
    assert main(["config"]) == 0
    printed = capsys.readouterr().out
    assert all(key in printed for key in keys)


def test_config_command_prints_what_loads_again(capsys):
    assert main(["config", "train.epochs=7"]) == 0
    assert Config.model_validate(yaml.safe_load(capsys.readouterr().out)).train.epochs == 7
