"""Values and gradients of the losses against the recorded ones."""

import json

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import LossConfig
from mxnetseg.losses import build_loss

CLASS_WEIGHTS = [0.5, 1.0, 2.0, 0.25, 1.5]

# Case of the recording: (loss, arguments). Convention: mean over all pixels of each sample.
CASES = {
    "mixedce": ("ce", {}),
    "mixedce_aux1": ("ce", {"aux_weight": "recorded"}),
    "mixedce_aux2": ("ce", {"aux_weight": "recorded"}),
    "weightedce": ("ce", {"class_weights": CLASS_WEIGHTS}),
    "focal": ("focal", {}),
    "focal_g0": ("focal", {"options": {"gamma": 0}}),
    "focal_g15": ("focal", {"options": {"gamma": 1.5}}),
    "dice": ("dice", {}),
    "dice_e1": ("dice", {"options": {"smooth": 1e-5, "exponent": 1}}),
}


def run(loss, outputs, label, normalizer=None, hybridize=False):
    """Loss and the gradients of its sum."""
    outputs = [nd.array(x) for x in outputs]
    for x in outputs:
        x.attach_grad()
    loss.initialize()
    if hybridize:
        loss.hybridize(static_alloc=True, static_shape=True)
    with autograd.record():
        value = loss(outputs, nd.array(label), normalizer)
    value.backward()
    return value.asnumpy(), [x.grad.asnumpy() for x in outputs]


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybrid"])
@pytest.mark.parametrize("label", ["clean", "some", "lastall"])
@pytest.mark.parametrize("case", CASES)
def test_recorded_values_and_gradients(shared, case, label, hybridize):
    path = shared / "oracle" / "mxnetseg__losses"
    recorded = next(
        c for c in json.loads(path.with_suffix(".json").read_text())["cases"] if c["key"] == f"{case}__{label}"
    )
    data = np.load(path.with_suffix(".npz"))
    name, arguments = CASES[case]
    arguments = {**arguments, "options": {**arguments.get("options", {}), "reduction": "pixels"}}
    if arguments.get("aux_weight") == "recorded":
        arguments["aux_weight"] = recorded["kwargs"]["aux_weight"]
    loss = build_loss(LossConfig(name=name, **arguments), 5)
    outputs = [data[f"pred{i}"] for i in range(recorded["npred"])]
    value, gradients = run(loss, outputs, data[f"label_{label}"], hybridize=hybridize)
    np.testing.assert_allclose(value, data[f"{case}__{label}__loss"], rtol=1e-5, atol=1e-6)
    for i, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, data[f"{case}__{label}__grad{i}"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("case", "outputs", "name", "arguments"),
    [
        ("mx_mixedce_noaux", 1, "ce", {}),
        ("mx_focal", 1, "focal", {}),
        ("mx_dice", 1, "dice", {}),
    ],
)
def test_recorded_values_on_larger_maps(shared, case, outputs, name, arguments):
    data = np.load(shared / "oracle" / "data_losses.npz")
    loss = build_loss(LossConfig(name=name, options={"reduction": "pixels", **arguments}), 5)
    value, gradients = run(loss, [data[f"logits{i}"] for i in range(outputs)], data["label"])
    np.testing.assert_allclose(value, data[f"{case}__loss"], rtol=1e-5)
    np.testing.assert_allclose(gradients[0], data[f"{case}__grad0"], rtol=1e-4, atol=1e-8)


def test_mean_over_labelled_pixels_is_gluoncv_gradient(shared):
    """GluonCV's gradient is that of the mean over the labelled pixels of the batch: our default."""
    data = np.load(shared / "oracle" / "data_losses.npz")
    _, gradients = run(build_loss(LossConfig(), 5), [data["logits0"]], data["label"])
    np.testing.assert_allclose(gradients[0], data["gcv_ce__grad0"], rtol=1e-4, atol=1e-8)
