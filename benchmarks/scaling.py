"""Cost against input size, batch and threads, data loading against workers; docs/scaling.json gets what came out.

    python benchmarks/scaling.py [--only {size,batch,threads,loader} ...] [--root FOLDER] [--again|--noisy] [--fast]

`make tables` writes docs/scaling.md and draws its picture. Networks have random weights and are measured by `mxnetseg
benchmark`, one process for each measurement; data are loaded by the training loader. What is recorded is skipped, what
is interrupted leaves no record.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import chain, count, islice, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from data_pipeline import bare, measure
from realtime import benchmark, keep, machine, timing

from mxnetseg import __version__
from mxnetseg.compat import usable_cpus
from mxnetseg.config import Config, load_config
from mxnetseg.data import SegmentationDataset, TrainLoader, TrainTransform, build_dataset
from mxnetseg.errors import DataError
from mxnetseg.tools.machine import cpu_name
from mxnetseg.tools.noise import Watch, doubts
from mxnetseg.tools.scaling import PATHS, RECORDS

NETWORKS = {"SwiftNet, ResNet-18": "SwiftResNet:resnet18", "FCN, ResNet-50": "FCNResNet:resnet50"}
SIZES = [(256, 512), (352, 704), (512, 1024), (704, 1408), (1024, 2048), (1408, 2816), (2048, 4096)]
BATCHES = [1, 2, 4, 8]
CPUS = usable_cpus()
THREADS = sorted({2**i for i in range(CPUS.bit_length())} | {CPUS})
# Sizes, batches and threads of each table.
TABLES = {
    "size": (SIZES, BATCHES[:1], [CPUS]),
    "batch": (SIZES[:1], BATCHES, [CPUS]),
    "threads": (SIZES[:1], BATCHES[:1], THREADS),
}
LONGEST = 15.0  # seconds; what would take longer is left out
TIMED = 6.0  # seconds of all passes of a measurement, if these are 3 to 7
RECIPE = "camvid/swiftresnet_resnet18"
WORKERS = [0, 1, 2, 4]
ROUNDS, IMAGES = 7, 240  # of data loading


@dataclass(frozen=True)
class Point:
    """Something to measure about a network."""

    network: str
    path: str
    size: tuple[int, int]
    batch: int
    threads: int

    def __str__(self) -> str:
        return f"{self.network}, {self.batch}x{self.size[0]}x{self.size[1]}, {self.threads} threads, {self.path}"

    @property
    def work(self) -> float:
        """What the time of a pass is about proportional to."""
        return self.batch * math.prod(self.size) / self.threads


def arguments() -> argparse.Namespace:
    """Read the command line."""
    kinds = [*TABLES, "loader"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, help="only these tables")
    parser.add_argument("--root", metavar="FOLDER", help="of CamVid; scenes are generated where it is missing")
    parser.add_argument("--again", action="store_true", help="measure what is recorded too")
    parser.add_argument("--noisy", action="store_true", help="measure again what was too noisy")
    parser.add_argument("--fast", action="store_true", help="few values and passes, to see whether all of it runs")
    parser.add_argument("--json", type=Path, default=RECORDS, metavar="FILE", help="records (docs/scaling.json)")
    return parser.parse_args()


def points(kinds: list[str], fast: bool) -> list[Point]:
    """What the tables need, each once, small ones first; the first two values of everything if `fast`."""
    found: dict[Point, None] = {}
    for kind in kinds:
        values = (column[:2] if fast else column for column in TABLES.get(kind, ([], [], [])))
        found |= {Point(name, path, *at): None for name, path, *at in product(NETWORKS, PATHS, *values)}
    return list(found)


def expectation(point: Point, records: dict[str, dict[str, Any]]) -> float | None:
    """Seconds that a pass will take, judged by the most similar one that is recorded; None if there is none."""
    known = {}
    for record in records.values():
        other = Point(*(record[key] for key in ("network", "path")), *_place(record))
        if (other.network, other.path) == (point.network, point.path):
            known[abs(math.log(other.work / point.work))] = record["median"] / 1e3 * point.work / other.work
    return known[min(known)] if known else None


def _place(record: dict[str, Any]) -> tuple[tuple[int, int], int, int]:
    batch, _, *size = record["input"]
    return tuple(size), batch, record["threads"]


def passes(expected: float | None, fast: bool) -> tuple[int, int]:
    """Passes for warming up, and timed ones."""
    if fast:
        return 1, 4
    return (2, 7) if expected is None else (2 if expected < 0.5 else 1, max(3, min(7, round(TIMED / expected))))


def pass_record(point: Point, warmup: int, timed: int) -> dict[str, Any] | None:
    """Measurement of a network; None if it could not be done."""
    shape = ["--size", "x".join(map(str, point.size)), "--batch", str(point.batch)]
    protocol = ["--warmup", str(warmup), "--iterations", str(timed), "--path", point.path]
    words = [NETWORKS[point.network], "--classes", "19", "--ctx", "cpu", *shape, *protocol]
    found = benchmark(words, point.threads)
    if not found or not found["results"]:
        return None
    (result,) = found["results"]
    return {
        "network": point.network,
        "target": " ".join(words),
        "input": result["protocol"]["input"],
        "threads": point.threads,
        **timing(result),
        "peak_rss_mib": result["peak_rss_mib"],
        "machine": machine(result),
    }


def recipe(root: str | None, scenes: str) -> tuple[Config, SegmentationDataset]:
    """Configuration and training images: CamVid, or scenes of its size, generated in a folder, where it is missing."""
    config = load_config(RECIPE, [f"data.root={root}"] if root else [])
    try:
        return config, build_dataset(config.data, "train")
    except DataError as error:
        if root:
            raise SystemExit(str(error)) from error
    options = ["data.options.size=[360,480]", f"data.options.train={IMAGES}", "data.options.val=1"]
    config = load_config(RECIPE, ["data.name=Synthetic", f"data.root={scenes}", *options])
    return config, build_dataset(config.data, "train")


def loader_record(config: Config, dataset: SegmentationDataset, workers: int, rounds: int) -> dict[str, Any]:
    """Speed of the training loader when nothing is done with its batches."""
    size, times = config.train.batch_size, []
    with TrainLoader(dataset, config.data, tuple(config.data.crop_size), size, 0, workers) as loader:
        batches = chain.from_iterable(map(loader.epoch, count()))
        _take(batches, IMAGES // size)
        busy = _seconds(loader.worker_pids)
        with Watch() as watch:
            for _ in range(rounds):
                begin = time.perf_counter()
                _take(batches, IMAGES // size)
                times.append(time.perf_counter() - begin)
        busy = _seconds(loader.worker_pids) - busy
    # For a watch, workers are other processes.
    seen = watch.result and replace(watch.result, others=max(0.0, watch.result.others - busy / watch.result.seconds))
    speeds = [IMAGES // size * size / seconds for seconds in times]
    p5, median, p95 = map(float, np.percentile(speeds, (5, 50, 95)))
    return {
        "workers": workers,
        "data": dataset.name,
        "recipe": RECIPE,
        "crop": list(config.data.crop_size),
        "batch": size,
        "cpus": CPUS,
        "median": median,
        "p5": p5,
        "p95": p95,
        "quiet": not doubts(times, seen, max(1, workers)),
    }


def _take(batches: Any, number: int) -> None:
    for _ in islice(batches, number):
        pass


def _seconds(processes: list[int]) -> float:
    """Processor time of running processes."""
    # After the name in brackets, user and system time are the 12th and 13th word.
    lines = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes]
    return sum(int(line[11]) + int(line[12]) for line in lines) / os.sysconf("SC_CLK_TCK")


def bare_speed(config: Config, dataset: SegmentationDataset) -> float:
    """Images per second of processor time that OpenCV decodes and resizes."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)  # only this thread's time is taken
    run, number = bare(dataset, TrainTransform(config.data)), min(IMAGES, len(dataset))
    speeds = [measure(run, epoch, number) for epoch in range(3)]
    cv2.setNumThreads(threads)
    return float(np.median(speeds))


def load(file: Path) -> dict[str, dict[str, Any]]:
    """Records of passes and of data loading, each by its name."""
    return {"passes": {}, "loader": {}} | (json.loads(file.read_text(encoding="utf-8")) if file.exists() else {})


def measure_passes(args: argparse.Namespace) -> list[Point]:
    """Measure networks; return what failed."""
    failed = []
    for point in points(args.only, args.fast):
        records = load(args.json)
        if _is_done(records["passes"].get(str(point)), args):
            continue
        expected = expectation(point, records["passes"])
        if expected and expected > LONGEST:
            print(f"{point}: left out, a pass would take {expected:.0f} s", flush=True)
            continue
        print(point, flush=True)
        if record := pass_record(point, *passes(expected, args.fast)):
            records["passes"][str(point)] = record
            keep(args.json, records)
        else:
            failed.append(point)
    return failed


def _is_done(record: dict[str, Any] | None, args: argparse.Namespace) -> bool:
    return record is not None and not args.again and (record["quiet"] or not args.noisy)


def measure_loader(args: argparse.Namespace) -> None:
    """Measure data loading."""
    known = load(args.json)["loader"]
    chosen = WORKERS[:2] if args.fast else WORKERS
    missing = [workers for workers in chosen if not _is_done(known.get(str(workers)), args)]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as scenes:
        config, dataset = recipe(args.root, scenes)
        versions = {"mxnetseg": __version__, "numpy": np.__version__, "opencv": cv2.__version__}
        facts = {"bare": bare_speed(config, dataset)}
        facts |= {"machine": {"cpu": cpu_name(), "threads": str(CPUS), "versions": versions}}
        for workers in missing:
            record = loader_record(config, dataset, workers, 2 if args.fast else ROUNDS) | facts
            print(f"{dataset.name}, {workers} workers: {record['median']:.0f} images/s", flush=True)
            records = load(args.json)
            records["loader"][str(workers)] = record
            keep(args.json, records)


def main() -> int:
    """Measure what is not recorded; 1 if something could not be measured."""
    args = arguments()
    failed = measure_passes(args)
    if "loader" in args.only:
        measure_loader(args)
    for point in failed:
        print(f"not measured: {point}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
