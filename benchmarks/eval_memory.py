"""Resident memory of evaluation, whole image and by sliding window, and how it behaves over many images.

Each protocol runs in a process of its own. Prints one JSON object per protocol (MiB; times in seconds)::

    PYTHONPATH=. python benchmarks/eval_memory.py street.png --count 200
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import mxnetseg  # noqa: F401  (threads, before mxnet)
from mxnetseg.config import EvalConfig, ModelConfig
from mxnetseg.data.base import Sample, SegmentationDataset
from mxnetseg.visual import write_image

CLASSES = 19


class Repeated(SegmentationDataset):
    """One image and one mask, many times."""

    registered_name = "Repeated"
    classes = tuple(f"class {i}" for i in range(CLASSES))
    palette = np.zeros((CLASSES, 3), np.uint8)
    id_map = {i: i for i in range(CLASSES)}
    splits: dict[str, int | None] = {}

    def __init__(self, image: Path, mask: Path, count: int):
        self.pairs = [Sample(image, mask)] * count
        super().__init__(image.parent, "val")

    def find(self, split: str) -> list[Sample]:
        """All repetitions."""
        return self.pairs


def resident() -> float:
    """Resident memory of this process now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def peak() -> float:
    """Largest resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(args: argparse.Namespace) -> dict:
    """Evaluate the image `count` times under one protocol."""
    import cv2
    import mxnet as mx

    from mxnetseg.engine.evaluator import Evaluator
    from mxnetseg.models import build_model

    height, width = cv2.imread(str(args.image)).shape[:2]
    start = resident()
    model = build_model(ModelConfig(name=args.model, backbone=args.backbone, aux=True), CLASSES)
    config = EvalConfig(protocol=args.protocol, crop_size=args.crop, flip=args.flip)
    levels, times = [], [time.perf_counter()]

    def note(*_: object) -> None:
        times.append(time.perf_counter())
        levels.append(resident())

    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "mask.png"
        write_image(mask, np.random.default_rng(0).integers(0, CLASSES, (height, width), np.uint8))
        dataset = Repeated(args.image.resolve(), mask, args.count)
        evaluator = Evaluator(dataset, config, (args.crop, args.crop), workers=args.workers)
        evaluator.evaluate(model, mx.cpu(), note)
    every = max(1, len(levels) // 10)
    return {
        "image": f"{width}x{height}",
        "model": f"{args.model} {args.backbone}",
        "protocol": evaluator.protocol,
        "images": args.count,
        "before": round(start),
        "after_each": [round(v) for v in levels[::every]],
        "growth_after_first_tenth": round(max(levels[every:], default=levels[0]) - levels[min(every, len(levels) - 1)]),
        "peak": round(peak()),
        "median_seconds_per_image": round(float(np.median(np.diff(times))), 3),
    }


def main() -> None:
    """Measure every protocol in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--model", default="BiSeNetR")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--crop", type=int, default=768)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--protocol", choices=("whole", "slide", "gluon"), help="this one only, in this process")
    args = parser.parse_args()
    if args.protocol:
        print(json.dumps(measure(args)), flush=True)
        return
    for protocol in ("whole", "slide"):
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--protocol", protocol], check=True)


if __name__ == "__main__":
    main()
