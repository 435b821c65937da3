"""Networks for the tests of exported files."""

from __future__ import annotations

import mxnet as mx
import pytest

from mxnetseg.registry import MODELS
from tests.models.networks import small_model

QUICK = ("BiSeNetR", "FastSCNN", "PSPNet")
QUICK_EACH = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS.names()]

# Parameters to make small where softmax over scores of hundreds would multiply every rounding: with values drawn at
# random, noise of 1e-7 in the image changes the outputs of DANet by 2e-5.
ATTENTION = {"DANet": "head.compress_cam.bn.gamma", "HRNetOCR": "aux_head.1.weight"}


def lively_model(name: str, **settings):
    """Small network whose batch normalisation has statistics that differ from 0 and 1."""
    net = small_model(name, **settings)
    for parameter in net.collect_params().values():
        if parameter.name.endswith("running_var"):
            parameter.set_data(mx.nd.random.uniform(0.7, 1.3, parameter.shape))
        elif parameter.name.endswith("gamma"):  # below 1: MLCRNet's maps must not grow to 1e32
            parameter.set_data(mx.nd.random.uniform(0.4, 0.8, parameter.shape))
        elif parameter.name.endswith(("running_mean", "beta")):
            parameter.set_data(mx.nd.random.normal(0, 0.1, parameter.shape))
    if name in ATTENTION:
        parameter = net._collect_params_with_prefix()[ATTENTION[name]]
        parameter.set_data(parameter.data() * 0.05)
    return net
