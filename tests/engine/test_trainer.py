"""The training loop on a network of a few hundred weights."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.engine.checkpoint import load_checkpoint
from mxnetseg.engine.group import Group
from mxnetseg.engine.signals import StopRequest
from mxnetseg.engine.weights import values
from mxnetseg.errors import CheckpointError, ConfigError, TrainingError

from .toy import ToyLoader, ToyNet, config, trainer


def digest(run):
    """SHA-1 of weights, averages and optimizer states."""
    sha = hashlib.sha1()
    arrays = {**values(run.net), **run.updater.states(), **(run.ema.arrays if run.ema else {})}
    for name in sorted(arrays):
        sha.update(name.encode() + arrays[name].asnumpy().tobytes())
    return sha.hexdigest()


def events(result, kind):
    rows = [json.loads(line) for line in (result.run_dir / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == kind]


SETTINGS = {
    "sgd": (),
    "adam-ema-warmup": ("optimizer.name=adam", "lr=0.01", "train.ema=0.9", "schedule.warmup_epochs=1"),
    "adamw-validated": ("optimizer.name=adamw", "lr=0.01", "train.val_interval=1", "train.ema=0.5"),
    "nag-accumulate-3": ("optimizer.name=nag", "optimizer.accumulate=3", "train.save_interval=1"),
    "clipped-cosine": ("optimizer.clip_norm=0.01", "schedule.name=cosine"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_resumed_run_equals_uninterrupted_one(tmp_path, name):
    whole = trainer(tmp_path, *SETTINGS[name])
    steps = whole.fit().steps
    assert digest(whole) != digest(trainer(tmp_path, *SETTINGS[name]))
    for cut in sorted({1, 3, steps - 1}):
        part = trainer(tmp_path, *SETTINGS[name], f"train.max_steps={cut}").fit()
        assert part.steps == cut
        resumed = trainer(tmp_path, *SETTINGS[name], resume=part.state_path)
        assert resumed.position.step == cut
        result = resumed.fit()
        assert result.steps == steps
        assert digest(resumed) == digest(whole), cut
        assert result.run_dir == part.run_dir
        assert [row["step"] for row in events(result, "step")] == list(range(1, steps + 1))


@pytest.mark.parametrize("steps", [7, 23])
def test_run_measured_in_updates(tmp_path, steps):
    """Longer or shorter than the epochs, the schedule ends with it."""
    run = trainer(tmp_path, f"train.steps={steps}")
    assert run.fit().steps == steps == run.schedule.steps


def test_logged_losses_are_those_of_their_steps(tmp_path):
    """Losses are fetched late; static memory must not have been reused by then."""
    late = trainer(tmp_path, "train.log_interval=100").fit()
    once = trainer(tmp_path, "train.log_interval=1").fit()
    losses = [[row["train/loss"] for row in events(r, "step")] for r in (late, once)]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == len(losses[0]) == 10


def test_loop_equals_a_bare_gluon_loop(tmp_path):
    """Same weights as the five lines that anyone would write."""
    overrides = ("momentum=0.9", "wd=0.001", "schedule.name=constant", "loss.aux_weight=0.3")
    run = trainer(tmp_path, *overrides, dropout=0)
    net = ToyNet(dropout=0)
    net.prepare()
    for key, param in net._collect_params_with_prefix().items():
        param.set_data(values(run.net)[key])
    run.fit()
    settings = {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.001}
    bare = gluon.Trainer(net.collect_params(), "sgd", settings)
    ce = gluon.loss.SoftmaxCELoss(axis=1)
    for epoch in range(2):
        for batch in ToyLoader().epoch(epoch):
            label, mask = nd.array(batch.label), nd.array(batch.label >= 0)
            with autograd.record():
                outputs = net(nd.array(batch.image))
                terms = [ce(y, label.expand_dims(1), mask.expand_dims(1)).sum() * 16 * 16 for y in outputs]
                loss = (terms[0] + 0.3 * terms[1]) / batch.valid
            loss.backward()
            bare.step(1)
    for key, value in values(net).items():
        np.testing.assert_allclose(values(run.net)[key].asnumpy(), value.asnumpy(), rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("norm", ["gn", "frozen bn"])
def test_two_contexts_equal_one(tmp_path, norm):
    overrides = ["batch_size=4", "epochs=5", "momentum=0.9"]
    overrides += ["train.freeze_bn=true"] if norm == "frozen bn" else []
    runs = []
    for contexts in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)], [mx.cpu(i) for i in range(3)]):
        run = trainer(tmp_path, *overrides, contexts=contexts, norm=norm.split()[-1], dropout=0)
        before = {k: v.copy() for k, v in values(run.net).items()}
        assert run.fit().steps == 10
        runs.append(run)
    one = values(runs[0].net)
    moved = max(float((one[k] - before[k]).abs().max().asscalar()) for k in one)
    assert moved > 0.01
    for run in runs[1:]:
        for key, param in run.net._collect_params_with_prefix().items():
            for data in param.list_data():
                np.testing.assert_allclose(data.asnumpy(), one[key].asnumpy(), rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("dropout", [0, 0.5])
def test_devices_and_steps_drop_out_differently(tmp_path, dropout):
    run = trainer(tmp_path, "batch_size=4", contexts=[mx.cpu(0), mx.cpu(1)], norm="gn", dropout=dropout)
    batch = next(ToyLoader(batch=4).epoch(0))
    batch.image[2:], batch.label[2:] = batch.image[:2], batch.label[:2]
    first, again, other = ([float(x.asscalar()) for x in run.compute(batch, n)] for n in (0, 0, 1))
    assert first == again
    assert (first[0] != first[1]) == (first[0] != other[0]) == bool(dropout)


def test_accumulated_batches_equal_a_large_one(tmp_path):
    """Three batches of equal numbers of labelled pixels into one update = their mean gradient."""
    runs = {n: trainer(tmp_path, f"optimizer.accumulate={n}", "momentum=0", "wd=0", norm="gn") for n in (1, 2)}
    batches = [list(ToyLoader().epoch(0))[i] for i in (0, 1)]
    gradients = {}
    for n, run in runs.items():
        for batch in batches:
            run.compute(batch, 0)
            grads = {k: p.grad().copy() for k, p in run.updater.params.items()}
            gradients.setdefault(n, []).append(grads)
    for key, total in gradients[2][-1].items():
        parts = sum(g[key] for g in gradients[1])
        np.testing.assert_allclose(total.asnumpy(), parts.asnumpy(), rtol=1e-4, atol=1e-6)
    runs[2].updater.step(0.1, 1 / 2)
    assert all(not p.grad().asnumpy().any() for p in runs[2].updater.params.values())


def test_last_update_of_an_epoch_takes_what_is_left(tmp_path):
    result = trainer(tmp_path, "optimizer.accumulate=3").fit()
    assert [row["epoch"] for row in events(result, "step")] == pytest.approx([0.6, 1.0, 1.6, 2.0])


def test_frozen_statistics_stay(tmp_path):
    runs = [trainer(tmp_path, f"train.freeze_bn={frozen}") for frozen in ("true", "false")]
    moved = []
    for run in runs:
        before = values(run.net)["norm.running_mean"].asnumpy()
        run.fit()
        moved.append(np.abs(values(run.net)["norm.running_mean"].asnumpy() - before).max())
    assert moved[0] == 0 < moved[1]


def test_momentum_of_statistics(tmp_path):
    """After one update of momentum m a statistic has gone 1 - m of its way."""
    moved = []
    for momentum in (0.5, 0.9):
        run = trainer(tmp_path, f"train.bn_momentum={momentum}", "train.max_steps=1")
        before = values(run.net)["norm.running_mean"].asnumpy()
        run.fit()
        moved.append(values(run.net)["norm.running_mean"].asnumpy() - before)
    np.testing.assert_allclose(moved[0], 5 * moved[1], rtol=1e-3, atol=1e-6)
    assert np.abs(moved[0]).max() > 1e-3


def test_averaged_weights_are_what_is_saved(tmp_path):
    run = trainer(tmp_path, "train.ema=0.99", "train.val_interval=1")
    result = run.fit()
    saved = load_checkpoint(result.last_path).params
    for name, array in values(run.net).items():
        average = run.ema.arrays.get(name, array)
        np.testing.assert_array_equal(saved[name].asnumpy(), average.asnumpy())
    state = load_checkpoint(result.state_path)
    np.testing.assert_array_equal(state.params["head.weight"].asnumpy(), run.net.head.weight.data().asnumpy())
    assert (saved["head.weight"] != state.params["head.weight"]).asnumpy().any()


def test_checkpoint_describes_itself(tmp_path):
    result = trainer(tmp_path, "train.val_interval=1").fit()
    meta = load_checkpoint(result.best_path).meta
    assert meta["classes"] == ["sky", "road", "car"]
    assert meta["palette"][1] == [128, 64, 128]
    assert meta["metrics"]["mIoU"] == result.best_metrics["mIoU"]
    assert meta["config"]["train"]["epochs"] == 2
    assert meta["step"] == result.best_metrics["step"]
    assert load_checkpoint(result.best_path).extra == {}


def test_names_of_files(tmp_path):
    result = trainer(tmp_path, "model.name=bisenet", "data.name=camvid", "train.val_interval=1").fit()
    stem = result.run_dir.name
    assert stem.startswith("bisenet_resnet18_camvid_2")
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".sha256"}
    folder = f"weights/bisenet/{stem}"
    assert names >= {f"{folder}.params", f"{folder}_best.params", f"{folder}_last.state", f"runs/{stem}/log.jsonl"}
    assert (result.run_dir / "config.yaml").exists()


def test_early_stopping(tmp_path):
    run = trainer(tmp_path, "epochs=20", "train.val_interval=1", "train.early_stop=2", "lr=1e-9", dropout=0)
    run.evaluator.evaluate = lambda *_, evaluate=run.evaluator.evaluate, **k: evaluate(ToyFixed(), [mx.cpu()], **k)
    assert run.fit().steps == 3 * 5


class ToyFixed:
    """A prediction that never improves."""

    def __call__(self, x):
        return (nd.ones((2, 3, 16, 16)),)


@pytest.mark.parametrize("interval", [1, 4])
def test_nan_stops_with_the_files_and_keeps_the_last_good_state(tmp_path, interval):
    run = trainer(tmp_path, f"train.log_interval={interval}", "train.save_interval=2", poison=6)
    with pytest.raises(TrainingError, match=r"step 7 is nan.*image1_1_0, image1_1_1"):
        run.fit()
    state = load_checkpoint(run.paths.state)
    assert state.meta["position"]["step"] == 6 if interval == 1 else 4
    assert all(np.isfinite(v.asnumpy()).all() for v in state.params.values())
    resumed = trainer(tmp_path, "train.save_interval=2", resume=run.paths.state)
    assert resumed.fit().steps == 10


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    run = trainer(tmp_path, "train.save_interval=2")
    step = run.updater.step

    def explode(*args):
        step(*args)
        if run.position.step == 3:
            run.net.head.weight.data()[:] = np.inf

    run.updater.step = explode
    with pytest.raises(TrainingError, match="weights are not finite after step 4"):
        run.fit()
    assert load_checkpoint(run.paths.state).meta["position"]["step"] == 2


def test_lost_data_keep_what_was_trained(tmp_path):
    def lose(epoch, number):
        if (epoch, number) == (1, 2):
            raise TrainingError("a worker died")

    run = trainer(tmp_path, "train.ema=0.9")
    run.loader.on_batch = lose
    with pytest.raises(TrainingError, match="a worker died"):
        run.fit()
    resumed = trainer(tmp_path, "train.ema=0.9", resume=run.paths.state)
    assert resumed.position.step == 7
    resumed.fit()
    whole = trainer(tmp_path, "train.ema=0.9")
    whole.fit()
    assert digest(resumed) == digest(whole)


def test_moved_run_continues_beside_its_state(tmp_path):
    part = trainer(tmp_path / "a", "train.max_steps=3").fit()
    (tmp_path / "a").rename(tmp_path / "b")
    state = tmp_path / "b" / part.state_path.relative_to(tmp_path / "a")
    result = trainer(tmp_path / "b", resume=state).fit()
    assert result.state_path == state
    assert result.run_dir == tmp_path / "b" / "runs" / part.run_dir.name
    assert len(events(result, "step")) == 10
    assert not (tmp_path / "a").exists()


SCRIPT = """
import sys, pathlib, os, signal
sys.path.insert(0, sys.argv[1])
import mxnetseg
from engine.toy import trainer
run = trainer(pathlib.Path(sys.argv[2]), "epochs=4", "train.ema=0.9", resume=sys.argv[5] if len(sys.argv) > 5 else None)
def send(epoch, number):
    if epoch * 5 + number == int(sys.argv[3]):
        os.kill(os.getpid(), int(sys.argv[4]))
run.loader.on_batch = send
run.progress = True
sys.exit(run.fit().exit_code)
"""


def subprocess_run(folder, *arguments):
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tests), str(folder), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_resumes(tmp_path, number):
    done = subprocess_run(tmp_path, 7, int(number))
    assert done.returncode == 128 + number, done.stderr
    state = next(tmp_path.rglob("*_last.state"))
    assert f"--resume {state}" in done.stderr
    assert load_checkpoint(state).meta["position"]["step"] == 8
    whole = trainer(tmp_path / "whole", "epochs=4", "train.ema=0.9")
    whole.fit()
    resumed = trainer(tmp_path, "epochs=4", "train.ema=0.9", resume=state)
    assert resumed.fit().steps == 20
    assert digest(resumed) == digest(whole)


def test_second_signal_leaves_at_once(tmp_path):
    code = SCRIPT.replace("os.kill(os.getpid(), int(sys.argv[4]))", "[os.kill(os.getpid(), 2) for _ in range(2)]")
    command = [sys.executable, "-W", "ignore", "-c", code, str(Path(__file__).parents[1]), str(tmp_path), "7", "2"]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 130
    state = load_checkpoint(next(tmp_path.rglob("*_last.state")))
    assert state.meta["position"]["step"] == 5


class AskedElsewhere(Group):
    """One of two workers; the other one was asked to stop before the third batch."""

    size = 2

    def __init__(self):
        self.batches = 0

    def add(self, array, name):
        if name == "batch":
            self.batches += 1
            array[1] = self.batches >= 3


@pytest.mark.parametrize(("images", "interval"), [(4, 100), (10, 1), (10, 2), (10, 100)])
def test_worker_stops_when_another_was_asked(tmp_path, images, interval):
    """However short epochs are and however often losses are fetched."""
    run = trainer(tmp_path, "epochs=100", f"train.log_interval={interval}", count=images)
    run.group = AskedElsewhere()
    result = run.fit()
    assert 3 <= result.steps <= 6
    assert result.exit_code == 128 + signal.SIGTERM
    assert load_checkpoint(result.state_path).meta["position"]["step"] == result.steps


def test_own_signal_after_that_of_another_worker_still_asks(monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    stop = StopRequest(alone=False)
    stop.agree()
    stop._handle(signal.SIGINT, None)
    assert (left, stop.exit_code) == ([], 130)
    stop._handle(signal.SIGINT, None)
    assert left == [130]


@pytest.mark.parametrize("what", ["file", "folder", "auto"])
def test_what_resume_takes(tmp_path, what):
    part = trainer(tmp_path, "train.save_interval=3").fit()
    resume = {"file": part.state_path, "folder": part.run_dir, "auto": "auto"}[what]
    run = trainer(tmp_path, "train.save_interval=3", resume=resume)
    assert run.position.step == 10
    assert run.fit().run_dir == part.run_dir


def test_auto_begins_anew_without_a_state_of_this_configuration(tmp_path):
    trainer(tmp_path, "lr=0.2").fit()
    run = trainer(tmp_path, resume="auto")
    assert run.position.step == 0
    assert "starting anew" in run.notes[0]
    run.fit()


def test_contradictions_are_said(tmp_path):
    part = trainer(tmp_path, "train.max_steps=3").fit()
    with pytest.raises(ConfigError, match=r"optimizer.name was 'sgd', is 'adam'"):
        trainer(tmp_path, "optimizer.name=adam", resume=part.state_path)
    changed = trainer(tmp_path, "lr=0.05", "train.max_steps=3", resume=part.state_path)
    assert changed.notes == ["optimizer.lr was 0.1, is now 0.05"]
    changed.fit()
    with pytest.raises(CheckpointError, match="batches per epoch"):
        trainer(tmp_path, "train.max_steps=3", resume=part.state_path, count=20)


def test_another_number_of_threads_is_said(tmp_path, monkeypatch):
    part = trainer(tmp_path, "train.max_steps=3").fit()
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    notes = trainer(tmp_path, "train.max_steps=3", resume=part.state_path).notes
    assert any("OMP_NUM_THREADS" in note and "'77'" in note for note in notes)


def test_weights_are_no_state(tmp_path):
    part = trainer(tmp_path).fit()
    with pytest.raises(CheckpointError, match="weights only") as caught:
        trainer(tmp_path, resume=part.last_path)
    assert str(part.state_path) in caught.value.remedy
    with pytest.raises(CheckpointError, match="does not exist"):
        trainer(tmp_path, resume=tmp_path / "no.state")


def test_fine_tuning_lists_what_differs(tmp_path):
    part = trainer(tmp_path).fit()
    checkpoint = load_checkpoint(part.last_path)
    run = trainer(tmp_path, f"model.init={part.last_path}")
    for name, value in values(run.net).items():
        np.testing.assert_array_equal(value.asnumpy(), checkpoint.params[name].asnumpy())
    assert run.position.step == 0
    assert f"{len(checkpoint.params)} tensors loaded" in run.notes[0]


@pytest.mark.parametrize(
    ("override", "contexts", "word"),
    [
        ("model.norm=syncbn", 2, "SyncBatchNorm"),
        ("train.amp=true", 1, "amp"),
        ("batch_size=1", 2, "contexts"),
    ],
)
def test_unusable_settings_are_refused_before_anything_starts(tmp_path, override, contexts, word):
    with pytest.raises(ConfigError, match=word):
        trainer(tmp_path, override, contexts=[mx.cpu(i) for i in range(contexts)])
    assert not list(tmp_path.iterdir())


def test_no_validation_no_best(tmp_path):
    result = trainer(tmp_path).fit()
    assert result.best_path is None
    assert result.last_path.exists()
    assert config(tmp_path).train.val_interval == 0
    assert os.path.samefile(result.state_path.parent, result.last_path.parent)


@pytest.mark.parametrize(
    ("damage", "resume"), [("cut", "file"), ("cut", "auto"), ("flipped", "file"), ("flipped", "auto"), ("gone", "file")]
)
def test_damaged_state_gives_way_to_the_one_before_it(tmp_path, damage, resume):
    part = trainer(tmp_path, "train.save_interval=1", "train.max_steps=4").fit()
    state, data = part.state_path, part.state_path.read_bytes()
    state.write_bytes({"cut": data[:-20], "flipped": data[:300] + b"?" + data[301:], "gone": data}[damage])
    if damage == "gone":
        state.unlink()
    run = trainer(tmp_path, "train.save_interval=1", "train.max_steps=4", resume="auto" if resume == "auto" else state)
    assert run.position.step == 3
    assert state.name in run.notes[0] and "_previous.state" in run.notes[0]
    assert load_checkpoint(state).meta["position"]["step"] == 3, "the damaged one must not replace the good one"
    assert run.fit().steps == 4
    assert load_checkpoint(run.paths.previous).meta["position"]["step"] == 3
