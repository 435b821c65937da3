"""``mxnetseg benchmark``: what it measures, on what, and when it refuses to conclude."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import onnxruntime
import pytest
from tiny import register, write_checkpoint

from mxnetseg import cli
from mxnetseg.deploy.symbol import save_symbol
from mxnetseg.engine.checkpoint import load_model
from mxnetseg.errors import ConfigError
from mxnetseg.tools import benchmark, foreign, noise
from mxnetseg.tools.comparison import result_table
from mxnetseg.tools.noise import Interference, Watch, doubts
from mxnetseg.tools.paths import PATHS
from mxnetseg.tools.speed import measure
from mxnetseg.tools.targets import Settings, open_target

SHORT = ("--size", "64x96", "--warmup", "1", "--iterations", "3", "--ctx", "cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.params", "model.aux=true")


@pytest.fixture(scope="module")
def symbol(checkpoint):
    """The checkpoint's network as `mxnetseg export` writes it."""
    model, loaded = load_model(checkpoint)
    meta = {key: loaded.meta[key] for key in ("model", "classes")}
    checkpoint.with_name("tiny-meta.json").write_text(json.dumps(meta))
    return save_symbol(model, checkpoint.parent, checkpoint.stem)["symbol"]


def run(capsys, *words):
    register()
    code = cli.main(["benchmark", *map(str, words)])
    return code, *capsys.readouterr()


def jobs(*words):
    return benchmark.jobs(cli.parse(["benchmark", *map(str, words)])[1])


def test_model_checkpoint_and_symbol_are_one_network(capsys, checkpoint, symbol):
    network, _ = load_model(checkpoint)
    for target in ("tiny", checkpoint, symbol):
        code, out, _ = run(capsys, target, *SHORT, "--json")
        (result,) = json.loads(out)["results"]
        assert code == 0 and result["model"] == "Tiny" and result["classes"] == 19, target
        assert result["macs"] == network.macs(64, 96) == result["cost"]["flops"] / 2
        assert result["parameters"] == 3 * 9 * 8 + 8 + 2 * 8 + 8 * 19 + 19
        assert result["cost"]["statistics"] == 16
        assert result["fps"] == pytest.approx(1e3 / result["latency_ms"]["median"])
    code, out, _ = run(capsys, symbol, *SHORT)
    assert code == 0
    for word in ("Tiny", symbol.name, "median", "images/s", "G multiply-accumulates", "MiB", "threads", "mxnet 1.9"):
        assert word in out


@pytest.mark.parametrize("path", PATHS)
def test_paths_compute_the_network(path, checkpoint):
    if path.startswith("openvino"):
        pytest.importorskip("openvino")
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 64), np.float32)
    network, _ = load_model(checkpoint)
    wanted = network.predict(mx.nd.array(x)).asnumpy()
    try:
        runner = PATHS[path](network, x, mx.cpu(), False)
    except ConfigError as error:
        assert path.endswith("bf16") and "processor" in str(error)
        pytest.skip(str(error))
    found = runner.start()
    runner.wait()
    found = found.asnumpy() if isinstance(found, mx.nd.NDArray) else found
    bound = 0.1 if path.endswith(("int8", "bf16")) else 1e-5
    assert found.shape == wanted.shape and np.abs(found - wanted).max() <= bound * np.abs(wanted).max()


@pytest.mark.parametrize("path", PATHS)
def test_what_a_path_cannot_run_is_refused(path, checkpoint, symbol):
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 64), np.float32)
    network, _ = load_model(checkpoint)
    if path in ("plain", "hybridized"):
        assert len(PATHS[path](network, x, mx.cpu(), True).start()) == 2
    else:
        with pytest.raises(ConfigError, match="--aux"):
            PATHS[path](network, x, mx.cpu(), True)
    exported, _ = open_target(str(symbol), mx.cpu(), Settings())
    if path == "hybridized":
        found = PATHS[path](exported, x, mx.cpu(), False).start().asnumpy()
        np.testing.assert_allclose(found, network.predict(mx.nd.array(x)).asnumpy(), rtol=1e-4, atol=1e-5)
    else:
        with pytest.raises(ConfigError, match="exported symbol"):
            PATHS[path](exported, x, mx.cpu(), False)


def test_versions_of_other_runtimes_are_recorded(checkpoint):
    network, _ = load_model(checkpoint)
    versions = measure(network, (1, 3, 32, 64), warmup=0, iterations=1, path="onnxruntime")["protocol"]["versions"]
    assert versions["onnxruntime"] == onnxruntime.__version__ and "openvino" not in versions


def test_auxiliary_heads_count_when_asked_for(checkpoint):
    network, _ = load_model(checkpoint)
    plain, whole = (measure(network, (2, 3, 32, 64), warmup=0, iterations=2, aux=aux) for aux in (False, True))
    assert whole["parameters"] - plain["parameters"] == 8 * 19 + 19
    assert whole["macs"] == network.macs(32, 64, aux=True) > plain["macs"]


def test_protocols():
    assert [job.shape for job in jobs("epr")] == [(1, 3, 512, 1024)]
    (job,) = jobs("epr", "--protocol", "mlmsnet")
    assert (job.shape, job.protocol.warmup, job.protocol.iterations) == ((8, 3, 713, 713), 50, 50)
    (job,) = jobs("epr", "--protocol", "mfaranet", "--iterations", 7)
    assert (job.shape, job.protocol.warmup, job.protocol.iterations) == ((1, 3, 1024, 1024), 10, 7)
    assert len(jobs("epr", "fcn:resnet18", "--size", "64", "96x32", "--path", *PATHS)) == 4 * len(PATHS)


def test_only_the_last_pass_awaited_gives_the_mean_alone(capsys):
    code, out, _ = run(capsys, "tiny", *SHORT, "--protocol", "mfaranet", "--json")
    (result,) = json.loads(out)["results"]
    assert code == 0 and result["latency_ms"]["median"] is None
    assert result["fps"] == pytest.approx(1e3 / result["latency_ms"]["mean"])
    assert result["protocol"]["synchronized"] == "after the last iteration"
    assert "called GFLOPs" in run(capsys, "tiny", *SHORT, "--protocol", "mfaranet")[1]


def test_options_and_backbones(tmp_path):
    (job,) = jobs("fastscnn", "--classes", 4, "model.aux=false")
    assert open_target(job.target, mx.cpu(), job.settings)[0].num_classes == 4
    listed = tmp_path / "list.txt"
    listed.write_text("# fast ones\nepr:eprnet_cls_light\n\nfcn  # default backbone\n")
    assert [job.target for job in jobs("bisenet", "--list", listed)] == ["bisenet", "epr:eprnet_cls_light", "fcn"]
    assert open_target("epr:eprnet_cls_light", mx.cpu(), Settings())[1]["backbone"] == "eprnet_cls_light"


QUIET = Interference(seconds=2, cpus=4, others=0.5, stolen=0)


@pytest.mark.parametrize(
    ("times", "seen", "count", "doubt"),
    [
        ([1.0] * 20, QUIET, 2, None),
        ([1.0] * 18 + [1.3] * 2, QUIET, 2, "1.30 x the median"),
        ([1.0] * 20, QUIET, 4, "left 3.50 of 4"),
        ([1.0] * 20, Interference(2, 4, 0, 0.2), 2, "5.0 % of the processors' time was stolen"),
        ([0.01] * 20, Interference(0.2, 4, 0, 0), 2, "only 0.20 s"),
        ([1.0] * 20, None, 2, "unknown"),
    ],
)
def test_noise_is_said(times, seen, count, doubt):
    found = doubts(times, seen, count)
    assert len(found) == (doubt is not None)
    assert doubt is None or doubt in found[0]


def test_watch_subtracts_this_process(monkeypatch):
    clocks = iter([(10.0, 1.0, 100.0, 5.0), (12.0, 4.0, 104.0, 5.5)])
    monkeypatch.setattr(noise, "_clocks", lambda: next(clocks))
    with Watch() as watch:
        pass
    assert (watch.result.seconds, watch.result.others, watch.result.stolen) == (2, 0.5, 0.25)


def test_several_are_sorted_and_drawn(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "_run_apart", lambda todo: ([benchmark.run_job(job) for job in todo], []))
    file = tmp_path / "out.json"
    code, out, _ = run(capsys, "tiny", *SHORT, "--batch", 4, 1, "--path", "plain", "hybridized", "--save", file)
    results = json.loads(file.read_text())["results"]
    medians = [result["latency_ms"]["median"] for result in results]
    assert code == 0 and len(results) == 4 and medians == sorted(medians)
    assert [line.split()[1] for line in out.splitlines()[1:5]] == [
        "x".join(map(str, result["protocol"]["input"])) for result in results
    ]
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert result_table(results) in out


@pytest.mark.slow
def test_processes_of_their_own(capsys, tmp_path):
    """A network that fails does not take the others along, and its memory is not theirs."""
    words = ("fastscnn", "fcn:resnet18", "fcn:xception39", "--size", "128", "--iterations", 2, "--save", tmp_path / "f")
    code, _, err = run(capsys, *words)
    record = json.loads((tmp_path / "f").read_text())
    peak = {result["target"]: result["peak_rss_mib"] for result in record["results"]}
    assert code == 1 and "xception39" in err and "[3/3]" in err
    assert peak["fastscnn"] < peak["fcn:resnet18"] and len(record["failures"]) == 1


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "mxnetseg list models"),
        (["bisenett"], "did you mean 'bisenet'"),
        (["nowhere/file.params"], "no checkpoint"),
        (["nowhere-symbol.json"], "no file nowhere-symbol.json"),
        (["CHECKPOINT", "--classes", "5"], "the file's own network"),
        (["SYMBOL", "--aux"], "no auxiliary heads"),
        (["SYMBOL", "--path", "plain"], "path hybridized"),
        (["fastscnn:resnet18"], "fastscnn"),
        (["tiny", "--iterations", "0"], "from 1 upward"),
        (["tiny", "--list", "nowhere.txt"], "one target per line"),
        (["tiny", "model.options.wide=true"], "wide"),
    ],
)
def test_mistakes_are_explained(capsys, checkpoint, symbol, words, hint):
    files = {"CHECKPOINT": checkpoint, "SYMBOL": symbol}
    code, _, err = run(capsys, *(files.get(word, word) for word in words), "--ctx", "cpu")
    assert code == 2 and hint in err and "Traceback" not in err


def test_one_context(checkpoint):
    (job,) = jobs("tiny", "--ctx", "cpu0", "cpu1")
    with pytest.raises(ConfigError, match="one context"):
        benchmark.run_job(job)


def test_what_openvino_refuses_is_an_error_of_that_path_alone():
    pytest.importorskip("openvino", reason="OpenVINO is not installed: make setup-dev")
    with pytest.raises(ConfigError, match="OpenVINO cannot run this network in int8: "):
        foreign.openvino_pass(b"no network", np.zeros((1, 3, 8, 8), np.float32), "int8")
