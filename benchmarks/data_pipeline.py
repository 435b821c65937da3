"""Images per second and core: the training pipeline against bare OpenCV decode + resize of the same files.

The bare loop decodes image and mask with OpenCV and resizes both to the random size that the pipeline
draws for that sample; it neither maps nor checks labels, crops, blurs or normalises. Rounds of the two
alternate and processor time is taken, so that a busy machine does not count; medians are compared.

    python benchmarks/data_pipeline.py --data CamVid --root FOLDER --base 960 --crop 360 480
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from mxnetseg.config import DataConfig
from mxnetseg.data import SegmentationDataset, TrainTransform, build_dataset
from mxnetseg.data.sampling import Sampler, random_generator
from mxnetseg.data.transforms import scaled_size


def pipeline(dataset: SegmentationDataset, transform: TrainTransform) -> Callable[[int, int], None]:
    """Function of (epoch, index) that runs what a loader worker runs."""
    sampler = Sampler(dataset, transform, seed=0)
    image, label = np.empty((3, *transform.crop), np.float32), np.empty(transform.crop, np.int32)
    return lambda epoch, index: sampler.write(epoch, index, image, label)


def bare(dataset: SegmentationDataset, transform: TrainTransform) -> Callable[[int, int], None]:
    """Function of (epoch, index) that decodes and resizes to the same size with OpenCV."""

    def run(epoch: int, index: int) -> None:
        sample, rng = dataset.samples[index], random_generator(0, epoch, index, "transform")
        image = cv2.imread(str(sample.image), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(sample.mask), cv2.IMREAD_UNCHANGED)
        rng.random()
        long_side = int(rng.integers(transform.long_side[0], transform.long_side[1] + 1))
        height, width = scaled_size(*image.shape[:2], long_side)
        cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)

    return run


def measure(run: Callable[[int, int], None], epoch: int, count: int) -> float:
    """Images per second of processor time over the first `count` samples."""
    begin = time.thread_time()
    for index in range(count):
        run(epoch, index)
    return count / (time.thread_time() - begin)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="Synthetic")
    parser.add_argument("--root", default=None)
    parser.add_argument("--base", type=int, default=384)
    parser.add_argument("--crop", type=int, nargs=2, default=(192, 384), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--count", type=int, default=100, help="images per round")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    config = DataConfig(name=args.data, root=args.root, base_size=args.base, crop_size=tuple(args.crop))
    dataset, transform = build_dataset(config, "train"), TrainTransform(config)
    cv2.setNumThreads(0)
    runs = {"pipeline": pipeline(dataset, transform), "bare OpenCV": bare(dataset, transform)}
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    count = min(args.count, len(dataset))
    for epoch in range(args.rounds + 1):
        for name, run in runs.items():
            speeds[name].append(measure(run, epoch, count))
    for name, values in speeds.items():
        print(f"{name:12s} {statistics.median(values[1:]):7.1f} images/s")
    ratios = [a / b for a, b in zip(speeds["pipeline"][1:], speeds["bare OpenCV"][1:], strict=True)]
    print(f"ratio        {statistics.median(ratios):7.2f} (goal 0.85 or more)")


if __name__ == "__main__":
    main()
