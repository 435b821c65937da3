"""Joint supervision of scores and boundary maps against the recorded values and gradients."""

import json

import numpy as np
import pytest
from mxnet import autograd, nd

from mxnetseg.config import LossConfig
from mxnetseg.errors import ConfigError
from mxnetseg.losses import build_loss
from mxnetseg.losses.joint_edge import balanced_edge_loss, boundary_map

CITYSCAPES_WEIGHTS = [0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023]
CITYSCAPES_WEIGHTS += [0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507]
CASES = ["ohem_default_c19_b2_256x256", "ohem_minkept_c19_b2_96x96", "ohem_thresh_c19_b2_96x96"]


@pytest.fixture(scope="module")
def inputs(shared):
    """Module that makes labels and logits of the recorded cases."""
    import sys

    sys.path.insert(0, str(shared / "oracle"))
    import loss_inputs

    return loss_inputs


@pytest.fixture(scope="module", params=CASES)
def case(request, shared, inputs):
    """Recorded values; settings; logits, boundary logits and label."""
    path = shared / "oracle" / f"mfaranet__loss__none__{request.param}"
    meta, recorded = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    n, classes, height, width = meta["input_shape"]
    settings, seed = meta["kwargs"], meta["input_seed"]
    label = inputs.labels(n, height, width, classes, settings["lab_seed"], settings["block"], settings["void"])
    assert (label == recorded["in_label"]).all()
    logits = inputs.logits(label, classes, seed, settings["a"], settings["b"])
    edge = inputs.edge_logits(n, height, width, seed)
    return recorded, settings, logits, edge, np.where(label == 255, -1, label)


def term(name, settings):
    """Arguments of the loss, and which of main scores, stage and boundary map it takes."""
    options = {"thresh": settings["thresh"], "min_kept": settings["min_kept"]}
    ohem = {"name": "OHEM", "options": options}
    balanced = {"name": "ImageBalanced", "options": {"total": "sum"}}
    joint = {"main_weight": 0, "segmentation": ohem}
    return {
        "JointEdgeSegLossOHEM": ("JointEdge", {"options": joint}),
        "JointEdgeSegLoss": ("JointEdge", {"options": {**joint, "segmentation": balanced}}),
        "bce2d": ("JointEdge", {"options": {**joint, "seg_weight": 0, "attention_weight": 0, "edge_weight": 1}}),
        "edge_attention": (
            "JointEdge",
            {"options": {**joint, "seg_weight": 0, "attention_weight": 1, "edge_weight": 0}},
        ),
        "OHEM": ("OHEM", {"options": options}),
        "OHEM_use_weight": (
            "OHEM",
            {"options": {**options, "over_weights": True}, "class_weights": CITYSCAPES_WEIGHTS},
        ),
        "ImageBasedCE": ("ImageBalanced", {"options": {"total": "sum"}}),
        "CrossEntropy": ("CrossEntropy", {}),
    }[name]


def run(name, arguments, logits, edge, label, hybridize):
    """Loss, and its gradients by scores and boundary map."""
    arguments.setdefault("aux_weight", 1.0)
    loss = build_loss(LossConfig(name=name, **arguments), 19)
    loss.initialize()
    if hybridize:
        loss.hybridize(static_alloc=True, static_shape=True)
    x, e = nd.array(logits), nd.array(edge)
    x.attach_grad()
    e.attach_grad()
    outputs = [nd.zeros_like(x), x, e] if name == "JointEdge" else [x]
    with autograd.record():
        value = loss(outputs, nd.array(label))
    value.backward()
    return value.asnumpy(), x.grad.asnumpy(), e.grad.asnumpy()


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "static"])
def test_recorded_values_and_gradients(case, hybridize):
    recorded, settings, logits, edge, label = case
    names = [n for n in recorded.files if ":" not in n and not n.startswith(("in_", "info_"))]
    for name in [n for n in names if not n.startswith(("gsum", "gn_", "grad"))]:
        # MXNet's log_softmax of a float32 is off by up to 4e-6, by -1.4e-6 in the mean.
        value, by_logits, by_edge = run(*term(name, settings), logits, edge, label, hybridize)
        np.testing.assert_allclose(value, recorded[name], rtol=1e-5, atol=4e-6, err_msg=name)
        for key, got in {
            "gsum_logits": np.abs(by_logits).sum((1, 2, 3)),
            "gn_logits": [np.linalg.norm(by_logits)],
            "grad_logits": by_logits[..., :16, :16],
            "gn_edge": [np.linalg.norm(by_edge)],
            "grad_edge": by_edge[..., :32, :32],
        }.items():
            if f"{key}:{name}" in recorded:
                wanted = recorded[f"{key}:{name}"]
                assert np.linalg.norm(got - wanted) <= 2e-4 * np.linalg.norm(wanted), (key, name)


def test_recorded_boundaries(shared, inputs, case):
    recorded, _, _, _, label = case
    assert (boundary_map(nd, nd.array(label)).asnumpy() == recorded["in_boundary"]).all()
    path = shared / "oracle" / "mfaranet__boundary__none__c19_b2_97x130.npz"
    alone = np.load(path)
    label = nd.array(np.where(alone["in_label"] == 255, -1, alone["in_label"]))
    assert (boundary_map(nd, label).asnumpy() == alone["boundary"]).all()


def test_edges_weigh_by_the_others_share():
    """One boundary pixel of four: 3/4 of its loss, 1/4 of the others'; at logit 0 each is log 2."""
    boundary = nd.array([[[1, 0], [0, 0]]])
    value = balanced_edge_loss(nd, nd.zeros((1, 2, 2)), boundary).asscalar()
    assert value == pytest.approx((0.75 + 3 * 0.25) / 4 * np.log(2))


def test_outputs_that_do_not_fit_are_explained():
    loss = build_loss(LossConfig(name="JointEdge"), 4)
    scores, edge, label = nd.zeros((1, 4, 6, 6)), nd.zeros((1, 1, 6, 6)), nd.zeros((1, 6, 6))
    for outputs in ([scores, edge], [scores, scores, edge, edge], [scores, edge, scores]):
        with pytest.raises(ConfigError, match="channels"):
            loss(outputs, label)
    with pytest.raises(ConfigError, match="boundary=false"):
        build_loss(LossConfig(name="ce"), 4)([scores, scores, edge], label)


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "static"])
def test_stages_then_further_scores_then_boundaries(hybridize):
    """Without boundary maps every auxiliary output is a stage; the same loss object serves both."""
    rng = np.random.default_rng(0)
    y = [nd.array(rng.normal(size=(2, 4, 8, 8))) for _ in range(4)]
    edges = [nd.array(rng.normal(size=(2, 1, 8, 8))) for _ in range(2)]
    label = nd.array(rng.integers(-1, 4, (2, 8, 8)))
    options = {"segmentation": {"name": "OHEM", "options": {"min_kept": 10}}, "edge_weight": 0, "attention_weight": 0}
    loss = build_loss(LossConfig(name="JointEdge", aux_weight=[1, 2, 0.5], options=options), 4)
    ce = build_loss(LossConfig(name="ce"), 4)
    ohem = build_loss(LossConfig(name="ohem", options={"min_kept": 10}), 4)
    if hybridize:
        loss.hybridize(static_alloc=True, static_shape=True)
    a, b, c, d = (float(f([x], label).asscalar()) for f, x in zip((ce, ohem, ohem, ce), y, strict=True))
    for _ in range(2):
        assert loss([*y, *edges], label).asscalar() == pytest.approx(a + b + 2 * c + 0.5 * d, rel=1e-5)
        wanted = a + b + 2 * c + 0.5 * float(ohem([y[3]], label).asscalar())
        assert loss(y, label).asscalar() == pytest.approx(wanted, rel=1e-5)
