"""The table and the picture of latencies, and the networks that are measured."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import yaml

from mxnetseg import cli
from mxnetseg.config import load_config
from mxnetseg.tools import tables
from mxnetseg.tools.realtime import picture, realtime_table

NETWORKS = yaml.safe_load((tables.ROOT / "benchmarks" / "realtime.yaml").read_text())
MACHINE = {"cpu": "a processor", "threads": "2", "versions": {"mxnet": "1.9.1"}}
FAST = {"path": "openvino", "median": 12.4, "p5": 12, "p95": 13, "mean": 12, "quiet": True}
RECORD = {"model": "ENet", "parameters": 349_000, "macs": 4.05e9, "mIoU": 59.5, "split": "val", "float32": FAST}
RECORD |= {"bf16": FAST | {"path": "openvino-bf16", "median": 9.1}}
RECORD |= {"int8": FAST | {"path": "openvino-int8", "median": 6.6, "quiet": False}, "machine": MACHINE}
EQUAL = {"ENet": "3 cases", "DFANet": "4 cases"}


def written(tmp_path, **records):
    path = tmp_path / "realtime.json"
    path.write_text(json.dumps(records))
    return realtime_table(path, EQUAL)


def test_rows_are_sorted_and_noise_is_in_brackets(tmp_path):
    slow = RECORD | {"model": "DFANet", "float32": FAST | {"median": 80.2}, "mIoU": None, "split": None}
    text = written(tmp_path, slow={k: v for k, v in slow.items() if k not in {"bf16", "int8"}}, fast=RECORD)
    rows = [line for line in text.splitlines() if line.startswith(("| fast", "| slow"))]
    assert rows == [
        "| fast | `ENet` | 0.35 M | 4.0 G | 12 ms openvino | 9 ms openvino | (7 ms openvino) | 59.5 val | 3 cases |",
        "| slow | `DFANet` | 0.35 M | 4.0 G | 80 ms openvino | not possible | not possible |  | 4 cases |",
    ]
    assert text.startswith("Measured on a processor, 2 threads; mxnet 1.9.1.\n\n")


def test_picture_shows_those_with_a_published_figure():
    one = picture({"a": RECORD})
    assert cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR).shape == (750, 1000, 3)
    assert picture({"a": RECORD, "b": RECORD | {"mIoU": None}}) == one
    assert picture({"a": RECORD, "b": RECORD | {"mIoU": 70.0}}) != one


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_asked_for(name):
    row = NETWORKS[name]
    if "config" in row:
        config = load_config(row["config"])
        assert config.data.name == "Cityscapes"
        assert config.published.get("mIoU"), "without a published figure it needs no configuration"
    else:
        model, _, backbone = row["target"].partition(":")
        assert not backbone or backbone in load_config({"model": {"name": model, "backbone": backbone}}).model.backbone
        cli.parse(["benchmark", row["target"]])


def test_all_networks_of_the_comparison_are_measured():
    rows = NETWORKS.values()
    models = {load_config(r["config"]).model.name if "config" in r else r["target"].partition(":")[0] for r in rows}
    oracles = json.loads((tables.DOCS / "oracles.json").read_text())
    compared = {record["model"] for case, record in oracles.items() if case.startswith("realtime/")}
    assert compared - models == set()
