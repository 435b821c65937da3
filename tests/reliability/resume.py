"""Stop a run at every step and resume it: make reliability, or in tests/ python -m reliability.resume.

A run of 30 updates (three accumulated batches each, warm-up, averaged weights, flips and random crops of images on
disk) is stopped after each of its updates and resumed with 0, 1 and 2 loader processes, for SGD and Adam; weights,
averages and optimizer states must have the SHA-1 of the run that was never stopped. Uninterrupted runs with 0, 1 and 2
processes must agree too.

Prints one JSON object; exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import mxnetseg  # noqa: F401  (before mxnet)

# isort: split
import mxnet as mx
from data.conftest import mask, picture, write
from engine.test_trainer import digest
from engine.toy import ToyNet, config

from mxnetseg.engine.trainer import Trainer

STEPS, WORKERS = 30, (0, 1, 2)
SETTINGS = (
    "optimizer.accumulate=3",
    "train.ema=0.9",
    "schedule.warmup_epochs=2",
    f"train.steps={STEPS}",
    "data.name=Custom",
    "data.options={classes: [sky, road, car], ignore: [255]}",
    "data.base_size=32",
    "train.log_interval=7",
)
OPTIMIZERS = {"sgd": ("momentum=0.9",), "adam": ("lr=0.01",)}


def write_images(folder: Path, count: int = 14) -> None:
    """Random images and masks."""
    for i in range(count):
        write(folder / f"images/train/{i:02d}.png", picture(i))
        write(folder / f"masks/train/{i:02d}.png", mask(i, [0, 1, 2, 255]))


def trained(folder: Path, optimizer: str, workers: int, resume: Path | None = None, stop: int | None = None) -> Trainer:
    """A run from the start or from a state, to its end or to a step."""
    limit = "null" if stop is None else stop
    overrides = [*SETTINGS, *OPTIMIZERS[optimizer], f"optimizer.name={optimizer}", f"data.root={folder}"]
    settings = config(folder, *overrides, f"data.workers={workers}", f"train.max_steps={limit}")
    trainer = Trainer(settings, [mx.cpu()], model=ToyNet("bn", 0.2), resume=resume, progress=False)
    # A signal to this check, such as that of timeout(1), ends the training early, which would look like a difference.
    if code := trainer.fit().exit_code:
        sys.exit(code)
    return trainer


def main() -> int:
    """Compare every stop; print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="stop at every n-th step only")
    args = parser.parse_args()
    result: dict = {"stops": 0, "different": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_images(folder)
        for optimizer in OPTIMIZERS:
            whole = {digest(trained(folder, optimizer, n)) for n in WORKERS}
            if len(whole) != 1:
                result["different"].append(f"{optimizer}: whole runs with {WORKERS} workers")
            for step in range(1, STEPS, args.every):
                state = trained(folder, optimizer, 0, stop=step).paths.state
                content = state.read_bytes()
                for workers in WORKERS:
                    state.write_bytes(content)
                    resumed = trained(folder, optimizer, workers, resume=state)
                    result["stops"] += 1
                    if {digest(resumed)} != whole:
                        result["different"].append(f"{optimizer}: stopped at {step}, resumed with {workers} workers")
                print(f"{optimizer} {step}", file=sys.stderr, flush=True)
    print(json.dumps(result))
    return int(bool(result["different"]))


if __name__ == "__main__":
    sys.exit(main())
