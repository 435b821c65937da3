import fcntl
import io
import json
import os
import struct
import sys
import termios
import types
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.engine import wandb_sink
from mxnetseg.engine.logging import JsonLines, RunLogger, StepRow, plain
from mxnetseg.engine.wandb_sink import choose_mode, sweep_overrides

from .toy import trainer

NO_LOGIN = {"WANDB_API_KEY": None, "WANDB_MODE": None, "NETRC": "/nonexistent", "WANDB_SWEEP_ID": None}


@pytest.fixture
def no_login(monkeypatch):
    for name, value in NO_LOGIN.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    return monkeypatch


class FakeImage:
    def __init__(self, data, masks=None, caption=None):
        self.data, self.masks, self.caption = data, masks, caption


class FakeTable:
    def __init__(self, columns, data):
        self.columns, self.data = columns, data


class FakeRun:
    id, url = "abc123", "https://example.org/run"

    def __init__(self, fake):
        self.rows, self.metrics, self.summary, self.fake, self.exit_code = [], {}, {}, fake, None
        self.config = types.SimpleNamespace(update=lambda values, **_: self.settings.update(values))
        self.settings, self.dir = {}, "/somewhere/wandb/offline-run-1/files"

    def define_metric(self, name, **settings):
        self.metrics[name] = settings

    def log(self, row, step):
        if self.fake.broken:
            raise ConnectionError("gone")
        self.rows.append((step, row))

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def fake(monkeypatch):
    """A wandb module that keeps what it is given."""
    module = types.ModuleType("wandb")
    module.broken, module.run, module.runs, module.inits = False, None, [], []
    module.Image, module.Table, module.Settings = FakeImage, FakeTable, lambda **_: None

    def init(**settings):
        module.inits.append(settings)
        module.runs.append(FakeRun(module))
        return module.runs[-1]

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


MEDIA = ("val/per_class", "val/confusion", "val/pictures")
WANDB = ("log.wandb=toys", "train.val_interval=1", "train.log_interval=3")


def test_wandb_gets_plain_scalars_in_order(tmp_path, fake):
    trainer(tmp_path, *WANDB).fit()
    (run,) = fake.runs
    steps = [step for step, _ in run.rows]
    assert steps == sorted(steps)
    for _, row in run.rows:
        for key, value in row.items():
            assert type(value) in (int, float, bool, str) or key in (
                "val/per_class",
                "val/confusion",
                "val/pictures",
            ), key
    losses = [step for step, row in run.rows if "train/loss" in row]
    assert losses == list(range(1, 11))
    first = next(row for _, row in run.rows if "train/loss" in row)
    assert first.keys() >= {"train/loss", "train/lr", "train/img_per_s", "train/data_wait"}


def test_wandb_validation(tmp_path, fake):
    result = trainer(tmp_path, *WANDB).fit()
    rows = [row for _, row in fake.runs[0].rows if "val/mIoU" in row]
    assert len(rows) == 2
    keys = {"val/PA", "val/mIoU", "val/mAcc", "val_PA", "val_mIoU", "val_iou/car", "epoch"}
    assert rows[0].keys() >= keys
    assert [row[0] for row in rows[0]["val/per_class"].data] == ["sky", "road", "car"]
    picture = rows[0]["val/pictures"][0]
    layer = picture.masks["prediction"]
    assert layer["class_labels"] == {0: "sky", 1: "road", 2: "car"}
    assert layer["mask_data"].shape == picture.data.shape[:2] == (16, 16)
    assert picture.masks["ground_truth"]["mask_data"].min() >= 0
    assert fake.runs[0].summary["best/mIoU"] == result.best_metrics["mIoU"]
    assert fake.runs[0].metrics["val/mIoU"]["summary"] == "max"
    assert any("train_loss_epoch" in row for _, row in fake.runs[0].rows)


def test_wandb_settings(tmp_path, fake):
    result = trainer(tmp_path, *WANDB, "log.tags=[a, b]").fit()
    (settings,) = fake.inits
    assert (settings["project"], settings["name"], settings["tags"]) == ("toys", result.run_dir.name, ["a", "b"])
    assert fake.runs[0].settings["optimizer"]["lr"] == 0.1
    assert fake.runs[0].exit_code == 0


def test_resumed_training_continues_the_wandb_run(tmp_path, fake):
    part = trainer(tmp_path, *WANDB, "train.max_steps=4").fit()
    trainer(tmp_path, *WANDB, resume=part.state_path).fit()
    assert [i["id"] for i in fake.inits] == [None, "abc123"]
    assert fake.inits[1]["resume"] == "allow"
    assert [s for s, r in fake.runs[1].rows if "train/loss" in r] == list(range(5, 11))


def test_failing_wandb_does_not_stop_training(tmp_path, fake, caplog):
    run = trainer(tmp_path, *WANDB)
    run.loader.on_batch = lambda epoch, number: setattr(fake, "broken", number == 3)
    assert run.fit().steps == 10
    assert "going on without it" in caplog.text


def test_absent_wandb_does_not_stop_training(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert trainer(tmp_path, *WANDB).fit().steps == 10
    assert "wandb cannot be used" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "key", "expected"),
    [
        (None, None, "offline"),
        (None, "k" * 40, "online"),
        ("online", None, "offline"),
        ("offline", "k" * 40, "offline"),
        ("disabled", None, "disabled"),
    ],
)
def test_mode_never_needs_an_answer(no_login, wanted, key, expected):
    if key:
        no_login.setenv("WANDB_API_KEY", key)
    assert choose_mode(wanted) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machine api.wandb.ai login user password secret", "online"),
        ("machine example.org login user password secret", "offline"),
        ("machine", "offline"),
        (None, "offline"),
    ],
)
def test_login_is_looked_for_in_netrc(no_login, tmp_path, text, expected):
    if text:
        (tmp_path / "netrc").write_text(text + "\n")
    no_login.setenv("NETRC", str(tmp_path / "netrc"))
    no_login.delenv("WANDB_BASE_URL", raising=False)
    assert choose_mode(None) == choose_mode("online") == expected
    no_login.setenv("WANDB_MODE", "disabled")
    assert choose_mode(None) == "disabled"


def test_where_the_offline_run_is_gets_told(tmp_path, no_login, capfd):
    pytest.importorskip("wandb")
    run = trainer(tmp_path, *WANDB)
    run.progress = True
    result = run.fit()
    assert f"wandb sync {result.run_dir}" in capfd.readouterr().err


def test_sweep_parameters_set_configuration_keys(no_login, fake):
    from mxnetseg.config import Config
    from mxnetseg.train import resolve_sweep

    assert sweep_overrides() == {}
    no_login.setenv("WANDB_SWEEP_ID", "s1")
    fake.run = types.SimpleNamespace(config={"lr": 0.003, "train.ema": 0.5, "loss": {"name": "Dice"}})
    assert sweep_overrides() == {"lr": 0.003, "train.ema": 0.5}
    config = resolve_sweep(Config(), sweep_overrides())
    assert (config.optimizer.lr, config.train.ema) == (0.003, 0.5)


def test_sweep_that_cannot_be_read_has_no_parameters(no_login, fake, caplog):
    def fail(**_):
        raise ConnectionError("no network")

    fake.init = fail
    no_login.setenv("WANDB_SWEEP_ID", "s1")
    assert sweep_overrides() == {}
    assert "no network" in caplog.text


def test_wandb_without_pictures(tmp_path, fake):
    trainer(tmp_path, *WANDB, "log.images=0").fit()
    rows = [row for _, row in fake.runs[0].rows if "val/mIoU" in row]
    assert rows and all("val/pictures" not in row and "val/confusion" in row for row in rows)


def test_wandb_is_not_imported_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_sink, "open_wandb", lambda *_: pytest.fail("asked for wandb"))
    trainer(tmp_path).fit()


def test_json_lines_survive_a_cut_line(tmp_path):
    path = tmp_path / "log.jsonl"
    first = JsonLines(path)
    first.write("step", {"step": 1, "value": np.float32(0.5), "bad": float("nan")})
    first.close()
    path.write_text(path.read_text() + '{"event": "step", "st')
    second = JsonLines(path)
    second.write("step", {"step": 2})
    second.close()
    lines = path.read_text().splitlines()
    assert json.loads(lines[0])["value"] == 0.5
    assert json.loads(lines[0])["bad"] is None
    assert json.loads(lines[-1])["step"] == 2
    assert len(lines) == 3


def test_plain_values():
    value = plain(
        {"a": np.int64(3), "b": [np.float32(0.5), np.nan], "c": Path("x"), "d": np.arange(2), "e": np.bool_(1)}
    )
    assert value == {"a": 3, "b": [0.5, None], "c": "x", "d": [0, 1], "e": True}
    assert all(type(v) in (int, list, str, bool) for v in value.values())


def test_lines_where_there_is_no_terminal(tmp_path):
    stream = io.StringIO()
    logger = RunLogger(tmp_path / "log.jsonl", total=100, stream=stream)
    logger.steps([StepRow(9, 0.4, 2.0, 0.01, 3.5, 0.1), StepRow(10, 0.5, 1.0, 0.01, 3.5, 0.1)])
    logger.close()
    assert "step 10/100 epoch 0.50 loss 1.5000 lr 1.00e-02 img_s 3.50 data 10% ETA 0:" in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_bar_on_a_terminal_of_80_columns(tmp_path):
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with open(terminal, "w") as stream:
        logger = RunLogger(tmp_path / "log.jsonl", total=80000, initial=40000, stream=stream)
        logger.advance()
        logger.steps([StepRow(40001, 0.4, 2.0, 0.01, 3.5, 0.1)])
        logger.close()
        last = os.read(reader, 1 << 16).decode().rstrip().split("\r")[-1]
    os.close(reader)
    for value in (" 40001/80000 ", " left", "loss=2.0000", "lr=1.00e-02", "img_s=3.50", "data=10%"):
        assert value in last
    assert len(last) <= 80


def test_full_disk_is_said_once_and_stops_nothing(tmp_path, capsys, monkeypatch):
    log = JsonLines(tmp_path / "log.jsonl")

    class Full:
        closed = False

        def write(self, _):
            raise OSError(28, "No space left on device")

        flush = fileno = close = lambda self: self.write("")

    log._file.close()
    log._file = Full()
    for step in range(3):
        log.write("step", {"step": step})
        log.flush()
    log.close()
    said = capsys.readouterr().err
    assert said == f"cannot write {tmp_path / 'log.jsonl'}: No space left on device; going on\n"


def test_log_of_other_workers_is_kept_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = io.StringIO()
    logger = RunLogger(None, total=2, stream=stream, progress=False)
    logger.message("hello")
    logger.steps([StepRow(1, 0.5, 2.0, 0.01, 3.5, 0.1)])
    logger.steps([])
    logger.close()
    logger.close()
    assert stream.getvalue() == "" and not list(tmp_path.iterdir())
