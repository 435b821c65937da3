"""Processor time of counting one prediction of Cityscapes' size, on one core.

Other programs slow it down by taking the caches: on a busy machine the smallest of many times tells most.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np

import mxnetseg  # noqa: F401  (threads)
from mxnetseg.metrics import ConfusionMatrix

SIZE, CLASSES = (1024, 2048), 19


def main() -> None:
    """Print milliseconds for noise and for blocks of one class, whose equal neighbours are the slower case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    coarse = rng.integers(-1, CLASSES, (32, 64)).astype(np.int32)
    pictures = {
        "noise": rng.integers(-1, CLASSES, SIZE).astype(np.int32),
        "blocks": cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_NEAREST),
    }
    for name, label in pictures.items():
        prediction = np.where(rng.random(SIZE) < 0.9, np.maximum(label, 0), 3).astype(np.uint8)
        metric, times = ConfusionMatrix(CLASSES), []
        for _ in range(runs):
            start = time.process_time()
            metric.update(label, prediction)
            times.append(1e3 * (time.process_time() - start))
        low, median, high = np.percentile(times, [10, 50, 90])
        spread = f"least {min(times):.2f}, 10 % {low:.2f}, median {median:.2f}, 90 % {high:.2f} ms"
        print(f"{name}: {spread} of processor time in {runs} runs")


if __name__ == "__main__":
    main()
