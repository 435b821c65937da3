"""The folded form that predict uses, against the network itself."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest
from tiny import write_checkpoint, write_city

from mxnetseg import cli
from mxnetseg.data import Example
from mxnetseg.deploy import fast
from mxnetseg.deploy.fast import Comparison, fast_network
from mxnetseg.errors import DataError
from tests.deploy.nets import lively_model


def example(name):
    return Example(0, name, np.zeros((2, 3, 3), np.uint8), None)


def test_folded_network_computes_the_same():
    net = lively_model("BiSeNetR")
    x = mx.nd.random.normal(shape=(1, 3, 64, 96))
    folded = fast_network(net, mx.cpu())
    assert not [name for name in folded.collect_params() if "running" in name]
    wanted, found = net.predict(x).asnumpy(), folded(x).asnumpy()
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_comparison_counts_equal_labels():
    comparison, labels = Comparison(), np.arange(6, dtype=np.uint8).reshape(2, 3)
    comparison.keep(example("a"), labels)
    other = labels.copy()
    other[0, 0] = 9
    comparison.compare(example("a"), other)
    assert comparison.equal == pytest.approx(5 / 6)
    with pytest.raises(DataError, match="no first prediction"):
        comparison.compare(example("b"), labels)


@pytest.mark.parametrize("least", [0.9999, 1.1])
def test_eval_fast(tmp_path, capsys, monkeypatch, least):
    monkeypatch.setattr(fast, "LEAST_EQUAL", least)
    checkpoint = write_checkpoint(tmp_path / "tiny.params")
    city = write_city(tmp_path / "city", {"train": 1, "val": 2})
    words = ["eval", "--checkpoint", str(checkpoint), "--data-root", str(city), "--ctx", "cpu", "--fast"]
    assert cli.main([*words, "--save-dir", str(tmp_path / "out")]) == int(least > 1)
    assert "100.0000% equal labels, mIoU +0.0000 points" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "val.json").read_text())["fast"]["equal"] == 1
