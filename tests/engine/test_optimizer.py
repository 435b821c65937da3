import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.config import OptimizerConfig, ScheduleConfig
from mxnetseg.engine.optimizer import Updater
from mxnetseg.engine.schedule import Schedule
from mxnetseg.engine.weights import parameters, values
from mxnetseg.errors import CheckpointError

ALL = ("sgd", "nag", "adam", "adamw")


def network(contexts=None):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(3, in_units=4), gluon.nn.BatchNorm(in_channels=3), gluon.nn.Dense(2, in_units=3))
    mx.random.seed(3)
    net.initialize(mx.init.Normal(0.5), ctx=contexts or [mx.cpu()])
    return net


def updater(net, **settings):
    return Updater(parameters(net), OptimizerConfig(**settings), [net[2].weight, net[2].bias])


def set_gradients(net, seed, scale=1.0):
    """Give every parameter a random gradient, the same on each context."""
    rng = np.random.default_rng(seed)
    with autograd.record():
        terms = []
        for param in parameters(net).values():
            if param.grad_req != "null":
                value = nd.array(scale * rng.normal(size=param.shape))
                terms += [(data * value.as_in_context(data.context)).sum() for data in param.list_data()]
    autograd.backward(terms)


def changes(net, step):
    before = {k: v.asnumpy() for k, v in values(net).items()}
    step()
    return {k: v.asnumpy() - before[k] for k, v in values(net).items()}


def test_recorded_sgd_trace(shared):
    """Weights after each update: momentum holds the learning rate, bias decays too, group factor 10."""
    sys.path.insert(0, str(shared / "oracle"))
    import formula

    data = np.load(shared / "oracle" / "data_lr.npz")
    net = gluon.nn.Dense(3, in_units=4)
    net.initialize()
    net.weight.set_data(nd.array(formula.tensor("opt.weight", (3, 4))))
    net.bias.set_data(nd.array(formula.tensor("opt.bias", (3,))))
    x = nd.array(formula.image((5, 4), 3))
    config = OptimizerConfig(lr=0.01, momentum=0.9, wd=1e-2, head_lr_mult=10)
    update = Updater(parameters(net), config, net.collect_params().values())
    # The recording asked its schedule of N - 1 updates from 1 on.
    schedule = Schedule(ScheduleConfig(), config.lr, 5, 1)
    for i in range(6):
        with autograd.record():
            loss = (net(x) ** 2).mean(axis=0, exclude=True)
        loss.backward()
        update.step(schedule(i + 1), 1 / 5)
        np.testing.assert_allclose(net.weight.data().asnumpy(), data["sgd_weight_trace"][i], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(net.bias.data().asnumpy(), data["sgd_bias_trace"][i], rtol=1e-6, atol=1e-7)


def reference_step(name, w, g, state, t, lr, wd):
    """One update in float64, as the papers write it (MXNet folds Adam's bias correction into the rate)."""
    m, v = state
    if name in ("sgd", "nag"):
        g = g + wd * w
        m = 0.9 * m - lr * g
        return (w + m if name == "sgd" else w + 0.9 * m - lr * g), (m, v)
    if name == "adam":
        g = g + wd * w
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    rate = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    new = w - rate * m / (np.sqrt(v) + 1e-8)
    return (new - lr * wd * w if name == "adamw" else new), (m, v)


@pytest.mark.parametrize("name", ALL)
def test_rule(name):
    # MXNet's operator of nag decays by the weight it has just written, a difference of second order.
    net, wd = network(), 0.0 if name == "nag" else 0.05
    update = updater(net, name=name, wd=wd)
    expected = {k: v.asnumpy().astype(np.float64) for k, v in values(net).items() if "running" not in k}
    states = dict.fromkeys(expected, (0.0, 0.0))
    for t in range(1, 5):
        set_gradients(net, t)
        lr = 0.1 / t
        for k, param in parameters(net).items():
            if k in expected:
                g = param.grad().asnumpy().astype(np.float64)
                expected[k], states[k] = reference_step(name, expected[k], g, states[k], t, lr, wd)
        update.step(lr)
    for k, value in expected.items():
        np.testing.assert_allclose(values(net)[k].asnumpy(), value, rtol=1e-4, atol=1e-5, err_msg=k)


@pytest.mark.parametrize("name", ALL)
def test_norm_and_bias_without_decay(name):
    net = network()
    update = updater(net, name=name, wd=0.1, wd_norm_bias=False)
    set_gradients(net, 0, scale=0)
    moved = {k for k, d in changes(net, lambda: update.step(0.1)).items() if np.abs(d).max() > 0}
    assert moved == {"0.weight", "2.weight"}


def test_head_moves_faster():
    steps = []
    for factor in (1, 10):
        net = network()
        update = updater(net, wd=0, head_lr_mult=factor)
        set_gradients(net, 0)
        steps.append(changes(net, lambda u=update: u.step(0.1)))
    for name, change in steps[0].items():
        expected = 10 * change if name.startswith("2.") else change
        np.testing.assert_allclose(steps[1][name], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_clipping_by_global_norm(scale, contexts):
    contexts = [mx.cpu(i) for i in range(contexts)]
    net = network(contexts)
    update = updater(net, momentum=0, wd=0, clip_norm=0.5)
    set_gradients(net, 0, scale=100)
    norm = np.sqrt(sum((d**2).sum() for d in changes(net, lambda: update.step(1.0, scale)).values()))
    assert norm == pytest.approx(0.5, rel=1e-4)
    set_gradients(net, 0, scale=1e-3)
    small = changes(net, lambda: update.step(1.0, 1.0))
    plain = network(contexts)
    set_gradients(plain, 0, scale=1e-3)
    for name, change in changes(plain, lambda: updater(plain, momentum=0, wd=0).step(1.0)).items():
        np.testing.assert_allclose(small[name], change, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("name", ALL)
def test_states_continue_bit_for_bit(name, contexts):
    contexts = [mx.cpu(i) for i in range(contexts)]
    net, other = network(contexts), network(contexts)
    update = updater(net, name=name)
    for i in range(3):
        set_gradients(net, i)
        update.step(0.1)
    for key, param in parameters(other).items():
        param.set_data(values(net)[key])
    restored = updater(other, name=name)
    restored.load_states({k: v.copy() for k, v in update.states().items()}, update.updates)
    for i in range(3, 6):
        for n, u in ((net, update), (other, restored)):
            set_gradients(n, i)
            u.step(0.05)
    for ctx in contexts:
        for key, param in parameters(net).items():
            assert (param.data(ctx) == parameters(other)[key].data(ctx)).asnumpy().all(), key


def test_states_of_another_optimizer_are_refused():
    net = network()
    update = updater(net, name="adam")
    set_gradients(net, 0)
    update.step(0.1)
    with pytest.raises(CheckpointError, match=r"0\.bias/1"):
        updater(net, name="sgd").load_states(update.states(), 1)
    with pytest.raises(CheckpointError, match="is missing"):
        updater(net, name="adam").load_states({}, 1)


def test_states_of_another_network_are_refused():
    net = network()
    update = updater(net, name="sgd")
    set_gradients(net, 0)
    update.step(0.1)
    states = update.states() | {"2.weight/0": nd.zeros((5, 5))}
    with pytest.raises(CheckpointError, match=r"'2\.weight/0' has shape \(5, 5\), not \(2, 3\)"):
        updater(network(), name="sgd").load_states(states, 1)


@pytest.mark.parametrize("name", ["sgd", "nag"])
def test_without_momentum_there_is_no_state(name):
    nets = [network(), network()]
    first, second = (updater(net, name=name, momentum=0) for net in nets)
    set_gradients(nets[0], 0)
    first.step(0.1)
    assert first.states() == {}
    for key, param in parameters(nets[1]).items():
        param.set_data(values(nets[0])[key])
    second.load_states({}, 1)
    for net, update in zip(nets, (first, second), strict=True):
        set_gradients(net, 1)
        update.step(0.1)
    assert second.updates == 2
    for key, value in values(nets[0]).items():
        assert (value == values(nets[1])[key]).asnumpy().all()
