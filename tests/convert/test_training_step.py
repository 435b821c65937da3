"""Recorded training steps of FCN: loss, gradients, updates, running statistics."""

import json

import gluoncv
import numpy as np
import pytest
from models.networks import without_dropout
from mxnet import autograd, gluon, nd

from mxnetseg.convert import build_reference, load_reference

MODES = {"eager": None, "hybrid": {}, "static": {"static_alloc": True, "static_shape": True}}


class MixedCE(gluon.loss.Loss):
    """Mean cross-entropy per sample over all pixels, ignored ones counting 0, plus 0.5 times the auxiliary one."""

    def __init__(self):
        super().__init__(None, 0)

    def hybrid_forward(self, F, main, aux, label):
        return self.mean(F, main, label) + 0.5 * self.mean(F, aux, label)

    def mean(self, F, scores, label):
        loss = -F.pick(F.log_softmax(scores, axis=1), label, axis=1, keepdims=True)
        valid = F.expand_dims(label, axis=1) != -1
        return F.mean(loss * valid, axis=0, exclude=True)


LOSSES = {"gcvloss": lambda: gluoncv.loss.MixSoftmaxCrossEntropyLoss(aux=True, aux_weight=0.5), "mixedce": MixedCE}


def close(got, wanted, tolerance):
    got = np.asarray(got)
    assert np.linalg.norm(got - wanted) <= tolerance * np.linalg.norm(wanted)


# GluonCV's loss differs in its gradient only: one mode of it is enough for everyday.
CASES = [("mixedce", mode) for mode in MODES] + [("gcvloss", "static")]
CASES += [pytest.param("gcvloss", mode, marks=pytest.mark.slow) for mode in ("eager", "hybrid")]


@pytest.mark.parametrize(("loss", "mode"), CASES)
def test_recorded_steps(shared, harness, loss, mode):
    path = shared / "oracle" / f"mxnetseg__FCNResNet__resnet18__trainstep_nc19_96x96_b2_{loss}"
    meta, recorded = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    formula = harness.formula
    net = build_reference("mxnetseg", meta["model"], **meta["kwargs"])
    state = {name: formula.tensor(name, shape) for name, shape in meta["tensors"]}
    assert load_reference(net, state, "mxnetseg").complete
    net = net.model
    net.apply(without_dropout)
    if MODES[mode] is not None:
        net.hybridize(**MODES[mode])
    parameters, criterion = net._collect_params_with_prefix(), LOSSES[loss]()
    ours = {name: parameters.get(name) or parameters[f"backbone.{name}"] for name in state}
    learnable = [p for p in ours.values() if p.grad_req != "null"]
    statistics = [p for name, p in ours.items() if "running" in name]
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 1e-4})
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
            close([np.linalg.norm(p.grad().asnumpy()) for p in learnable], recorded["grad_norm"], 1e-4)
        trainer.step(2)
        if step == 0:
            moved = [np.linalg.norm(p.data().asnumpy() - b) for p, b in zip(learnable, before, strict=True)]
            close(moved, recorded["delta_norm"], 1e-4)
            close([p.data().sum().asscalar() for p in statistics], recorded["stat_sum"], 1e-4)
    close(net.predict(x).asnumpy()[..., ::4, ::4], recorded["logits_eval_after"], 1e-3)
