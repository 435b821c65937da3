"""What tests launch as every process of a distributed run: python toy_worker.py FOLDER KEY=VALUE ..."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mxnetseg.cluster import role, serve

if role() in ("scheduler", "server"):
    sys.exit(serve())

import mxnet as mx
import numpy as np

from engine.toy import ToyBatch, ToyEvaluator, ToyLoader, ToyNet, config
from mxnetseg.engine.group import join
from mxnetseg.engine.trainer import Trainer
from mxnetseg.engine.weights import values


class SharedLoader(ToyLoader):
    """A worker's part of every batch; `dies` is the batch before which worker 1 is killed."""

    def __init__(self, group, dies, **settings):
        super().__init__(**settings)
        self.group, self.dies = group, dies

    def epoch(self, epoch, start=0):
        for number, batch in enumerate(super().epoch(epoch, start), start):
            if self.group.rank == 1 and epoch * self.steps_per_epoch + number == self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            own = list(self.group.share(batch.indices))
            label = batch.label[own]
            yield ToyBatch(batch.image[own], label, [batch.names[i] for i in own], own, int((label >= 0).sum()))


class SharedEvaluator(ToyEvaluator):
    """A worker's part of the scored images."""

    def __init__(self, group):
        super().__init__()
        self.group = group
        own = list(group.share(self.batch.indices))
        self.batch = ToyBatch(self.batch.image[own], self.batch.label[own], [], own, 0)

    def evaluate(self, *arguments, **options):
        result = super().evaluate(*arguments, **options)
        result.confusion.counts[...] = self.group.total(result.confusion.counts, "counts")
        result.metrics = result.confusion.summary()
        return result


def main(folder, *overrides):
    resume = os.environ.get("TOY_RESUME")
    group = join([mx.cpu()])
    settings = config(folder, *overrides)
    loader = SharedLoader(group, int(os.environ.get("TOY_DIES", -1)), batch=settings.train.batch_size)
    norm = os.environ.get("TOY_NORM", "gn")
    parts = {"model": ToyNet(norm, 0), "loader": loader, "group": group, "resume": resume}
    evaluator = SharedEvaluator(group) if settings.train.val_interval else None
    trainer = Trainer(settings, [mx.cpu()], evaluator=evaluator, **parts)
    result = trainer.fit()
    large = group.total(np.array([2**61 + 1 + group.rank]), "large")
    assert large.dtype == np.int64 and large[0] == group.size * (2**61 + 1) + group.size * (group.size - 1) // 2
    group.close()
    arrays = {name: array.asnumpy() for name, array in values(trainer.net).items()}
    np.savez(folder / f"worker{group.rank}of{group.size}.npz", **arrays)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
