"""What the checks of data cost beside training: per sample, and before the first step.

    python benchmarks/reliability/check_cost.py --config camvid/bisenetr_resnet18 --root ../shared/data/CamVid

Processor times, so other programs disturb them little.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np

import mxnetseg  # noqa: F401  (before mxnet)
from mxnetseg.config import Config, load_config
from mxnetseg.data import images
from mxnetseg.data.base import SegmentationDataset, build_dataset
from mxnetseg.tools.checks import check_splits


def processor(call: Callable[[], object], runs: int) -> float:
    """Median seconds of processor time of a call."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return sorted(times)[runs // 2]


def unchecked(dataset: SegmentationDataset, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label as they would be read without a look at them."""
    sample = dataset.samples[index]
    image = cv2.imdecode(np.frombuffer(sample.image.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    mask = cv2.imdecode(np.frombuffer(sample.mask.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return image, cv2.LUT(mask, dataset._labels._compact) if mask.dtype == np.uint8 else mask


def per_sample(dataset: SegmentationDataset, count: int) -> float:
    """Seconds per sample that the checks add to reading."""
    indices = range(min(count, len(dataset)))
    read = [processor(lambda i=i: dataset.read_compact(i), 9) for i in indices]
    bare = [processor(lambda i=i: unchecked(dataset, i), 9) for i in indices]
    return max(0.0, float(np.mean(read) - np.mean(bare)))


def step(config: Config, classes: int, batch: int, runs: int) -> float:
    """Seconds of a forward and backward pass of a batch."""
    import mxnet as mx

    from mxnetseg.models import build_model

    net = build_model(config.model, classes)
    net.hybridize()
    x = mx.nd.random.normal(shape=(batch, 3, *config.crop()))

    def train() -> None:
        with mx.autograd.record():
            outputs = net(x)
            loss = sum(out.square().mean() for out in (outputs if isinstance(outputs, list | tuple) else [outputs]))
        loss.backward()
        mx.nd.waitall()

    train()
    return processor(train, runs)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="synthetic/quickstart")
    parser.add_argument("--root", help="folder of the data set; its usual one when left out")
    parser.add_argument("--split", default="val", help="split to read")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    config = load_config(args.config, [f"data.root={args.root}"] if args.root else [])
    dataset = build_dataset(config.data, args.split)
    checks = per_sample(dataset, args.samples)
    whole = processor(lambda: check_splits(config.data, [args.split], 1, progress=False), 1) / len(dataset)
    images_per_run = config.train.epochs
    amortised = whole / images_per_run
    one = step(config, dataset.num_classes, args.batch, args.runs) / args.batch
    print(f"training step: {1e3 * one:.0f} ms per image ({args.config}, {config.crop()[1]}x{config.crop()[0]})")
    print(f"checks while reading: {1e3 * checks:.2f} ms per image, {checks / one:.2%} of it")
    print(
        f"check before training: {1e3 * whole:.1f} ms per image, once in {images_per_run} epochs: {amortised / one:.3%}"
    )
    print(f"together {(checks + amortised) / one:.2%} (limit of pixels: {images.MAX_PIXELS / 1e6:.0f} million)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
