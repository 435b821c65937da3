"""Recorded training steps: loss, gradients, updates, running statistics."""

import json
from itertools import product

import gluoncv
import numpy as np
import pytest
from models.networks import without_dropout
from mxnet import autograd, gluon, nd

from mxnetseg.convert import build_reference, load_reference

MODES = {"eager": None, "hybrid": {}, "static": {"static_alloc": True, "static_shape": True}}


class MixedCE(gluon.loss.Loss):
    """Mean cross-entropy per sample over all pixels, ignored ones counting 0, plus the weighted auxiliary one."""

    def __init__(self, aux_weight=0.0):
        super().__init__(None, 0)
        self.aux_weight = aux_weight

    def hybrid_forward(self, F, main, *rest):
        *aux, label = rest
        return self.mean(F, main, label) + sum(self.aux_weight * self.mean(F, y, label) for y in aux)

    def mean(self, F, scores, label):
        loss = -F.pick(F.log_softmax(scores, axis=1), label, axis=1, keepdims=True)
        valid = F.expand_dims(label, axis=1) != -1
        return F.mean(loss * valid, axis=0, exclude=True)


LOSSES = {
    "EPRNet__eprnet_cls__trainstep_nc19_96x96_b2_mixedce": MixedCE,
    "FCNResNet__resnet18__trainstep_nc19_96x96_b2_gcvloss": lambda: gluoncv.loss.MixSoftmaxCrossEntropyLoss(
        aux=True, aux_weight=0.5
    ),
    "FCNResNet__resnet18__trainstep_nc19_96x96_b2_mixedce": lambda: MixedCE(0.5),
    "GFFNet__resnet18__trainstep_nc19_64x64_b2_mixedce": lambda: MixedCE(0.4),
}
# Input noise of 1e-7 moves the gradients by 4e-4 in EPRNet, by 9e-4 in GFFNet (two values per channel are normalised).
GRADIENT_TOLERANCE = {
    "EPRNet__eprnet_cls__trainstep_nc19_96x96_b2_mixedce": 2e-3,
    "GFFNet__resnet18__trainstep_nc19_64x64_b2_mixedce": 5e-3,
}


def close(got, wanted, tolerance):
    got = np.asarray(got)
    assert np.linalg.norm(got - wanted) <= tolerance * np.linalg.norm(wanted)


# GluonCV's loss differs in its gradient only: one mode of it is enough for everyday.
EVERYDAY = [("FCNResNet__resnet18__trainstep_nc19_96x96_b2_mixedce", mode) for mode in MODES]
EVERYDAY += [("FCNResNet__resnet18__trainstep_nc19_96x96_b2_gcvloss", "static")]
LEISURE = [pytest.param(*pair, marks=pytest.mark.slow) for pair in product(LOSSES, MODES) if pair not in EVERYDAY]


@pytest.mark.parametrize(("case", "mode"), EVERYDAY + LEISURE)
def test_recorded_steps(shared, harness, case, mode):
    path = shared / "oracle" / f"mxnetseg__{case}"
    meta, recorded = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    formula = harness.formula
    net = build_reference("mxnetseg", meta["model"], **meta["kwargs"])
    state = {name: formula.tensor(name, shape) for name, shape in meta["tensors"]}
    assert load_reference(net, state, "mxnetseg").complete
    net = net.model
    net.apply(without_dropout)
    if MODES[mode] is not None:
        net.hybridize(**MODES[mode])
    parameters, criterion = net._collect_params_with_prefix(), LOSSES[case]()
    ours = {name: parameters.get(name) or parameters[f"backbone.{name}"] for name in state}
    learnable = [p for p in ours.values() if p.grad_req != "null"]
    statistics = [p for name, p in ours.items() if "running" in name]
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 1e-4})
    sharp = GRADIENT_TOLERANCE.get(case, 1e-4)
    x, label = nd.array(formula.image(meta["input_shape"], meta["input_seed"])), nd.array(recorded["label"])
    for step in range(4):
        with autograd.record():
            outputs = net(x)
            value = criterion(*outputs, label)
        close(value.asnumpy(), recorded[f"loss_step{step}"], 1e-4 if step < 2 else 1e-3)
        if step == 3:
            break
        value.backward()
        before = [p.data().asnumpy() for p in learnable]
        if step == 0:
            close(outputs[0].asnumpy()[..., ::4, ::4], recorded["logits_train"], 1e-4)
            close([np.linalg.norm(p.grad().asnumpy()) for p in learnable], recorded["grad_norm"], sharp)
        trainer.step(2)
        if step == 0:
            moved = [np.linalg.norm(p.data().asnumpy() - b) for p, b in zip(learnable, before, strict=True)]
            close(moved, recorded["delta_norm"], sharp)
            close([p.data().sum().asscalar() for p in statistics], recorded["stat_sum"], 1e-4)
    close(net.predict(x).asnumpy()[..., ::4, ::4], recorded["logits_eval_after"], 1e-3)
