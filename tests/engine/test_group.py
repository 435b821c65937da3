"""Sums and shares of the workers of a distributed run, played by one process."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from mxnetseg.engine.group import Group, join
from mxnetseg.errors import ConfigError


class Alike(Group):
    """One of several workers that all hold the same; servers add in float32, one after the other."""

    def __init__(self, size, rank=0):
        self.size, self.rank = size, rank

    def add(self, array, name):
        own = array.copy()
        for _ in range(self.size - 1):
            array += own


class Follower(Group):
    """Worker 1, to whom worker 0 sends something."""

    rank, size = 1, 2

    def __init__(self, sent):
        self.sent = sent

    def add(self, array, name):
        array += nd.array(self.sent, dtype=array.dtype)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_are_even_whole_and_in_order(count, size):
    shares = [Alike(size, rank).share(range(count)) for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(count))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1 and lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("size", [1, 2, 256])
@pytest.mark.parametrize("value", [0, 1, 2**16 - 1, 2**24 + 1, 2**48 + 12345, 2**54 + 2**33 + 1])
def test_whole_numbers_are_added_exactly(size, value):
    values = np.array([[value, 0], [1, value]])
    total = Alike(size).total(values, "counts")
    assert total.dtype == np.int64
    assert (total == size * values).all()


def test_other_numbers_keep_their_type():
    values = np.array([0.5, -3.25])
    total = Alike(3).total(values, "losses")
    assert total.dtype == np.float64 and total.tolist() == [1.5, -9.75]


@pytest.mark.parametrize("text", ["", "run_2026", "Straße, 道路"])
def test_text_of_the_first_reaches_all(text):
    assert Group().from_first(text) == text
    sent = np.zeros(4096)
    sent[: len(text.encode())] = list(text.encode())
    follower = Follower(sent)
    assert follower.from_first("something else") == text
    if text:
        with pytest.raises(ConfigError, match="worker 1 has another commit than worker 0: mine instead of"):
            follower.require_same("commit", "mine")
    follower.require_same("commit", text)


def test_followers_take_the_arrays_of_the_first():
    mine = nd.array([1, 2, 3])
    Follower([7, 8, 9]).spread([mine])
    assert mine.asnumpy().tolist() == [7, 8, 9]
    Group().spread([mine])
    assert mine.asnumpy().tolist() == [7, 8, 9]


def test_process_without_a_job_is_alone(monkeypatch):
    for name in ("DMLC_ROLE", "DMLC_PS_ROOT_URI"):
        monkeypatch.delenv(name, raising=False)
    group = join([mx.cpu()])
    assert type(group) is Group and (group.rank, group.size, group.kvstore) == (0, 1, "device")
    assert group.close() is None
