from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.data import EvalLoader, TrainLoader, build_dataset
from mxnetseg.errors import DataError, TrainingError

from .conftest import mask, write

STEPS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def loader(config, workers=0, batch=3, seed=5):
    return TrainLoader(build_dataset(config, "train"), config, (16, 16), batch, seed, workers)


def content(batch):
    return batch.image.tobytes(), batch.label.tobytes(), tuple(batch.names), tuple(batch.indices), batch.valid


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def reference(own):
    config = own()
    with loader(config) as source:
        return config, {(e, b): content(x) for e in (0, 1) for b, x in enumerate(source.epoch(e))}


def test_batches(reference):
    config, batches = reference
    assert list(batches) == STEPS
    with loader(config) as source:
        batch = next(iter(source.epoch(0)))
    assert batch.image.shape == (3, 3, 16, 16)
    assert batch.image.dtype == np.float32
    assert batch.label.dtype == np.int32
    assert batch.valid == (batch.label >= 0).sum()
    assert batch.names == [f"images/train/{i:02d}" for i in batch.indices]
    assert len({i for b in range(2) for i in batches[0, b][3]}) == 6
    assert batches[0, 0][3] != batches[1, 0][3]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_nothing(reference, workers):
    config, batches = reference
    with loader(config, workers) as source:
        assert {(e, b): content(x) for e in (0, 1) for b, x in enumerate(source.epoch(e))} == batches


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_within_an_epoch(reference, workers):
    config, batches = reference
    with loader(config, workers) as source:
        assert [content(b) for b in source.epoch(1, start=1)] == [batches[1, 1]]
        for _ in source.epoch(0):
            break
        assert [content(b) for b in source.epoch(1)] == [batches[1, 0], batches[1, 1]]


def test_the_seed_changes_batches(reference):
    config, batches = reference
    with loader(config, seed=6) as source:
        assert content(next(iter(source.epoch(0)))) != batches[0, 0]


def test_too_few_images(own):
    with pytest.raises(DataError, match="8 images, a batch 9"):
        loader(own(), batch=9)


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_images_are_replaced_and_counted(own, tmp_path, workers):
    config = own(max_bad_samples=2)
    (tmp_path / "images/train/03.png").write_bytes(b"")
    write(tmp_path / "masks/train/05.png", mask(5, [0, 1], (10, 10)))
    seen = []
    for _ in range(2):
        with loader(config, workers, batch=4) as source:
            seen.append([content(b) for e in range(2) for b in source.epoch(e)])
            assert sorted(Path(f).name for f, _ in source.skipped) == ["03.png", "05.png"]
            assert any("10x10" in reason for _, reason in source.skipped)
    assert seen[0] == seen[1]
    assert not {3, 5} & {i for batch in seen[0] for i in batch[3]}


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_damaged_images(own, tmp_path, workers):
    config = own()
    (tmp_path / "images/train/03.png").write_bytes(b"x")
    with loader(config, workers, batch=4) as source, pytest.raises(DataError, match=r"03\.png.*not an image"):
        list(source.epoch(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_labels_outside_the_classes_always_stop(own, workers):
    config = own(values=(0, 1, 7), max_bad_samples=100)
    with loader(config, workers) as source, pytest.raises(DataError, match="outside the 3 classes: 7"):
        list(source.epoch(0))


def test_a_killed_worker_is_an_error(own):
    source = loader(own(), 2).start()
    pids, batches = source.worker_pids, source.epoch(0)
    next(batches)
    os.kill(pids[1], signal.SIGKILL)
    begin = time.monotonic()
    with pytest.raises(TrainingError, match=rf"worker 1 \(process {pids[1]}\) was killed by SIGKILL"):
        for epoch in range(100):
            list(source.epoch(epoch))
    assert time.monotonic() - begin < 10
    assert wait_until(lambda: not any(map(alive, pids)))


def test_a_failing_dataset_shows_its_traceback(own):
    source = loader(own(), 1)
    source.dataset.sample_name = 5
    with source, pytest.raises(TrainingError, match="TypeError: 'int' object is not callable"):
        list(source.epoch(0))


def test_nothing_is_left_after_close(own):
    before = set(os.listdir("/dev/shm"))
    descriptors = len(os.listdir("/proc/self/fd"))
    source = loader(own(), 2).start()
    pids = source.worker_pids
    for _ in source.epoch(0):
        break
    source.close()
    source.close()
    assert not any(map(alive, pids))
    assert set(os.listdir("/dev/shm")) <= before
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1  # the memory of batches in use stays mapped


# A process started in the background of a shell inherits that SIGINT is ignored.
_SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from mxnetseg.config import DataConfig
from mxnetseg.data import TrainLoader, build_dataset
config = DataConfig.model_validate_json(sys.argv[1])
loader = TrainLoader(build_dataset(config, "train"), config, (16, 16), 3, 0, 2).start()
print(*loader.worker_pids, flush=True)
for epoch in range(10**9):
    for batch in loader.epoch(epoch):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(own, number):
    command = [sys.executable, "-c", _SCRIPT, own().model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(number)
        try:
            parent.wait(30)
        finally:
            parent.kill()
    assert wait_until(lambda: not any(map(alive, pids)))


def test_ctrl_c_does_not_reach_workers(own):
    with loader(own(), 1) as source:
        next(iter(source.epoch(0)))
        os.kill(source.worker_pids[0], signal.SIGINT)
        assert os.getpgid(source.worker_pids[0]) != os.getpgid(0)
        assert len(list(source.epoch(0))) == 2


def test_workers_do_not_import_mxnet(own):
    with loader(own(), 1) as source:
        next(iter(source.epoch(0)))
        maps = Path(f"/proc/{source.worker_pids[0]}/maps").read_text()
    assert "libmxnet" not in maps


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_evaluation_reads_in_order(own, workers):
    dataset = build_dataset(own(), "train")
    examples = list(EvalLoader(dataset, workers))
    assert [e.index for e in examples] == list(range(8))
    assert all(np.array_equal(e.image, dataset.read_image(e.index)) for e in examples)
    assert all(np.array_equal(e.label, dataset.read_label(e.index)) for e in examples)
    assert [e.index for e in EvalLoader(dataset, workers, limit=3)] == [0, 1, 2]


def test_evaluation_skips_damaged_images_within_the_limit(own, tmp_path):
    dataset = build_dataset(own(), "train")
    (tmp_path / "images/train/03.png").write_bytes(b"")
    source = EvalLoader(dataset, 1, max_bad_samples=1)
    assert [e.index for e in source] == [0, 1, 2, 4, 5, 6, 7]
    assert len(source.skipped) == 1
    with pytest.raises(DataError, match=r"03\.png"):
        list(EvalLoader(dataset, 1))
