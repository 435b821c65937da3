"""Concatenation along channels."""

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import ModelConfig
from mxnetseg.models import build_model
from mxnetseg.models.layers import concat
from mxnetseg.models.layers.mode import inference_graph


def maps():
    rng = np.random.default_rng(0)
    arrays = [nd.array(rng.normal(size=(2, channels, 5, 7))) for channels in (3, 1, 4)]
    for array in arrays:
        array.attach_grad()
    return arrays


def test_values_and_gradients():
    arrays, weight = maps(), nd.array(np.random.default_rng(1).normal(size=(2, 8, 5, 7)))
    with autograd.record():
        y = concat(nd, *arrays)
        loss = (y * weight).sum()
    loss.backward()
    np.testing.assert_array_equal(y.asnumpy(), np.concatenate([a.asnumpy() for a in arrays], axis=1))
    gradients = np.concatenate([a.grad.asnumpy() for a in arrays], axis=1)
    np.testing.assert_array_equal(gradients, weight.asnumpy())
    with inference_graph():
        np.testing.assert_array_equal(concat(nd, *arrays).asnumpy(), y.asnumpy())


def axes(symbol):
    """Axis of every concatenation in a graph."""
    return {node["attrs"]["dim"] for node in json.loads(symbol.tojson())["nodes"] if node["op"] == "Concat"}


@pytest.mark.parametrize(("name", "backbone"), [("enet", None), ("ladderdensenet", "densenet121")])
def test_training_graphs_leave_no_memory_behind(name, backbone):
    """MXNet's backward pass over axis 1 of oneDNN's arrays does (benchmarks/leaks.py measures it)."""
    model = build_model(ModelConfig(name=name, backbone=backbone, pretrained=False), 3)
    assert axes(model(mx.sym.var("data"))[0]) == {"-3"}
    with inference_graph():
        assert axes(model(mx.sym.var("data"))[0]) == {"1"}
