"""Every registered model trains."""

import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from models.networks import CLASSES, small_model
from mxnetseg.config import LossConfig
from mxnetseg.data.synthetic import render
from mxnetseg.data.transforms import normalize
from mxnetseg.losses import build_loss
from mxnetseg.registry import MODELS

SIZE, STEPS = (64, 96), 6
# Learning rate where not 0.005: of networks that are trained by Adam, with far larger steps.
RATES = {"SGCPNet": 0.02, "ENet": 0.05, "ESPNet": 0.15, "MiniNetV2": 0.05}
EVERYDAY = ("FCNMobileNet", "FastSCNN", "SwiftResNet")
EACH = [name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.slow) for name in MODELS.names()]


def scenes():
    """Two generated images and their labels."""
    drawn = [render(0, index, SIZE) for index in range(2)]
    labels = np.array([np.where(label == 255, -1, label % CLASSES) for _, label in drawn], np.float32)
    return nd.array(np.array([normalize(image) for image, _ in drawn])), nd.array(labels)


@pytest.mark.parametrize("name", EACH)
def test_few_steps_lower_the_loss(name):
    """As the trainer computes: static graph, auxiliary outputs weighted; every parameter receives a gradient.

    A scale that starts at 0 (as of attention) hides the layers behind it from the first step only, so the gradients
    of all steps count.
    """
    net, (x, label) = small_model(name, dropout=False), scenes()
    loss = build_loss(LossConfig(), CLASSES)
    net.hybridize(static_alloc=True, static_shape=True)
    loss.hybridize(static_alloc=True, static_shape=True)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": RATES.get(name, 0.005), "momentum": 0.9})
    parameters = {n: p for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
    values, untouched = [], set(parameters)
    for _ in range(STEPS):
        with autograd.record():
            value = loss(net(x), label)
        value.backward()
        norms = {n: float(p.grad().norm().asscalar()) for n, p in parameters.items()}
        assert all(np.isfinite(norm) for norm in norms.values()), [n for n in norms if not np.isfinite(norms[n])]
        untouched -= {n for n, norm in norms.items() if norm > 0}
        trainer.step(1)
        values.append(float(value.asscalar()))
    assert not untouched
    assert values[-1] < 0.9 * values[0], values
