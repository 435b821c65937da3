"""What the Trainer costs over a bare Gluon loop: same network, same batches held in memory, interleaved rounds.

    python benchmarks/trainer_overhead.py [--model fcn] [--backbone resnet18] [--crop 128 256] [--batch 4]

The bare loop does what any tutorial does: record, forward, the same loss, backward, ``gluon.Trainer.step``, and one
fetch of the loss per `log_interval` steps. The Trainer adds seeding, scheduling, names, logging and the NaN guard.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from types import SimpleNamespace

import mxnetseg  # noqa: F401  (threads, before mxnet)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bisenet", help="network")
    parser.add_argument("--backbone", default="resnet18", help="backbone")
    parser.add_argument("--crop", type=int, nargs=2, default=[128, 256], help="height and width")
    parser.add_argument("--batch", type=int, default=4, help="images per batch")
    parser.add_argument("--steps", type=int, default=10, help="steps per round")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each loop")
    return parser.parse_args()


class MemoryLoader:
    """The same few random batches, for ever."""

    def __init__(self, args: argparse.Namespace, steps: int):
        import numpy as np

        rng = np.random.default_rng(0)
        names = [f"image{i}" for i in range(args.batch)]
        self.batches = []
        for _ in range(4):
            image = rng.normal(size=(args.batch, 3, *args.crop)).astype(np.float32)
            label = rng.integers(-1, 8, (args.batch, *args.crop)).astype(np.int32)
            self.batches.append(SimpleNamespace(image=image, label=label, names=names, valid=int((label >= 0).sum())))
        self.steps_per_epoch = steps
        classes = tuple(f"class{i}" for i in range(8))
        palette = np.zeros((8, 3), np.uint8)
        self.dataset = type("Memory", (list,), {})([0] * steps * args.batch)
        self.dataset.name, self.dataset.classes, self.dataset.num_classes = "Memory", classes, 8
        self.dataset.palette = palette

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to close."""

    def epoch(self, epoch: int, start: int = 0):  # noqa: ANN201
        """Batches in turn."""
        for i in range(start, self.steps_per_epoch):
            yield self.batches[i % len(self.batches)]


def build(args: argparse.Namespace, folder: str):  # noqa: ANN201
    """A trainer whose loader gives rounds of `steps` batches, one round per epoch."""
    import mxnet as mx

    from mxnetseg.config import load_config
    from mxnetseg.engine.trainer import Trainer

    settings = {
        "model": {"name": args.model, "backbone": args.backbone},
        "data": {"crop_size": list(args.crop)},
        "train": {"epochs": 10_000, "batch_size": args.batch, "val_interval": 0, "log_interval": args.steps},
    }
    places = [f"train.weights_dir={folder}/weights", f"train.runs_dir={folder}/runs"]
    loader = MemoryLoader(args, args.steps)
    return Trainer(load_config(settings, places), [mx.cpu()], loader=loader, progress=False), loader


def bare_loop(args: argparse.Namespace, net, loss, trainer, batches) -> float:  # noqa: ANN001
    """Seconds per step of a plain Gluon loop."""
    import mxnet as mx
    from mxnet import autograd, nd

    begin, pending = time.perf_counter(), []
    for i in range(args.steps):
        batch = batches[i % len(batches)]
        image, label = nd.array(batch.image, ctx=mx.cpu()), nd.array(batch.label, ctx=mx.cpu(), dtype="float32")
        with autograd.record():
            value = loss(net(image), label, batch.valid)
        value.backward()
        trainer.step(1)
        pending.append(value)
        if len(pending) > 2:
            pending[-3].wait_to_read()
    [value.asscalar() for value in pending]
    mx.nd.waitall()
    return (time.perf_counter() - begin) / args.steps


def trainer_loop(args: argparse.Namespace, run) -> float:  # noqa: ANN001
    """Seconds per step of one epoch of the Trainer, logging included, saving not."""
    import mxnet as mx

    from mxnetseg.engine.signals import StopRequest

    begin = time.perf_counter()
    run._epoch(StopRequest())
    mx.nd.waitall()
    seconds = (time.perf_counter() - begin) / args.steps
    run.position.epoch, run.position.batch = run.position.epoch + 1, 0
    return seconds


def main() -> None:
    """Run both loops in turn and print the medians."""
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        run, loader = build(args, folder)
        bare, _ = build(args, folder)
        from mxnet import gluon

        plain = gluon.Trainer(bare.net.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 1e-4})
        run._open()
        times: dict[str, list[float]] = {"bare": [], "trainer": []}
        for i in range(args.rounds + 1):
            order = ("bare", "trainer") if i % 2 else ("trainer", "bare")
            for name in order:
                seconds = (
                    bare_loop(args, bare.net, bare.loss, plain, loader.batches)
                    if name == "bare"
                    else trainer_loop(args, run)
                )
                if i:  # the first round compiles
                    times[name].append(seconds)
        wait = run._clock.total_wait / run._clock.total
    ratios = [t / b for t, b in zip(times["trainer"], times["bare"], strict=True)]
    middle = {name: statistics.median(values) for name, values in times.items()}
    shape = f"{args.model}_{args.backbone}, {args.batch}x3x{args.crop[0]}x{args.crop[1]}"
    print(f"{shape}, {args.rounds} interleaved rounds of {args.steps} steps, medians")
    print(f"bare loop {1e3 * middle['bare']:8.1f} ms/step")
    print(f"Trainer   {1e3 * middle['trainer']:8.1f} ms/step")
    print(f"overhead  {100 * (statistics.median(ratios) - 1):8.2f} % (median of paired rounds)")
    print(f"data wait {100 * wait:8.2f} % of the training time")
    print(f"peak RSS  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:8.0f} MiB")


if __name__ == "__main__":
    main()
