"""The recipe for every network, and the table of what came out."""

from __future__ import annotations

import json

import pytest
import yaml

from mxnetseg.config import load_config
from mxnetseg.registry import MODELS
from mxnetseg.tools import tables
from mxnetseg.tools.training import GOAL, training_table

DIFFERENCES = tables.ROOT / "benchmarks" / "synthetic_zoo.yaml"
RECORD = {
    "recipe": "0",
    "command": "mxnetseg train --config synthetic/zoo",
    "backbone": "resnet18_quarter",
    "parameters": 1_234_567,
    "images": 1920,
    "mIoU": 0.9,
    "IoU": {"road": 0.9, "pole": 0.5, "person": 0.6},
    "seed": 0,
    "seconds": 100,
    "cpu_seconds": 90,
}


def written(tmp_path, **records):
    path = tmp_path / "training.json"
    path.write_text(json.dumps(records))
    return training_table(path)


def test_table_has_one_row_per_record(tmp_path):
    text = written(tmp_path, FCNResNet=RECORD, BiSeNetX=RECORD | {"mIoU": GOAL - 0.001, "backbone": None})
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert "| `FCNResNet` | `resnet18_quarter` | 1.23 M | 1920 | 90 s | 0.900 | pole 0.50, person 0.60 | 0 |" in text
    assert "| `BiSeNetX` |  | 1.23 M | 1920 | 90 s | **0.849** |" in text


def test_summary_counts_and_names_what_is_missing(tmp_path):
    text = written(tmp_path, FCNResNet=RECORD, BiSeNetX=RECORD | {"mIoU": GOAL - 0.001})
    assert text.startswith(
        f"1 of {len(MODELS.names())} networks reach {GOAL}. Below: `BiSeNetX`. Not trained yet: `ACFNet`"
    )
    everything = written(tmp_path, **dict.fromkeys(MODELS.names(), RECORD))
    assert everything.startswith(f"{len(MODELS.names())} of {len(MODELS.names())} networks reach {GOAL}. Processor")


def test_every_network_has_a_recipe():
    assert sorted(yaml.safe_load(DIFFERENCES.read_text())) == sorted(MODELS.names())


@pytest.mark.parametrize(("name", "pairs"), yaml.safe_load(DIFFERENCES.read_text()).items())
def test_recipes_are_valid(name, pairs):
    config = load_config("synthetic/zoo", [f"model.name={name}", *(pairs or "").split()])
    assert config.model.name == name
    crop, base = config.crop(), config.data.base_size
    assert (crop[1], config.eval.base_size or base) == (base, base), "trained and scored at one size"
