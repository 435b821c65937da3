"""What is behind the page: networks of every kind, windows, files of a result."""

from __future__ import annotations

import os
from html.parser import HTMLParser

import cv2
import mxnet as mx
import numpy as np
import pytest
from tiny import write_checkpoint

from mxnetseg import cli
from mxnetseg.demo import networks, result
from mxnetseg.demo.samples import write_samples
from mxnetseg.demo.worker import Worker
from mxnetseg.deploy.onnx import OnnxOptions, export_onnx
from mxnetseg.errors import CheckpointError, DataError
from mxnetseg.ready import ready_weights
from tests.demo.colors import CLASSES, stripes, write_network, write_picture


@pytest.fixture
def worker(tmp_path):
    with Worker({"colors": write_network(tmp_path)}, mx.cpu(), whole_limit=0.1) as ready:
        yield ready


def _ignore(done, total):
    pass


def test_small_pictures_run_in_one_piece(worker, tmp_path):
    done = worker.segment(write_picture(tmp_path / "a.png", (60, 90)), "colors", 10**6, _ignore)
    assert np.array_equal(done.labels, stripes((60, 90))[1])
    assert done.windows == 1


def test_large_pictures_run_in_windows_and_tell_how_far_they_are(worker, tmp_path):
    seen = []
    picture = write_picture(tmp_path / "a.png", (900, 1300), (0, 2, 1))
    done = worker.segment(picture, "colors", 10**7, lambda *now: seen.append(now))
    assert np.array_equal(done.labels, stripes((900, 1300), (0, 2, 1))[1])
    assert done.windows > 1
    assert seen == [(i, done.windows) for i in range(done.windows + 1)]


def test_it_ends_in_the_middle_of_a_picture(worker, tmp_path):
    seen = []

    def end_at_the_second(done, total):
        seen.append(done)
        if done == 1:
            worker.end()

    picture = write_picture(tmp_path / "a.png", (900, 1300))
    with pytest.raises(DataError, match="ending"):
        worker.segment(picture, "colors", 10**7, end_at_the_second)
    assert seen == [0, 1]


def test_too_many_pixels_are_refused_before_they_are_decoded(worker, tmp_path, monkeypatch):
    picture = write_picture(tmp_path / "a.png", (900, 1300))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(DataError, match="million pixels"):
        worker.segment(picture, "colors", 10**6, _ignore)


def test_unknown_network_is_refused(worker, tmp_path):
    with pytest.raises(DataError, match="no network '/etc/passwd'"):
        worker.segment(tmp_path / "a.png", "/etc/passwd", 10**6, _ignore)


def test_a_failure_leaves_the_worker_alive(worker, tmp_path):
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(DataError, match="not an image"):
        worker.segment(tmp_path / "b.png", "colors", 10**6, _ignore)
    assert worker.segment(write_picture(tmp_path / "a.png", (60, 90)), "colors", 10**6, _ignore).windows == 1


@pytest.mark.parametrize(
    "options",
    [
        OnnxOptions(),
        OnnxOptions(raw=True, output="labels"),
        OnnxOptions(output="probabilities"),
        OnnxOptions(raw=True, size=(64, 96)),
    ],
)
def test_onnx_files_give_what_the_checkpoint_gives(tmp_path, options):
    checkpoint = write_checkpoint(tmp_path / "tiny_best.params")
    exported, _ = export_onnx(checkpoint, tmp_path, options, sizes=[options.size or (64, 96)])
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), (96, 64))
    results = [networks.open_network(path, mx.cpu(), 3.0)[0](image, "picture") for path in (checkpoint, exported)]
    assert (results[0] == results[1]).mean() > 0.999
    assert len(np.unique(results[0])) > 1


def test_networks_of_a_folder_are_offered_newest_first_and_then_what_is_shipped(tmp_path):
    (tmp_path / "m").mkdir()
    symbol = write_network(tmp_path / "m")
    for age, name in enumerate(("a_best.params", "b.onnx")):
        (tmp_path / "m" / name).touch()
        os.utime(tmp_path / "m" / name, (age, age))
    found = networks.find_networks([], tmp_path)
    assert list(found)[:3] == [symbol.name, "b.onnx", "a_best.params"]
    assert list(found)[3:] == [f"{name}.params" for name, entry in ready_weights().items() if entry.url is None]
    assert list(found.values()) == list(networks.find_networks(list(map(str, found.values()))).values())


def test_same_names_are_told_apart_by_their_paths(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "n.onnx").touch()
    assert list(networks.find_networks([str(tmp_path / n / "n.onnx") for n in "ab"])) == [
        str(tmp_path / n / "n.onnx") for n in "ab"
    ]


@pytest.mark.parametrize("given", [["missing.onnx"], ["missing"]])
def test_no_network_is_an_error(tmp_path, given):
    with pytest.raises(CheckpointError):
        networks.find_networks(given, tmp_path)


class _Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.texts = []

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_files_and_legend_of_a_result(worker, tmp_path):
    done = worker.segment(write_picture(tmp_path / "a.png", (400, 2000), (1, 0, 0, 0)), "colors", 10**6, _ignore)
    files = result.write_files(tmp_path, "a", done)
    assert np.array_equal(cv2.imread(str(files.mask), cv2.IMREAD_UNCHANGED), done.labels)
    assert cv2.imread(str(files.overlay)).shape[0] == 400
    assert cv2.imread(str(files.photo)).shape == cv2.imread(str(files.classes)).shape == (320, 1600, 3)
    parser = _Cells()
    parser.feed(result.viewer(files, done, 1.0))
    cells = [text for text in parser.texts if text]
    assert [cells[i + 1] for i, text in enumerate(cells) if text in CLASSES] == ["75.0 %", "25.0 %"]


def test_samples_are_always_the_same(tmp_path):
    first, again = write_samples(tmp_path / "a", 1), write_samples(tmp_path / "b", 1)
    assert first[0].read_bytes() == again[0].read_bytes()


def test_without_gradio_the_command_says_what_to_type(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["demo"]) == 2
    assert "pip install -r requirements-demo.txt" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--max-pixels", "--max-megabytes", "--whole-limit"])
def test_limits_must_be_positive(flag, capsys):
    assert cli.main(["demo", flag, "0"]) == 2
    assert flag in capsys.readouterr().err
