"""What the checks of data cost beside training: per sample, and before the first step.

    python benchmarks/reliability/check_cost.py --config camvid/bisenetr_resnet18 --root ../shared/data/CamVid

Processor times, so other programs disturb them little. Samples are read with and without the checks in turn, between
the steps of a training; of each sample's times the smallest counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

import mxnetseg  # noqa: F401  (before mxnet)
from mxnetseg.config import Config, load_config
from mxnetseg.data.base import SegmentationDataset, build_dataset
from mxnetseg.tools.checks import check_splits

FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def decoded(path: Path, flags: int) -> np.ndarray:
    """Pixels of a file, whatever it holds."""
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)


def unchecked(dataset: SegmentationDataset, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label as they would be read without a look at them."""
    sample = dataset.samples[index]
    mask = decoded(sample.mask, cv2.IMREAD_UNCHANGED)
    return decoded(sample.image, FLAGS), cv2.LUT(mask, dataset._labels._compact)


def training(config: Config, classes: int, batch: int) -> Callable[[], None]:
    """One step of a training: forward, loss, backward, update."""
    import mxnet as mx

    from mxnetseg.engine.optimizer import Updater
    from mxnetseg.engine.step import ForwardBackward
    from mxnetseg.engine.weights import parameters
    from mxnetseg.losses import build_loss
    from mxnetseg.models import build_model

    net, loss = build_model(config.model, classes), build_loss(config.loss, classes)
    loss.initialize()
    compute, updater = ForwardBackward(net, loss, [mx.cpu()]), Updater(parameters(net), config.optimizer)
    compute.hybridize()
    draw = np.random.default_rng(0)
    image = draw.normal(size=(batch, 3, *config.crop())).astype(np.float32)
    label = draw.integers(0, classes, (batch, *config.crop())).astype(np.int32)
    samples = SimpleNamespace(image=image, label=label, valid=label.size)

    def step() -> None:
        compute(samples, 0)
        updater.step(1e-4)
        mx.nd.waitall()

    step()
    return step


def measure(dataset: SegmentationDataset, step: Callable[[], None], count: int, rounds: int) -> tuple[float, float]:
    """Seconds per sample that the checks add to reading, and seconds of a step."""
    ways = {True: dataset.read_compact, False: lambda index: unchecked(dataset, index)}
    indices = range(min(count, len(dataset)))
    for i in indices:
        if not all(np.array_equal(a, b) for a, b in zip(ways[True](i), ways[False](i), strict=True)):
            raise SystemExit(f"{dataset.samples[i].mask} needs more than decoding: nothing to compare with")
    times: dict[bool, list[list[float]]] = {True: [[] for _ in indices], False: [[] for _ in indices]}
    steps = []
    for number in range(rounds):
        steps.append(seconds(step))
        for i in indices:
            for checked in (True, False) if (number + i) % 2 else (False, True):
                times[checked][i].append(seconds(lambda: ways[checked](i)))  # noqa: B023
    read, bare = (np.array(times[checked]).min(axis=1) for checked in (True, False))
    return float((read - bare).mean()), min(steps)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="synthetic/quickstart")
    parser.add_argument("--root", help="folder of the data set; its usual one when left out")
    parser.add_argument("--split", default="val", help="split to read")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    config = load_config(args.config, [f"data.root={args.root}"] if args.root else [])
    dataset = build_dataset(config.data, args.split)
    step = training(config, dataset.num_classes, args.batch)
    checks, one = measure(dataset, step, args.samples, args.rounds)
    one /= args.batch
    whole = seconds(lambda: check_splits(config.data, [args.split], 1, progress=False)) / len(dataset)
    epochs = config.train.epochs
    print(f"training step: {1e3 * one:.0f} ms per image ({args.config}, {config.crop()[1]}x{config.crop()[0]})")
    print(f"checks while reading: {1e3 * checks:.2f} ms per image, {checks / one:.2%} of it")
    print(f"check before training: {1e3 * whole:.1f} ms per image, once in {epochs} epochs: {whole / epochs / one:.3%}")
    print(f"together {(checks + whole / epochs) / one:.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
