"""The tables and the picture of how cost scales, and what is measured for them."""

from __future__ import annotations

import functools
import importlib
import json

import cv2
import numpy as np
import pytest

from mxnetseg.tools import tables
from mxnetseg.tools.scaling import PATHS, picture, scaling_tables, sweep

VERSIONS = {"cpu": "a processor", "threads": "2", "versions": {"mxnet": "1.9.1"}}


def record(size=(256, 512), batch=1, threads=2, path="folded", median=100.0, quiet=True, network="a"):
    found = {"network": network, "path": path, "input": [batch, 3, *size], "threads": threads, "median": median}
    return found | {"quiet": quiet, "peak_rss_mib": 10 * median, "machine": VERSIONS | {"threads": str(threads)}}


PASSES = [
    record((512, 1024), median=400.4, quiet=False),
    record((512, 1024), path="onnxruntime", median=300.0),
    record(),
    record(batch=2, median=180.0),
    record(threads=1, median=190.0),
]
SPEED = {"data": "CamVid", "recipe": "camvid/x", "crop": [240, 320], "batch": 8, "cpus": 2, "bare": 300.0}
SPEED |= {"p5": 90.0, "p95": 110.0, "machine": VERSIONS}
LOADER = [
    SPEED | {"workers": 2, "median": 150.0, "quiet": False},
    SPEED | {"workers": 0, "median": 100.0, "quiet": True},
]


def records(passes=PASSES, loader=LOADER):
    return {"passes": {str(i): r for i, r in enumerate(passes)}, "loader": {str(r["workers"]): r for r in loader}}


def written(tmp_path, **parts):
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps(records(**parts)))
    return scaling_tables(path)


def test_tables_are_sorted_and_noise_is_in_brackets(tmp_path):
    text = written(tmp_path)
    assert text.startswith(
        "Measured on a processor, 2 threads; mxnet 1.9.1.\n\n## Input size\n\nMeasured at batch 1, 2 threads.\n\n"
    )
    assert [line for line in text.splitlines() if line.startswith(("| a", "| 0", "| 2", "##"))] == [
        "## Input size",
        "| a | 256x512 (0.13 MP) | 100 ms |  | 763 ms |  | 1000 MiB |  |",
        "| a | 512x1024 (0.52 MP) | (400 ms) |  | (764 ms) |  | 4004 MiB |  |",
        "## Batch",
        "| a | 1 | 100 ms |  | 10.00 |  | 1000 MiB |  |",
        "| a | 2 | 180 ms |  | 11.11 |  | 1800 MiB |  |",
        "## Threads",
        "| a | 1 | 190 ms |  | 1.00 |  | 1900 MiB |  |",
        "| a | 2 | 100 ms |  | 1.90 |  | 1000 MiB |  |",
        "## Data loading",
        "| 0 | 100 | 90 to 110 | 1.00 |",
        "| 2 | (150) | 90 to 110 | 1.50 |",
    ]


def test_what_is_not_recorded_has_no_section(tmp_path):
    assert written(tmp_path, passes=[]).count("## ") == 1
    assert "## Data loading" not in written(tmp_path, loader=[])


def test_a_sweep_is_the_longest_that_differs_in_one_thing():
    sizes = [(64, 128), (32, 64), (16, 32)]
    passes = [record(size) for size in sizes] + [record(size, threads=1) for size in sizes[:2]]
    ((name, found),) = sweep(passes, "size").items()
    assert name == ("a", "folded")
    assert found == passes[2::-1]
    assert [r["threads"] for r in sweep(passes, "threads")["a", "folded"]] == [1, 2]
    assert sweep(passes, "batch") == {}


def test_picture_shows_every_record():
    drawn = picture(records())
    assert cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_COLOR).shape == (750, 1200, 3)
    less = [records(PASSES[:3]), records(PASSES[2:]), records(loader=LOADER[1:]), records([]), records(loader=[])]
    other = records([*PASSES[:2], PASSES[2] | {"quiet": False}, *PASSES[3:]])
    assert len({drawn, *map(picture, [*less, other])}) == 7


@pytest.fixture
def program(monkeypatch):
    """benchmarks/scaling.py on two processors."""
    monkeypatch.syspath_prepend(tables.ROOT / "benchmarks")
    found = importlib.import_module("scaling")
    everything = {"size": (found.SIZES, [1], [2]), "batch": (found.SIZES[:1], found.BATCHES, [2])}
    monkeypatch.setattr(found, "TABLES", everything | {"threads": (found.SIZES[:1], [1], [1, 2])})
    return found


def run(program, monkeypatch, file, *words):
    monkeypatch.setattr("sys.argv", ["scaling.py", "--json", str(file), *words])
    code = program.main()
    return code, json.loads(file.read_text())


@pytest.fixture
def calls(program, monkeypatch):
    """What the program asks to be measured; it gets times in proportion to the work, and FCN fails for four images."""
    made = []

    def benchmark(words, threads):
        made.append((*words, threads))
        value = dict(zip(words[1::2], words[2::2], strict=True))
        size, batch, slow = [*map(int, value["--size"].split("x"))], int(value["--batch"]), "FCN" in words[0]
        if slow and batch == 4:
            return {"results": []}
        median = (4 if slow else 1) * batch * size[0] * size[1] / threads / 1e3
        latency = {"median": median, "p5": median, "p95": median, "mean": median}
        protocol = {"input": [batch, 3, *size], "cpu": "a", "threads": str(threads), "versions": {}}
        result = {"path": value["--path"], "latency_ms": latency, "noise": {"conclusive": True}}
        return {"results": [result | {"protocol": protocol, "peak_rss_mib": 1.0}]}

    monkeypatch.setattr(program, "benchmark", benchmark)
    return made


def test_all_is_measured_once_but_what_would_take_too_long(program, calls, monkeypatch, tmp_path, capsys):
    file, kinds = tmp_path / "new" / "scaling.json", ("--only", "size", "batch", "threads")
    code, found = run(program, monkeypatch, file, *kinds)
    told = capsys.readouterr()
    assert code == 1
    assert told.err.count("not measured: FCN, ResNet-50, 4x256x512, 2 threads, ") == len(PATHS)
    assert told.out.count("FCN, ResNet-50, 1x2048x4096, 2 threads, folded: left out, a pass would take 17 s") == 1
    # Seven sizes, three more batches, one more thread count; FCN without its largest size.
    assert len(calls) == len(set(calls)) == len(PATHS) * (11 + 10)
    assert len(found["passes"]) == len(PATHS) * (11 + 9)
    calls.clear()
    assert run(program, monkeypatch, file, *kinds) == (1, found)
    assert len(calls) == len(PATHS), "only what failed"
    calls.clear()
    assert run(program, monkeypatch, file, "--only", "threads", "--again") == (0, found)
    assert len(calls) == len(PATHS) * 2 * 2


def test_noisy_measurements_are_repeated_if_asked_for(program, calls, monkeypatch, tmp_path):
    file = tmp_path / "scaling.json"
    _, found = run(program, monkeypatch, file, "--only", "threads")
    name = next(iter(found["passes"]))
    noisy = found["passes"] | {name: found["passes"][name] | {"quiet": False}}
    file.write_text(json.dumps(found | {"passes": noisy}))
    calls.clear()
    run(program, monkeypatch, file, "--only", "threads")
    assert not calls
    assert run(program, monkeypatch, file, "--only", "threads", "--noisy") == (0, found)
    assert len(calls) == 1


def test_slow_passes_are_few(program):
    assert program.passes(None, False) == (2, 7)
    assert program.passes(0.1, False) == (2, 7)
    assert program.passes(1.5, False) == (1, 4)
    assert program.passes(10.0, False) == (1, 3)


def test_loading_is_measured_on_generated_scenes_without_camvid(program, monkeypatch, tmp_path):
    monkeypatch.setenv("MXNETSEG_DATA", str(tmp_path))
    monkeypatch.setattr(program, "IMAGES", 16)
    code, found = run(program, monkeypatch, tmp_path / "scaling.json", "--only", "loader", "--fast")
    assert code == 0
    assert [*found["loader"]] == ["0", "1"]
    for workers, loaded in found["loader"].items():
        assert (loaded["workers"], loaded["data"], loaded["crop"]) == (int(workers), "Synthetic", [240, 320])
        assert 0 < loaded["p5"] <= loaded["median"] <= loaded["p95"]
    monkeypatch.setattr(program, "loader_record", None)  # what is recorded is not measured
    assert run(program, monkeypatch, tmp_path / "scaling.json", "--only", "loader", "--fast") == (0, found)


def test_a_wrong_folder_of_camvid_is_an_error(program, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="folder of CamVid not found"):
        run(program, monkeypatch, tmp_path / "scaling.json", "--only", "loader", "--root", str(tmp_path / "none"))


def test_a_measurement_that_dies_says_how(program, monkeypatch, capfd):
    """Not even its standard error tells otherwise."""
    realtime = importlib.import_module("realtime")
    monkeypatch.setattr(realtime.subprocess, "run", functools.partial(_killed, realtime.subprocess.run))
    assert realtime.benchmark(["a", "network"]) is None
    assert capfd.readouterr().err == "ended by SIGFPE: a network\n"


def _killed(start, _call, **options):
    return start(["/bin/sh", "-c", "kill -FPE $$"], **options)
