import numpy as np
import pytest

from mxnetseg.config import ScheduleConfig
from mxnetseg.engine.schedule import Schedule

NAMES = ("poly", "cosine", "linear", "constant", "step")


def recorded(shared):
    return np.load(shared / "oracle" / "data_lr.npz")


def values(schedule, count):
    return [schedule(i) for i in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_gluoncv(shared, name):
    """GluonCV divides by one update less than there are: N = 4 epochs of 7 updates - 1."""
    config = ScheduleConfig(name=name, target_lr=1e-4, step_epochs=[1, 3], step_factor=0.5)
    expected = recorded(shared)[f"gcv_{name}"]
    np.testing.assert_allclose(values(Schedule(config, 0.01, 27, 7), len(expected)), expected, rtol=1e-9)


def test_gluoncv_warmup_then_poly(shared):
    """The same two pieces: 7 warm-up updates of which the last has the base rate, then poly of its own."""
    expected = recorded(shared)["gcv_warmup1_poly3"]
    warm = Schedule(ScheduleConfig(warmup_epochs=6 / 7), 0.01, 28, 7)
    np.testing.assert_allclose(values(warm, 7), expected[:7], rtol=1e-6, atol=1e-12)
    rest = Schedule(ScheduleConfig(), 0.01, 20, 7)
    np.testing.assert_allclose(values(rest, 21), expected[7:], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("key", "base", "target"), [("semseg_poly_used", 0.01, 0), ("mmcv_poly_minlr", 1e-3, 1e-4)])
def test_other_systems(shared, key, base, target):
    expected = recorded(shared)[key]
    schedule = Schedule(ScheduleConfig(target_lr=target), base, len(expected), 7)
    np.testing.assert_allclose(values(schedule, len(expected)), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["poly", "cosine", "linear"])
def test_first_and_last_value(name):
    schedule = Schedule(ScheduleConfig(name=name, target_lr=0.001), 0.1, 50, 10)
    assert schedule(0) == pytest.approx(0.1)
    assert schedule(49) > 0.001
    assert schedule(50) == schedule(51) == pytest.approx(0.001)


@pytest.mark.parametrize("name", NAMES)
def test_warmup_rises_linearly_to_the_base_rate(name):
    config = ScheduleConfig(name=name, warmup_epochs=2, warmup_lr=0.02, step_epochs=[4])
    schedule = Schedule(config, 0.1, 60, 10)
    assert values(schedule, 21) == pytest.approx([0.02 + 0.08 * i / 20 for i in range(21)])
    assert schedule(60) == pytest.approx({"constant": 0.1, "step": 0.01}.get(name, 0))


def test_steps_are_counted_from_the_start_of_training():
    schedule = Schedule(ScheduleConfig(name="step", step_epochs=[1, 2.5], warmup_epochs=0.5), 1.0, 40, 10)
    assert [schedule(i) for i in (5, 9, 10, 24, 25, 39)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
