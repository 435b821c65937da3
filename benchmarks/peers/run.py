"""Networks of this package beside PyTorch's, with the same operators and weights, in turn (A B A B ...).

    python benchmarks/peers/run.py --torch PYTHON [--networks ...] [--train] [--size HxW] [--batch N] [--rounds N]

PYTHON is an interpreter that has torch (an environment of its own: this package does not need it). Each round runs
every contender once; ratios are taken within a round, and their medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mxnetseg  # noqa: F401  (threads, before mxnet)

# isort: split
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from mxnetseg.deploy.export import parse_size
from mxnetseg.errors import ConfigError
from mxnetseg.losses.cross_entropy import CrossEntropy
from mxnetseg.tools.machine import describe_machine
from mxnetseg.tools.noise import RULE, Watch
from mxnetseg.tools.paths import PATHS
from mxnetseg.tools.targets import Settings, open_target

NETWORKS = ("fcn:resnet50", "psp:resnet50", "deeplab:resnet50", "swift:resnet18", "mlmsbaseline:mobilenet_v3_large_1_0")
FORMS = ("eager", "channels_last", "compile")
OURS = tuple(name for name in PATHS if name != "plain")
REDUCED = ("bf16", "int8", "onnxruntime-int8", "openvino-bf16", "openvino-int8")
CLASSES = 21
Pass = Callable[[], float]


class Torch:
    """The PyTorch process."""

    def __init__(self, python: str):
        side = Path(__file__).with_name("torch_side.py")
        self._process = subprocess.Popen(
            [python, str(side)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_as_users_have_it()
        )

    def ask(self, **order: Any) -> dict[str, Any]:
        """Answer to an order."""
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline() or '{"failure": "the process ended"}')

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def _as_users_have_it() -> dict[str, str]:
    """Environment in which the other interpreter sees its own packages only, and its threads wait as it likes."""
    ours = {"PYTHONPATH", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def seconds(run: Callable[[], Any]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def inference_passes(model: Any, images: np.ndarray) -> tuple[dict[str, Pass], dict[str, str]]:
    """Ways of this package to run a network, each a function that returns its seconds; and what cannot run."""
    passes, failures = {}, {}
    for name in OURS:
        try:
            runner = PATHS[name](model, images, mx.cpu(), False)
        except ConfigError as error:
            failures[name] = error.found
            continue
        passes[name] = lambda runner=runner: seconds(lambda: (runner.start(), runner.wait()))
    return passes, failures


def training_pass(model: Any, images: np.ndarray, labels: np.ndarray) -> Pass:
    """One training step of this package: forward, cross entropy, backward, SGD with momentum."""
    x, y = mx.nd.array(images), mx.nd.array(labels)
    loss = CrossEntropy(CLASSES)
    model.hybridize(static_alloc=True, static_shape=True)
    loss.hybridize(static_alloc=True, static_shape=True)
    settings = {"learning_rate": 1e-4, "momentum": 0.9, "wd": 1e-4}
    trainer = gluon.Trainer(model.collect_params(), "sgd", settings)

    def step() -> None:
        with autograd.record():
            value = loss(model(x)[:1], y)
        value.backward()
        trainer.step(1)
        mx.nd.waitall()

    return lambda: seconds(step)


def write_network(folder: Path, model: Any, images: np.ndarray, labels: np.ndarray) -> None:
    """What the PyTorch process reads."""
    symbol = model.symbol()
    (folder / "symbol.json").write_text(symbol.tojson())
    values = {p.name: p.data().asnumpy() for p in model.collect_params().values()}
    np.savez(folder / "params.npz", **values)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "scores.npy", model.predict(mx.nd.array(images)).asnumpy())


def torch_passes(side: Torch, folder: Path, forms: list[str], train: bool) -> tuple[dict[str, Pass], dict[str, str]]:
    """Ways of PyTorch to run the same network, and what cannot run."""
    passes, failures = {}, {}
    for form in forms:
        name = f"torch {form}"
        answer = side.ask(do="build", name=name, folder=str(folder), form=form, train=train)
        if "failure" not in answer and not answer["error"] <= 1e-4:
            raise SystemExit(f"{name}: scores differ by {answer['error']:.2g}")
        answer = answer if "failure" in answer else side.ask(do="pass", name=name)
        if "failure" in answer:
            failures[name] = answer["failure"]
            continue
        passes[name] = lambda name=name: side.ask(do="pass", name=name)["seconds"]
    if not passes:
        raise SystemExit(f"PyTorch runs none of {', '.join(forms)}: {failures}")
    return passes, failures


def compare(side: Torch, target: str, args: argparse.Namespace) -> dict[str, Any]:
    """Times of every contender in every round, with ratios."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((args.batch, 3, *args.size), np.float32)
    labels = rng.integers(0, CLASSES, (args.batch, *args.size)).astype(np.int32)
    model, _ = open_target(target, mx.cpu(), Settings(classes=CLASSES))
    with tempfile.TemporaryDirectory() as folder:
        write_network(Path(folder), model, images, labels)
        theirs, failures = torch_passes(side, Path(folder), args.forms, args.train)
    ours, ours_failures = (
        ({"mxnetseg": training_pass(model, images, labels)}, {}) if args.train else inference_passes(model, images)
    )
    passes = ours | theirs
    for run in passes.values():
        for _ in range(args.warmup):
            run()
    with Watch() as watch:
        times = {name: [] for name in passes}
        for _ in range(args.rounds):
            for name, run in passes.items():
                times[name].append(run())
    side.ask(do="forget")
    return summary(target, times, [*theirs]) | {
        "failures": failures | ours_failures,
        "others_busy": watch.result.others if watch.result else None,
    }


def summary(target: str, times: dict[str, list[float]], theirs: list[str]) -> dict[str, Any]:
    """Medians, and medians of the ratios within the rounds to PyTorch's best and to our own best in float32."""
    rows = {name: np.array(values) for name, values in times.items()}
    medians = {name: 1e3 * float(np.median(values)) for name, values in rows.items()}
    best_of_theirs = min(theirs, key=medians.get)
    own = [name for name in rows if name not in theirs and name not in REDUCED]
    best_own = min(own, key=medians.get)
    mxnet = [name for name in ("hybridized", "folded", "mxnetseg") if name in rows]
    best_mxnet = min(mxnet, key=medians.get)

    def ratio(slow: str, fast: str) -> float:
        return float(np.median(rows[slow] / rows[fast]))

    return {
        "network": target,
        "milliseconds": medians,
        "best": {"torch": best_of_theirs, "fp32": best_own, "mxnet": best_mxnet},
        "times_as_fast_as_torch": {name: ratio(best_of_theirs, name) for name in rows},
        "times_as_fast_as_mxnet": {name: ratio(best_mxnet, name) for name in rows},
    }


def show(result: dict[str, Any]) -> None:
    """Print one network's rows, the fastest first."""
    print(f"{result['network']}  (PyTorch's best: {result['best']['torch']}; other processes: {result['others_busy']})")
    for name, value in sorted(result["milliseconds"].items(), key=lambda item: item[1]):
        torch, own = (result[f"times_as_fast_as_{other}"][name] for other in ("torch", "mxnet"))
        print(f"  {name:20} {value:10.1f} ms   {torch:5.2f} x PyTorch's best   {own:5.2f} x MXNet's float32")
    for name, reason in result["failures"].items():
        print(f"  {name:20} {reason}")


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--torch", required=True, metavar="PYTHON", help="interpreter with torch")
    add("--networks", nargs="+", default=NETWORKS, metavar="MODEL:BACKBONE")
    add("--forms", nargs="+", choices=FORMS, default=FORMS, help="how PyTorch runs them")
    add("--train", action="store_true", help="training steps: batch 4 at 512x512, if nothing else is given")
    add("--size", type=parse_size, help="height and width (512x1024)")
    add("--batch", type=int, help="images at once (1)")
    add("--warmup", type=int, default=2)
    add("--rounds", type=int, default=11)
    add("--json", metavar="FILE", help="write everything")
    args = parser.parse_args()
    args.size = args.size or ((512, 512) if args.train else (512, 1024))
    args.batch = args.batch or (4 if args.train else 1)
    side = Torch(args.torch)
    record: dict[str, Any] = {"machine": describe_machine(mx.cpu(), ("onnxruntime",)), "rule": RULE, "results": []}
    record["machine"]["versions"]["torch"] = side.ask(do="forget")["version"]
    record["protocol"] = {"size": args.size, "batch": args.batch, "rounds": args.rounds, "train": args.train}
    print(json.dumps(record["machine"] | record["protocol"]))
    for target in args.networks:
        record["results"].append(compare(side, target, args))
        show(record["results"][-1])
        if args.json:
            Path(args.json).write_text(json.dumps(record, indent=1))
    side.close()


if __name__ == "__main__":
    sys.exit(main())
