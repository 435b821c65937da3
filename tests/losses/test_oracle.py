"""Values and gradients of the losses against the recorded ones."""

import json

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import LossConfig
from mxnetseg.losses import build_loss

# Case of the recording: (loss, arguments, convention).
#   sample: mean over all pixels of each sample.
#   batch: mean over the batch, as ours.
#   valid, area: MXNet's SoftmaxOutput. Its value is that of `sample`; its gradient that of the mean over the labelled
#   pixels, or of the sum over the pixels of one image, and deaf to auxiliary weights and smoothing.
CASES = {
    "mixedce": ("ce", {}, "sample"),
    "mixedce_aux1": ("ce", {"aux_weight": 0.4}, "sample"),
    "mixedce_aux2": ("ce", {"aux_weight": [0.4, 0.2]}, "sample"),
    "smoothce": ("smoothce", {"options": {"smoothing": 0}}, "valid"),
    "smoothce_a01": ("ce", {}, "valid"),
    "smoothce_sum": ("ce", {}, "area"),
    "mixedsmoothce": ("ce", {"aux_weight": 0.2}, "valid"),
    "mixedsmoothce_w1": ("ce", {"aux_weight": 1}, "valid"),
    "mixedsmoothce_noaux": ("ce", {}, "valid"),
    "gcv_noaux": ("ce", {}, "valid"),
    "gcv_aux": ("ce", {"aux_weight": 0.5}, "valid"),
    "weightedce": ("ce", {"class_weights": [0.5, 1.0, 2.0, 0.25, 1.5]}, "sample"),
    "bootce_thresh": ("bootstrapped", {"options": {"loss_thresh": 1.0, "min_kept": 10}}, "batch"),
    "bootce_topk": ("bootstrapped", {"options": {"loss_thresh": 6.0, "min_kept": 20}}, "batch"),
    "focal": ("focal", {}, "sample"),
    "focal_g0": ("focal", {"options": {"gamma": 0}}, "sample"),
    "focal_g15": ("focal", {"options": {"gamma": 1.5}}, "sample"),
    "dice": ("dice", {}, "sample"),
    "dice_e1": ("dice", {"options": {"smooth": 1e-5, "exponent": 1}}, "sample"),
    "mixedloss": (
        "mixed",
        {"options": {"losses": [{"name": "ce", "factor": 0.8}, {"name": "dice", "factor": 0.2}]}},
        "sample",
    ),
    "mixedloss_single": ("mixed", {"options": {"losses": [{"name": "focal", "factor": 0.5}]}}, "sample"),
}
LARGE = {
    "gcv_ce": ("ce", {}, "valid"),
    "gcv_ce_nosizeavg": ("ce", {}, "area"),
    "gcv_mixce_aux0.4": ("ce", {"aux_weight": 0.4}, "valid"),
    "gcv_mixce_noaux": ("ce", {}, "valid"),
    "mx_mixedce_noaux": ("ce", {}, "sample"),
    "mx_mixedce_aux2": ("ce", {"aux_weight": [0.4, 0.2]}, "sample"),
    "mx_smoothce_0.1": ("ce", {}, "valid"),
    "mx_mixedsmoothce": ("ce", {"aux_weight": 0.2}, "valid"),
    "mx_weightedce": ("ce", {"class_weights": "recorded"}, "sample"),
    "mx_bootstrap_topk": ("bootstrapped", {"options": {"loss_thresh": 0.3, "min_kept": 200}}, "batch"),
    "mx_bootstrap_mean": ("bootstrapped", {"options": {"loss_thresh": 50, "min_kept": 200}}, "batch"),
    "mx_dice": ("dice", {}, "sample"),
    "mx_focal": ("focal", {}, "sample"),
    "mx_mixed_ce_dice": ("mixed", {"options": {"losses": [{"name": "ce"}, {"name": "dice", "factor": 0.5}]}}, "sample"),
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


def measure(name, arguments, convention, outputs, label, hybridize=False):
    """Value and gradients in the convention of the recording."""
    if convention == "batch":
        return run(build_loss(LossConfig(name=name, **arguments), 5), outputs, label, hybridize=hybridize)
    options = {**arguments.get("options", {}), "reduction": "pixels"}
    loss = build_loss(LossConfig(name=name, **{**arguments, "options": options}), 5)
    value, gradients = run(loss, outputs, label, hybridize=hybridize)
    if convention != "sample":
        loss = build_loss(LossConfig(name=name, **{**arguments, "aux_weight": 1}), 5)
        _, gradients = run(loss, outputs, label, label[0].size if convention == "area" else None, hybridize)
    return value, gradients


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybrid"])
@pytest.mark.parametrize("label", ["clean", "some", "lastall"])
@pytest.mark.parametrize("case", CASES)
def test_recorded_values_and_gradients(shared, case, label, hybridize):
    path = shared / "oracle" / "mxnetseg__losses"
    recorded = next(
        c for c in json.loads(path.with_suffix(".json").read_text())["cases"] if c["key"] == f"{case}__{label}"
    )
    data = np.load(path.with_suffix(".npz"))
    outputs = [data[f"pred{i}"] for i in range(recorded["npred"])]
    value, gradients = measure(*CASES[case], outputs, data[f"label_{label}"], hybridize)
    np.testing.assert_allclose(value, data[f"{case}__{label}__loss"], rtol=1e-5, atol=1e-6)
    for i, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, data[f"{case}__{label}__grad{i}"], rtol=1e-4, atol=1e-7)


def test_no_recorded_case_is_left_out(shared):
    small = json.loads((shared / "oracle" / "mxnetseg__losses.json").read_text())["cases"]
    assert {c["key"].split("__")[0] for c in small} == set(CASES)
    large = json.loads((shared / "oracle" / "data_losses.json").read_text())["losses"]
    # Reduced over the wrong axes by a mistake in the order of arguments.
    assert set(large) - {"gcv_multilosses3"} == set(LARGE)


@pytest.mark.parametrize("case", LARGE)
def test_recorded_values_on_larger_maps(shared, case):
    path = shared / "oracle" / "data_losses"
    data, inputs = np.load(path.with_suffix(".npz")), json.loads(path.with_suffix(".json").read_text())["losses"]
    name, arguments, convention = LARGE[case]
    if "class_weights" in arguments:
        arguments = {"class_weights": data["class_weight"].tolist()}
    outputs = [data[f"logits{i}"] for i in range(inputs[case]["inputs"])]
    value, gradients = measure(name, arguments, convention, outputs, data["label"])
    np.testing.assert_allclose(value, data[f"{case}__loss"], rtol=1e-5)
    for i, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, data[f"{case}__grad{i}"], rtol=1e-4, atol=1e-8)
