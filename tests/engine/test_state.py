"""What a state says when it is continued elsewhere."""

from __future__ import annotations

import mxnet as mx
import pytest

from mxnetseg.engine.checkpoint import load_checkpoint, save_checkpoint
from mxnetseg.engine.weights import values
from mxnetseg.errors import CheckpointError

from .toy import trainer

SHORT = ("train.max_steps=3", "batch_size=4")


def test_other_files_are_no_state(tmp_path):
    part = trainer(tmp_path, *SHORT).fit()
    saved = load_checkpoint(part.last_path)
    path = part.state_path.with_name("other_last.state")
    save_checkpoint(path, saved.params, saved.meta)
    with pytest.raises(CheckpointError, match=r"other_last\.state holds no training state"):
        trainer(tmp_path, *SHORT, resume=path)


def test_another_number_of_contexts_is_said(tmp_path):
    part = trainer(tmp_path, *SHORT, contexts=[mx.cpu(0), mx.cpu(1)]).fit()
    same = trainer(tmp_path, *SHORT, contexts=[mx.cpu(0), mx.cpu(1)], resume=part.state_path)
    assert same.notes == []
    other = trainer(tmp_path, *SHORT, resume=part.state_path)
    assert other.notes == ["2 contexts before, 1 now: results agree but for rounding"]


def test_state_fills_every_context(tmp_path):
    part = trainer(tmp_path, *SHORT).fit()
    resumed = trainer(tmp_path, *SHORT, contexts=[mx.cpu(0), mx.cpu(1)], resume=part.state_path)
    saved = load_checkpoint(part.state_path).params
    for name, param in resumed.net._collect_params_with_prefix().items():
        assert len(param.list_data()) == 2
        for array in param.list_data():
            assert (array.asnumpy() == saved[name].asnumpy()).all(), name


def test_positions_are_kept(tmp_path):
    settings = ("train.val_interval=1", "train.ema=0.5", "train.save_interval=1", "log.images=0")
    part = trainer(tmp_path, *settings, "train.max_steps=7").fit()
    position = trainer(tmp_path, *settings, resume=part.state_path).position
    assert (position.step, position.epoch, position.batch) == (7, 1, 2)
    assert position.loss_count == 2 and position.loss_sum > 0
    assert position.best_metrics == part.best_metrics


def test_averages_are_needed_where_they_are_kept(tmp_path):
    part = trainer(tmp_path, *SHORT, "train.ema=0.5").fit()
    resumed = trainer(tmp_path, *SHORT, "train.ema=0.5", resume=part.state_path)
    kept = {k.removeprefix("ema/"): v for k, v in load_checkpoint(part.state_path).extra.items() if k[:4] == "ema/"}
    assert kept.keys() == resumed.ema.arrays.keys() and kept
    for name, array in resumed.ema.arrays.items():
        assert (array.asnumpy() == kept[name].asnumpy()).all()
        assert (array.asnumpy() != values(resumed.net)[name].asnumpy()).any(), name
