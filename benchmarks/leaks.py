"""Growth of resident memory over training steps and evaluated images of varying sizes.

    python benchmarks/leaks.py [--steps 2000] [--images 2000]

A small network is trained on batches held in memory, then evaluates random images whose sides are drawn anew every
time. After the first fifth, in which pools fill and shapes are met for the first time, memory is sampled a hundred
times; the slope of the regression line is printed in MiB per thousand steps or images (goal: at most 1), as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import mxnetseg  # noqa: F401  (threads, before mxnet)

CLASSES, SIZE = 4, (32, 48)


def resident() -> float:
    """Resident memory of this process now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def slope(levels: Iterable[tuple[int, float]]) -> float:
    """MiB per thousand of the regression line through (count, MiB)."""
    counts, values = np.array(list(levels)).T
    return float(np.polyfit(counts, values, 1)[0] * 1000)


class Meter:
    """Samples memory a hundred times after the first fifth of `total`."""

    def __init__(self, total: int):
        self.total, self.count, self.levels = total, 0, []

    def tick(self) -> None:
        """One more."""
        self.count += 1
        if self.count >= self.total / 5 and self.count % max(1, self.total * 4 // 500) == 0:
            gc.collect()
            self.levels.append((self.count, resident()))

    def report(self, what: str) -> None:
        """Print the slope."""
        first, last = self.levels[0][1], self.levels[-1][1]
        row = {"what": what, "count": self.count, "MiB_per_1000": round(slope(self.levels), 3)}
        print(json.dumps({**row, "first_MiB": round(first, 1), "last_MiB": round(last, 1)}), flush=True)


def training(steps: int, folder: str) -> None:
    """Train the network."""
    import mxnet as mx
    from trainer_overhead import MemoryLoader

    from mxnetseg.config import load_config
    from mxnetseg.engine.trainer import Trainer

    arguments = argparse.Namespace(batch=2, crop=SIZE)
    loader, meter = MemoryLoader(arguments, 50), Meter(steps)
    settings = {
        "model": {"name": "enet"},
        "data": {"crop_size": list(SIZE)},
        "train": {"steps": steps, "batch_size": 2},
    }
    settings["train"] |= {"val_interval": 0, "ema": 0.9, "save_interval": 100, "log_interval": 10}
    places = [f"train.weights_dir={folder}/weights", f"train.runs_dir={folder}/runs"]
    trainer = Trainer(load_config(settings, places), [mx.cpu()], loader=loader, progress=False)
    advance = trainer.updater.step

    def step(*values: float) -> None:
        advance(*values)
        meter.tick()

    trainer.updater.step = step
    if code := trainer.fit().exit_code:
        sys.exit(code)  # stopped by a signal: too few steps for a slope
    meter.report("training steps")


def evaluation(images: int) -> None:
    """Evaluate images of random sizes, as the evaluator does."""
    import mxnet as mx

    from mxnetseg.config import EvalConfig, ModelConfig
    from mxnetseg.engine.inference import Predictor
    from mxnetseg.metrics import ConfusionMatrix
    from mxnetseg.models import build_model

    rng, meter = np.random.default_rng(0), Meter(images)
    model = build_model(ModelConfig(name="enet"), CLASSES)
    model.prepare(ctx=mx.cpu())
    facts = {"divisor": model.divisor, "min_size": model.min_size}
    predictor, confusion = Predictor(model.inference, EvalConfig(), SIZE, mx.cpu(), **facts), ConfusionMatrix(CLASSES)
    for _ in range(images):
        height, width = rng.integers(24, 97, 2)
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        labels = predictor.labels(image)
        confusion.update(rng.integers(-1, CLASSES, (height, width)), labels)
        meter.tick()
    meter.report("evaluated images")


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="of training; 0 leaves it out")
    parser.add_argument("--images", type=int, default=2000, help="to evaluate; 0 leaves it out")
    args = parser.parse_args()
    if args.steps:
        with tempfile.TemporaryDirectory() as folder:
            training(args.steps, folder)
    if args.images:
        evaluation(args.images)


if __name__ == "__main__":
    main()
