"""How training scales over workers on this machine, and a projection on paper for more; prints Markdown tables.

    python benchmarks/distributed_scaling.py [--fast] [--rounds N] [--steps N]

Every worker has the same images per step and one thread. Trained in turn on generated scenes: one process without
parameter server, one worker, two workers; as many servers as workers. The processors should have nothing else to do.
The projection takes the compute time measured here; docs/distributed.md says what it leaves out.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import mxnetseg  # noqa: F401  (threads, before mxnet)
from mxnetseg.cluster import role, serve
from mxnetseg.tools.listing import markdown_table

# Different ratios of computation to parameters.
NETWORKS = {
    "EDANet": {"name": "EDANet"},
    "SwiftResNet, ResNet-18": {"name": "SwiftResNet", "backbone": "resnet18", "aux": False},
}
SETUPS = {"one process": 0, "1 worker": 1, "2 workers": 2}
ALONE = "one process"
CROP, BATCH = (64, 128), 4  # images of one worker and step
WARM_UP = 3  # steps, and those between two lines of the log
NODES, GBITS = (8, 16, 32, 64), (1, 10, 25, 100)
BOUNDS = (1_000_000, 10_000)  # MXNET_KVSTORE_BIGARRAY_BOUND: as it is, and lower

Results = dict[str, dict[str, list[dict[str, Any]]]]  # of every round, by network and setup


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of every run (%(default)s)")
    parser.add_argument("--steps", type=int, default=15, help=f"measured steps of a run, after {WARM_UP} (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="one round of few steps, to see whether all of it runs")
    parser.add_argument("--worker", nargs=2, metavar=("NETWORK", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fast:
        args.rounds, args.steps = 1, WARM_UP
    return args


def configuration(network: str, folder: str, workers: int, steps: int) -> Any:
    """A run that ends inside its first epoch, without validation."""
    from mxnetseg.config import load_config

    images = 2 * BATCH * (WARM_UP + steps + 1)
    scenes = {"train": images, "val": 1, "size": list(CROP)}
    settings = {
        "model": NETWORKS[network],
        "data": {"name": "Synthetic", "root": f"{folder}/scenes", "base_size": CROP[1], "crop_size": list(CROP)},
        "train": {"batch_size": BATCH * workers, "epochs": 1, "max_steps": WARM_UP + steps, "val_interval": 0},
    }
    settings["data"] |= {"options": scenes, "workers": 0}
    settings["train"] |= {"weights_dir": f"{folder}/weights", "runs_dir": f"{folder}/runs", "log_interval": WARM_UP}
    return load_config(settings)


def loopback() -> int:
    """Bytes that the loopback interface has carried."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    return 0


def work(network: str, folder: str, steps: int) -> None:
    """Be one worker: train, then time the parts of a step; the first worker writes what came out."""
    import mxnet as mx

    from mxnetseg.engine.group import join
    from mxnetseg.engine.trainer import Trainer

    group = join([mx.cpu()])
    run = Trainer(configuration(network, folder, group.size, steps), [mx.cpu()], group=group, progress=False)
    together(group)
    before = loopback()
    run.fit()
    together(group)
    traffic = (loopback() - before) / (WARM_UP + steps)
    parts = time_parts(run, max(3, steps // 3))
    sizes = [param.data().size for param in run.updater._trainer._params]
    group.close()
    if group.rank == 0:
        log = map(json.loads, run.paths.log.read_text(encoding="utf-8").splitlines())
        speeds = [row["train/img_per_s"] for row in log if row["event"] == "step" and row["step"] > WARM_UP]
        speed = len(speeds) / sum(1 / value for value in speeds)
        record = {"speed": speed, "step": group.size * BATCH / speed, "bytes": traffic, "sizes": sizes, **parts}
        Path(folder, "result.json").write_text(json.dumps(record), encoding="utf-8")


def together(group: Any) -> None:
    """Wait until all workers have come here, and nothing of what they did before is under way."""
    import numpy as np
    from mxnet import nd

    nd.waitall()
    group.total(np.zeros(1), "here")


def time_parts(run: Any, repetitions: int) -> dict[str, float]:
    """Median seconds of forward pass, backward pass, and push + pull, each waited for; all workers at once."""
    from types import SimpleNamespace

    import numpy as np
    from mxnet import nd

    rng = np.random.default_rng(run.group.rank)
    image, label = rng.normal(size=(BATCH, 3, *CROP)), rng.integers(0, 8, (BATCH, *CROP))
    batch = SimpleNamespace(image=image.astype(np.float32), label=label, valid=label.size)
    spans: dict[str, list[float]] = {"forward": [], "backward": [], "exchange": []}
    begin, backward = 0.0, run.compute._backward

    def start() -> None:
        nonlocal begin
        together(run.group)
        begin = time.perf_counter()

    def end(part: str) -> None:
        nonlocal begin
        nd.waitall()
        now = time.perf_counter()
        spans[part].append(now - begin)
        begin = now

    def timed_backward(losses: list[Any]) -> None:
        end("forward")
        backward(losses)
        end("backward")

    run.compute._backward = timed_backward
    for number in range(repetitions):
        start()
        run.compute(batch, number)
        start()
        run.updater._trainer.allreduce_grads()
        end("exchange")
    return {part: statistics.median(values) for part, values in spans.items()}


def measure(network: str, setup: str, steps: int, scenes: Path) -> dict[str, Any]:
    """Run one setup; what its first worker recorded."""
    from mxnetseg.launch import Job

    workers = SETUPS[setup]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "scenes").symlink_to(scenes)
        command = [sys.executable, "-W", "ignore", __file__, "--steps", str(steps), "--worker", network, folder]
        if workers:
            job = Job(command, workers, workers)
            try:
                job.wait()
            finally:
                job.close()
        else:
            subprocess.run(command, check=True)
        return json.loads(Path(folder, "result.json").read_text(encoding="utf-8"))


def measure_all(args: argparse.Namespace) -> Results:
    """All setups in turn, the order reversed in every other round."""
    from mxnetseg.data import build_dataset

    results: Results = {network: {setup: [] for setup in SETUPS} for network in NETWORKS}
    plan = [(network, setup) for network in NETWORKS for setup in SETUPS]
    with tempfile.TemporaryDirectory() as folder:
        build_dataset(configuration(plan[0][0], folder, 1, args.steps).data, "train")
        for number in range(args.rounds):
            for network, setup in plan[:: -1 if number % 2 else 1]:
                record = measure(network, setup, args.steps, Path(folder, "scenes"))
                results[network][setup].append(record)
                said = {key: round(value, 4) for key, value in record.items() if key != "sizes"}
                print(f"round {number + 1}: {network}, {setup}: {said}", file=sys.stderr, flush=True)
    return results


def loopback_speed(size: int = 2**28) -> float:
    """Bytes per second of one TCP connection within this machine, median of five."""
    block, speeds = bytearray(2**20), []
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
            receiver, _ = server.accept()
            with receiver:
                begin, left = time.perf_counter(), size
                thread = threading.Thread(target=lambda: [sender.sendall(block) for _ in range(size // len(block))])
                thread.start()
                into = bytearray(2**20)
                while left:
                    left -= receiver.recv_into(into)
                speeds.append(size / (time.perf_counter() - begin))
                thread.join()
    return statistics.median(speeds)


def idle_traffic(seconds: float = 2.0) -> float:
    """Bytes per second over loopback while nothing of this script runs."""
    before = loopback()
    time.sleep(seconds)
    return (loopback() - before) / seconds


def largest_share(sizes: Sequence[int], servers: int, bound: int) -> float:
    """Bytes on the fullest server: MXNet splits arrays of `bound` elements over all, and puts smaller ones on one."""
    held = [0.0] * servers
    for key, size in enumerate(sizes):
        if size < bound:
            held[key * 9973 % servers] += 4 * size
        else:
            held = [value + 4 * size / servers for value in held]
    return max(held)


def exchange_seconds(sizes: Sequence[int], nodes: int, gbit: float, bound: int) -> float:
    """Push + pull of a step, `nodes` machines with a worker and a server each, links of `gbit` in each direction.

    The busiest machine sends its gradients to the other servers, and its server's sums to the other workers (and
    receives as much); what its worker and its server say to each other needs no link.
    """
    share = largest_share(sizes, nodes, bound)
    return (4 * sum(sizes) - share + (nodes - 1) * share) / (gbit * 1e9 / 8)


def predicted(step: float, exchange: float, backward: float, slower: float = 1.0, digits: int = 0) -> str:
    """Efficiency in percent without / with overlap.

    `step` and `backward` are seconds of one process, `exchange` those of push + pull, which a backward pass may hide;
    `slower` is what the same computation takes longer beside other workers.
    """
    exposed = exchange, max(0.0, exchange - backward * slower)
    return " / ".join(f"{100 * step / (step * slower + seconds):.{digits}f}" for seconds in exposed)


def median(records: Sequence[dict[str, Any]], key: str) -> float:
    """Median of a figure over the rounds."""
    return statistics.median(record[key] for record in records)


def efficiency(runs: dict[str, list[dict[str, Any]]], setup: str) -> float:
    """Images per second and worker beside those of one process; the median of the rounds' ratios."""
    pairs = zip(runs[setup], runs[ALONE], strict=True)
    return statistics.median(alone["step"] / record["step"] for record, alone in pairs)


def measured_table(results: Results, idle: float) -> str:
    """What was measured, and the bytes beside those computed."""
    titles = {"network": ":--", "setup": ":--", "images/s": "--:", "step": "--:", "efficiency": "--:"}
    titles |= {"push + pull": "--:", "MB per step, computed": "--:", "MB per step, counted": "--:"}
    rows = []
    for network, runs in results.items():
        parameters = sum(runs[ALONE][0]["sizes"])
        for setup, workers in SETUPS.items():
            records = runs[setup]
            speeds = sorted(record["speed"] for record in records)
            step = median(records, "step")
            row = [f"{network} ({parameters / 1e6:.2f} M)", setup]
            row += [f"{statistics.median(speeds):.2f} ({speeds[0]:.2f} to {speeds[-1]:.2f})", f"{1e3 * step:.0f} ms"]
            row += ["" if setup == ALONE else f"{100 * efficiency(runs, setup):.1f} %"]
            row += [f"{1e3 * median(records, 'exchange'):.1f} ms" if workers else ""]
            counted = max(0.0, median(records, "bytes") - idle * step)
            row += [f"{4 * parameters * 2 * workers / 1e6:.2f}", f"{counted / 1e6:.2f}"]
            rows.append(row)
    return markdown_table(titles, rows)


def prediction_table(results: Results, speed: float) -> str:
    """The model's efficiency of the loopback runs, with more and more of it measured."""
    titles = {"network": ":--", "setup": ":--", "measured": "--:", "processors only": "--:"}
    titles |= {"and bytes / bandwidth": "--:", "and push + pull as timed": "--:"}
    rows = []
    for network, runs in results.items():
        alone = runs[ALONE]
        step, backward = median(alone, "step"), median(alone, "backward")
        computing = median(alone, "forward") + backward
        for setup, workers in SETUPS.items():
            if not workers:
                continue
            slower = (median(runs[setup], "forward") + median(runs[setup], "backward")) / computing
            wire = 2 * 4 * sum(alone[0]["sizes"]) * workers / speed
            cells = [predicted(step, t, backward, slower, 1) for t in (wire, median(runs[setup], "exchange"))]
            rows.append([network, setup, f"{100 * efficiency(runs, setup):.1f}", f"{100 / slower:.1f}", *cells])
    return markdown_table(titles, rows)


def projection_table(results: Results, bound: int) -> str:
    """Milliseconds of push + pull, and efficiency in percent without / with overlap, on paper."""
    titles = {"network": ":--", "nodes": "--:", **{f"{gbit} Gbit/s": "--:" for gbit in GBITS}}
    rows = []
    for network, runs in results.items():
        step, backward, sizes = median(runs[ALONE], "step"), median(runs[ALONE], "backward"), runs[ALONE][0]["sizes"]
        for nodes in NODES:
            times = [exchange_seconds(sizes, nodes, gbit, bound) for gbit in GBITS]
            cells = [f"{1e3 * seconds:.1f} ms: {predicted(step, seconds, backward)}" for seconds in times]
            rows.append([network, str(nodes), *cells])
    return markdown_table(titles, rows)


def main() -> None:
    """Measure, print the tables; or be a process of a run."""
    if role() in ("scheduler", "server"):
        sys.exit(serve())
    args = arguments()
    if args.worker:
        work(*args.worker, args.steps)
        return
    begin, idle, speed = time.perf_counter(), idle_traffic(), loopback_speed()
    results = measure_all(args)
    print(f"{args.rounds} rounds of {args.steps} steps after {WARM_UP}, {time.perf_counter() - begin:.0f} s; medians")
    print(f"{BATCH} images of {CROP[0]}x{CROP[1]} per worker and step, one thread per worker")
    print(f"loopback: {speed / 1e9:.2f} GB/s over TCP, {idle:.0f} B/s when idle\n")
    print(measured_table(results, idle))
    for network, runs in results.items():
        parts = (f"{part} {1e3 * median(runs[ALONE], part):.0f} ms" for part in ("forward", "backward"))
        print(f"{network}: {', '.join(parts)}; {len(runs[ALONE][0]['sizes'])} arrays")
    print("\nEfficiency on this machine in percent, predicted without / with overlap\n")
    print(prediction_table(results, speed))
    for bound in BOUNDS:
        print(f"\nProjected push + pull, and efficiency in percent without / with overlap; arrays split from {bound}\n")
        print(projection_table(results, bound))


if __name__ == "__main__":
    main()
