"""The evaluator: validation during training and ``eval.py`` run this same code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..config import EvalConfig
from ..data import EvalLoader, Example, SegmentationDataset
from ..errors import ConfigError, DataError, suggest
from ..metrics import ConfusionMatrix
from .counts import Counts
from .forward import MEAN, STD
from .group import Group
from .inference import Prediction, Predictor, run_together
from .protocols import describe
from .refine import ProgressivePredictor, load_modules

__all__ = ["EvalResult", "Evaluator"]

OnExample = Callable[[Example, np.ndarray], None]


@dataclass
class EvalResult:
    """What an evaluation found.

    Attributes
    ----------
    metrics : dict of str to float
        PA, mIoU (classes present), mIoU_all (absent classes count 0), mAcc, FWIoU, mDice, mFscore,
        mPrecision; mBIoU and mBF where borders were scored; fractions.
    counts : Counts
        What is behind them.
    per_class : list of dict
        A row per class, see :meth:`.counts.Counts.per_class`.
    protocol : str
        How images were run.
    images : int
        Images evaluated.
    skipped : list of (str, str)
        Damaged files left out, with the reason.
    seconds : float
        Wall time.
    coarse : Counts, optional
        Of the coarse view, before progressive refinement.
    """

    metrics: dict[str, float]
    counts: Counts
    per_class: list[dict[str, Any]]
    protocol: str
    images: int
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    coarse: Counts | None = None

    @property
    def confusion(self) -> ConfusionMatrix:
        """Pairs of label and prediction."""
        return self.counts.confusion

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON (undefined values are None)."""
        names = [row["class"] for row in self.per_class]
        return {
            **self.counts.as_dict(names),
            "protocol": self.protocol,
            "images": self.images,
            "skipped": [{"file": file, "reason": reason} for file, reason in self.skipped],
            "seconds": round(self.seconds, 3),
            **({"coarse": self.coarse.as_dict(names)} if self.coarse else {}),
        }


class Evaluator:
    """Runs a network over a data set and counts.

    Images are read in worker processes, one at a time per device, and dropped when counted: memory does not grow
    with their number. With several contexts they are dealt out in turn; counts are integers, so the result is
    the same for any number of contexts.

    Parameters
    ----------
    dataset : SegmentationDataset
        Images, and labels to score (without labels only `on_example` sees the predictions).
    config : EvalConfig
        Protocol.
    crop : (int, int)
        Window (height, width) where the configuration names none: the training crop.
    workers : int
        Processes that read images; 0 reads in this process.
    max_bad_samples : int
        Damaged images tolerated before stopping.
    limit : int, optional
        Evaluate the first images only.
    mean, std : sequence of float
        Normalisation of the network's input.
    group : Group, optional
        Workers that share the images; each one gets the result of all.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        config: EvalConfig,
        crop: tuple[int, int],
        *,
        workers: int = 0,
        max_bad_samples: int = 0,
        limit: int | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        group: Group | None = None,
    ):
        self.group = group or Group()
        self.dataset, self.config, self.crop = dataset, config, crop
        self.workers, self.max_bad_samples, self.limit = workers, max_bad_samples, limit
        self.mean, self.std = mean, std

    def evaluate(
        self,
        model: Any,
        ctx: mx.Context | Sequence[mx.Context],
        on_example: OnExample | None = None,
        progress: bool = True,
        on_coarse: OnExample | None = None,
    ) -> EvalResult:
        """Score a network.

        Parameters
        ----------
        model : SegmentationModel
            Its parameters must be on every context.
        ctx : mx.Context or sequence of mx.Context
            Devices to use.
        on_example : callable, optional
            Called in order with each example and its prediction, uint8 (H, W).
        progress : bool
            Show a bar with the running mIoU (only on a terminal).
        on_coarse : callable, optional
            Called before `on_example` with each example and its prediction before progressive refinement.

        Returns
        -------
        EvalResult

        Raises
        ------
        ConfigError
            If network and data set have different numbers of classes, or a class to leave out is not one of them.
        DataError
            If there is nothing to evaluate, too many images are damaged, or scores are not finite.
        """
        self._check(model)
        start = time.perf_counter()
        predictors = self._predictors(model, [ctx] if isinstance(ctx, mx.Context) else list(ctx))
        counts, images, labelled = self._counts(model), 0, False
        coarse = self._counts(model) if self.config.refine else None
        with closing(self._loader()) as loader, self._bar(progress) as bar:
            for example, prediction in self._predictions(loader, predictors):
                if example.label is not None:
                    labelled = True
                    self._count(counts, example, prediction.labels)
                    if coarse:
                        self._count(coarse, example, prediction.coarse)
                if on_coarse and coarse:
                    on_coarse(example, prediction.coarse)
                if on_example:
                    on_example(example, prediction.labels)
                images += 1
                bar.update()
                if labelled:
                    bar.set_postfix(mIoU=f"{counts.confusion.miou:.4f}", refresh=False)
        images, labelled = self._merge(images, labelled, [counts, *([coarse] if coarse else [])])
        self._check_outcome(images, labelled, counts.confusion)
        return EvalResult(
            metrics=counts.summary(),
            counts=counts,
            per_class=counts.per_class(self.dataset.classes),
            protocol=self.protocol,
            images=images,
            skipped=list(loader.skipped),
            seconds=time.perf_counter() - start,
            coarse=coarse,
        )

    @property
    def protocol(self) -> str:
        """Protocol in words."""
        size = self.config.crop_size or self.crop
        return describe(self.config, (size, size) if isinstance(size, int) else tuple(size))

    def _check(self, model: Any) -> None:
        if model.num_classes != self.dataset.num_classes:
            raise ConfigError(
                f"the network has {model.num_classes} classes, {self.dataset.name} has {self.dataset.num_classes}",
                "the data set that the network was trained for",
                "name the data set with --data, or use another checkpoint",
            )

    def _counts(self, model: Any) -> Counts:
        return Counts.start(model.num_classes, self._left_out(), self.config.boundary)

    def _merge(self, images: int, labelled: bool, counts: Sequence[Counts]) -> tuple[int, bool]:
        """Sum the counts over the workers."""
        for number, own in enumerate(counts):
            for part, array in enumerate(own.arrays()):
                array[...] = self.group.total(array, f"counts {number} {part}")
        total = self.group.total(np.array([images, labelled]), "images")
        return int(total[0]), bool(total[1])

    def _left_out(self) -> list[int]:
        """Indices of the classes that the means do not count."""
        classes = list(self.dataset.classes)
        for name in self.config.left_out:
            if name not in classes:
                raise ConfigError(
                    f"eval.left_out: {self.dataset.name} has no class {name!r}",
                    f"one of {', '.join(classes)}",
                    suggest(name, classes),
                )
        return [classes.index(name) for name in self.config.left_out]

    def _predictors(self, model: Any, contexts: list[mx.Context]) -> list[Predictor | ProgressivePredictor]:
        input_facts = {"mean": self.mean, "std": self.std, "divisor": model.divisor, "min_size": model.min_size}
        refine = self.config.refine
        if not refine:
            return [Predictor(model.inference, self.config, self.crop, c, **input_facts) for c in contexts]
        own = getattr(model, "refinement_modules", None)
        modules = [own or load_modules(refine, model.num_classes, c) for c in contexts]
        return [
            ProgressivePredictor(model.inference, chosen, refine, c, **input_facts)
            for chosen, c in zip(modules, contexts, strict=True)
        ]

    def _loader(self) -> EvalLoader:
        return EvalLoader(
            self.dataset, self.workers, max_bad_samples=self.max_bad_samples, limit=self.limit, share=self.group.share
        )

    def _bar(self, progress: bool) -> tqdm:
        total = min(len(self.dataset), self.limit or len(self.dataset)) // self.group.size
        return tqdm(
            total=total, desc="evaluate", unit="img", disable=not (progress and sys.stderr.isatty()), leave=False
        )

    @staticmethod
    def _predictions(
        examples: Iterable[Example], predictors: list[Predictor | ProgressivePredictor]
    ) -> Iterator[tuple[Example, Prediction]]:
        """Deal the examples to the devices, one each at a time; results in the order of the examples."""
        group: list[Example] = []

        def flush() -> Iterator[tuple[Example, Prediction]]:
            pairs = zip(predictors, group, strict=False)
            yield from zip(group, run_together([p.prediction_steps(e.image, e.name) for p, e in pairs]), strict=True)
            group.clear()

        for example in examples:
            group.append(example)
            if len(group) == len(predictors):
                yield from flush()
        yield from flush()

    @staticmethod
    def _count(counts: Counts, example: Example, prediction: np.ndarray) -> None:
        try:
            counts.update(example.label, prediction)
        except DataError as error:
            raise DataError(f"{example.name}: {error.found}", error.expected, error.remedy) from error

    def _check_outcome(self, images: int, labelled: bool, confusion: ConfusionMatrix) -> None:
        where = f"{self.dataset.name} ({self.dataset.split})"
        if not images:
            raise DataError(f"{where}: no image could be evaluated")
        if labelled and not confusion.pixels:
            raise DataError(f"{where}: no labelled pixel in {images} images", "labels other than the ignored value")
