"""Stand-ins small enough to train in milliseconds: a network, data held in memory, their configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import mxnet as mx
import numpy as np
from mxnet import gluon

from mxnetseg.config import Config, load_config
from mxnetseg.engine.trainer import Trainer
from mxnetseg.metrics import ConfusionMatrix

CLASSES = ("sky", "road", "car")


@dataclass
class ToyBatch:
    image: np.ndarray
    label: np.ndarray
    names: list[str]
    indices: list[int]
    valid: int


class ToyData:
    name, split, classes, num_classes = "Toy", "train", CLASSES, len(CLASSES)
    palette = np.array([[0, 0, 255], [128, 64, 128], [255, 0, 0]], np.uint8)

    def __init__(self, count: int = 10):
        self.count = count

    def __len__(self) -> int:
        return self.count


class ToyLoader:
    """Batches as a pure function of (seed, epoch, index), like the real loader."""

    def __init__(self, batch: int = 2, count: int = 10, size: int = 16, seed: int = 0, poison: int | None = None):
        self.dataset, self.batch, self.size, self.seed, self.poison = ToyData(count), batch, size, seed, poison
        self.steps_per_epoch = count // batch
        self.on_batch = None

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def epoch(self, epoch: int, start: int = 0):
        for number in range(start, self.steps_per_epoch):
            if self.on_batch:
                self.on_batch(epoch, number)
            rng = np.random.default_rng([self.seed, epoch, number])
            label = rng.integers(-1, len(CLASSES), (self.batch, self.size, self.size)).astype(np.int32)
            image = rng.normal(size=(self.batch, 3, self.size, self.size)).astype(np.float32)
            image[:, 0] += label
            if self.poison == epoch * self.steps_per_epoch + number:
                image[0, 0, 0, 0] = np.nan
            names = [f"image{epoch}_{number}_{k}" for k in range(self.batch)]
            yield ToyBatch(image, label, names, list(range(self.batch)), int((label >= 0).sum()))


class ToyNet(gluon.HybridBlock):
    """A normalised convolution with dropout, and an auxiliary head."""

    def __init__(self, norm: str = "bn", dropout: float = 0.2):
        super().__init__()
        self.num_classes, self.aux = len(CLASSES), True
        with self.name_scope():
            self.backbone = gluon.nn.Conv2D(4, 3, padding=1)
            self.norm = gluon.nn.BatchNorm() if norm == "bn" else gluon.nn.GroupNorm(2)
            self.drop = gluon.nn.Dropout(dropout)
            self.head = gluon.nn.Conv2D(len(CLASSES), 1)
            self.aux_head = gluon.nn.Conv2D(len(CLASSES), 1)

    def hybrid_forward(self, F, x):
        x = self.drop(F.relu(self.norm(self.backbone(x))))
        return self.head(x), self.aux_head(x)

    def prepare(self, ctx=None):
        self.infer_shape(mx.nd.zeros((1, 3, 16, 16)))
        for param in self.collect_params().values():
            param.initialize(ctx=ctx)

    def head_parameters(self):
        return [*self.head.collect_params().values(), *self.aux_head.collect_params().values()]

    def freeze_bn(self, frozen: bool = True) -> None:
        self.norm._kwargs["use_global_stats"] = frozen


class ToyEvaluator:
    """Scores one fixed batch with the main output."""

    def __init__(self):
        self.batch = next(ToyLoader(seed=99).epoch(0))

    def evaluate(self, model, ctx, on_example=None, progress=True):
        logits = model(mx.nd.array(self.batch.image, ctx=ctx[0]))[0].asnumpy()
        confusion = ConfusionMatrix(len(CLASSES))
        for label, prediction in zip(self.batch.label, logits.argmax(1), strict=True):
            confusion.update(label, prediction)
            if on_example:
                image = np.zeros((16, 16, 3), np.uint8)
                on_example(SimpleNamespace(name="toy", image=image, label=label), prediction.astype(np.uint8))
        rows = confusion.per_class(CLASSES)
        return SimpleNamespace(
            metrics=confusion.summary(), confusion=confusion, per_class=rows, images=2, seconds=0.0, skipped=[]
        )


def config(folder: Path, *overrides: str) -> Config:
    places = [f"train.weights_dir={folder / 'weights'}", f"train.runs_dir={folder / 'runs'}"]
    small = [
        "data.crop_size=16",
        "batch_size=2",
        "epochs=2",
        "train.val_interval=0",
        "optimizer.lr=0.1",
        "data.workers=0",
    ]
    return load_config(None, [*places, *small, *overrides])


def trainer(folder: Path, *overrides: str, contexts=None, resume=None, norm="bn", dropout=0.2, **loader) -> Trainer:
    settings = config(folder, *overrides)
    parts = {"model": ToyNet(norm, dropout), "loader": ToyLoader(batch=settings.train.batch_size, **loader)}
    evaluator = ToyEvaluator() if settings.train.val_interval else None
    contexts = contexts or [mx.cpu()]
    return Trainer(settings, contexts, resume=resume, evaluator=evaluator, progress=False, **parts)
