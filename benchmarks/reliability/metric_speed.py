"""Processor time of counting one prediction of Cityscapes' size, on one core."""

from __future__ import annotations

import time

import cv2
import numpy as np

from mxnetseg.metrics import ConfusionMatrix

SIZE, CLASSES, RUNS = (1024, 2048), 19, 30


def main() -> None:
    """Print milliseconds for noise and for blocks of one class, whose equal neighbours are the slower case."""
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
        for _ in range(RUNS):
            start = time.process_time()
            metric.update(label, prediction)
            times.append(1e3 * (time.process_time() - start))
        print(f"{name}: best {min(times):.1f} ms, median {sorted(times)[RUNS // 2]:.1f} ms of processor time")


if __name__ == "__main__":
    main()
