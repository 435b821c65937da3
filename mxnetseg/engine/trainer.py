"""The training loop."""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config import Config
from ..errors import CheckpointError, ConfigError, TrainingError, UserError
from ..models.layers import set_momentum
from ..models.weights import load_arrays
from .atomic import keep, remove_stray_files
from .checkpoint import load_checkpoint
from .context import check_norm
from .ema import WeightAverage
from .examples import ExampleKeeper
from .group import Group, join
from .logging import RunLogger, StepRow
from .optimizer import Updater
from .refine.learner import adopt_network, build_learner
from .run import RunPaths, environment, find_state, intact_state, new_run, run_paths
from .schedule import Schedule
from .signals import StopRequest
from .state import Position, load_state, save_state, save_weights
from .step import Batch, ForwardBackward, random_seed, scalars
from .weights import parameters, values

__all__ = ["TrainResult", "Trainer", "train"]

# Steps that may be under way on the devices before the loop waits for the oldest one: enough to keep them busy,
# and few enough to bound the memory of batches in flight.
_IN_FLIGHT = 2
# Losses per context of one batch, what the workers said of it, names of its images.
_Computed = tuple[list[nd.NDArray], nd.NDArray, list[str]]


@dataclass
class TrainResult:
    """How a training ended.

    Attributes
    ----------
    best_metrics : dict
        Metrics of the best validation; empty without one.
    best_path, last_path : Path or None
        Weights of the best validation, and of the end (None while unfinished).
    state_path : Path
        What ``--resume`` takes.
    run_dir : Path
        Run folder.
    steps : int
        Updates done in all.
    seconds : float
        Wall time of this process.
    data_wait : float
        Share of the training time spent waiting for data.
    exit_code : int
        0, or 130 / 143 after Ctrl-C / SIGTERM.
    worker : int
        Number of this worker; the first, 0, keeps log and weights.
    """

    best_metrics: dict[str, float]
    best_path: Path | None
    last_path: Path | None
    state_path: Path
    run_dir: Path
    steps: int
    seconds: float
    data_wait: float = 0.0
    exit_code: int = 0
    worker: int = 0


@dataclass
class _Pending:
    """A dispatched update whose losses have not been fetched."""

    losses: list[list[nd.NDArray]]
    facts: nd.NDArray
    lr: float
    names: list[str]
    step: int
    epoch: float


@dataclass
class _Clock:
    """Time and waiting since the last fetch."""

    since: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    total_wait: float = 0.0
    total: float = 0.0


class Trainer:
    """Trains a network as a configuration says.

    Parameters
    ----------
    config : Config
        Resolved configuration.
    contexts : sequence of Context
        Devices that share every batch.
    resume : str or path, optional
        A ``.state`` file, a run folder, or ``auto``; see :func:`mxnetseg.engine.run.find_state`.
    model, loader, evaluator : optional
        Ready-made parts in place of those that the configuration names (for programs and tests).
    progress : bool
        Show progress on standard error.
    group : Group, optional
        Workers that share every batch; worker 0 logs and saves.

    Raises
    ------
    UserError
        If the configuration, the data, the devices or the state cannot be used; before anything is written.
    """

    def __init__(
        self,
        config: Config,
        contexts: Sequence[mx.Context],
        *,
        resume: str | Path | None = None,
        model: Any = None,
        loader: Any = None,
        evaluator: Any = None,
        progress: bool = True,
        group: Group | None = None,
    ):
        self.config, self.contexts, self.group = config, list(contexts), group or Group()
        self.progress = progress and self.group.rank == 0
        if config.train.refines:
            adopt_network(config)
        self._check()
        state, damage = self._state(resume) if resume else (None, "")
        self._cleanup = ExitStack()
        try:
            # Workers start before any device is touched.
            self.loader, self.evaluator = self._data(loader, evaluator)
            self.net = self._network(model)
            self.position = Position()
            self._prepare()
            self.notes = load_state(self, state) if state else []
            if damage:
                self.notes.insert(0, damage)
            if resume and not state:
                self.notes = ["no saved state of this configuration: starting anew"]
            if config.model.init and not state:
                self.notes.append(self._fine_tune(config.model.init))
            self.paths = RunPaths(**self.position.paths) if state else self._new_run()
            if self.group.rank == 0:
                if damage:
                    keep(state, self.paths.state)  # else the damaged one would be kept as the state before the next
                for folder in (self.paths.weights, self.paths.folder):
                    remove_stray_files(folder)
        except BaseException:
            self._cleanup.close()
            raise

    def _state(self, resume: str | Path) -> tuple[Path | None, str]:
        state = find_state(resume, self.config)
        return intact_state(state) if state else (None, "")

    def _new_run(self) -> RunPaths:
        own = new_run(self.config) if self.group.rank == 0 else None
        stem = self.group.from_first(own.stem if own else "")
        return own or run_paths(self.config, stem)

    def _check(self) -> None:
        config = self.config
        devices = len(self.contexts) * self.group.size
        check_norm(config.model.norm, self.contexts)
        if config.train.amp and self.contexts[0].device_type != "gpu":
            raise ConfigError("train.amp=true on the processor", "mixed precision needs a GPU", "train.amp=false")
        if config.train.batch_size < devices:
            raise ConfigError(
                f"train.batch_size {config.train.batch_size} for {devices} contexts", "at least one image per context"
            )

    def _data(self, loader: Any, evaluator: Any) -> tuple[Any, Any]:
        config = self.config
        if loader is None:
            from ..data import build_dataset
            from ..data.loader import TrainLoader
            from ..data.refinement import RefinementTransform

            dataset = build_dataset(config.data, config.data.train_split)
            batch, seed, workers = config.train.batch_size, config.train.seed, config.data.workers
            crop, transform = config.crop(), None
            if config.train.refines:
                transform = RefinementTransform(config.eval.refine)
                crop = transform.crop
            loader = TrainLoader(dataset, config.data, crop, batch, seed, workers, transform, self.group.share)
            if config.train.val_interval:
                from .evaluator import Evaluator

                validation = build_dataset(config.data, config.data.val_split)
                evaluator = Evaluator(
                    validation,
                    config.eval,
                    config.crop(),
                    workers=config.data.workers,
                    max_bad_samples=config.data.max_bad_samples,
                    group=self.group,
                )
        self.dataset = loader.dataset
        self._cleanup.callback(loader.close)
        loader.start()
        return loader, evaluator

    def _network(self, model: Any) -> Any:
        config = self.config
        if config.train.amp:
            from mxnet.contrib import amp

            amp.init()
        mx.random.seed(random_seed(config.train.seed, 0))
        np.random.seed(random_seed(config.train.seed, 1) % 2**32)
        if model is None and config.train.refines:
            model = build_learner(config, self.dataset.num_classes, self.contexts)
        elif model is None:
            from ..models import build_model

            model = build_model(config.model, self.dataset.num_classes, num_devices=len(self.contexts))
        self._initialize(model)
        return model

    def _initialize(self, model: Any) -> None:
        """Give every parameter its value, on every context, before the first step."""
        model.prepare(ctx=self.contexts)
        for param in parameters(model).values():
            if param.list_ctx() != self.contexts:
                param.reset_ctx(self.contexts)
        if self.config.train.freeze_bn:
            model.freeze_bn(True)
        if self.config.train.bn_momentum is not None:
            set_momentum(model, self.config.train.bn_momentum)

    def _fine_tune(self, source: str) -> str:
        """Take over what fits from another checkpoint; say what does not."""
        report = load_arrays(self.net, load_checkpoint(source).params)
        if not report.loaded:
            raise CheckpointError(
                f"no tensor of {source} fits {self.config.model.name}", "a checkpoint of the same or a similar network"
            )
        return f"{source}: {report}"

    def _prepare(self) -> None:
        from ..losses import build_loss

        config = self.config
        self.accumulate = config.optimizer.accumulate
        self.batches = self.loader.steps_per_epoch
        if self.batches < 1:
            raise ConfigError(
                f"{len(self.dataset)} training images do not fill a batch of {config.train.batch_size}",
                "at least one whole batch",
                f"train.batch_size={max(1, len(self.dataset))}",
            )
        # An update never spans two epochs; the last one of an epoch may take fewer batches.
        self.updates_per_epoch = math.ceil(self.batches / self.accumulate)
        self.schedule_steps = config.train.steps or config.train.epochs * self.updates_per_epoch
        self.total = min(self.schedule_steps, config.train.max_steps or self.schedule_steps)
        self.schedule = Schedule(config.schedule, config.optimizer.lr, self.schedule_steps, self.updates_per_epoch)
        self.updater = Updater(parameters(self.net), config.optimizer, self._head(), self.group.kvstore)
        self.ema = WeightAverage(self.net, config.train.ema) if config.train.ema else None
        self.loss = build_loss(config.loss, self.dataset.num_classes)
        self.loss.initialize(ctx=self.contexts)
        trainer = self.updater.trainer if config.train.amp else None
        if trainer:
            from mxnet.contrib import amp

            amp.init_trainer(trainer)
        first = self.group.rank * len(self.contexts)
        self.compute = ForwardBackward(self.net, self.loss, self.contexts, config.train.seed, trainer, first)
        self.compute.hybridize()

    def _head(self) -> list[Any]:
        return list(self.net.head_parameters()) if self.config.optimizer.head_lr_mult != 1 else []

    def fit(self) -> TrainResult:
        """Train to the end, to early stopping, or to the first Ctrl-C or SIGTERM.

        Returns
        -------
        TrainResult

        Raises
        ------
        TrainingError
            If a loss or the weights are not finite (the last good state is kept), or a worker is lost.
        """
        exit_code = 1
        with self._cleanup, StopRequest(alone=self.group.size == 1) as self._stop:
            self._open()
            try:
                self._announce()
                self._epochs()
                exit_code = self._stop.exit_code
                return self._finish()
            finally:
                self.log.close(exit_code)

    def _open(self) -> None:
        """Start the clock and the log."""
        self._begin = time.perf_counter()
        self._pending: list[_Pending] = []
        self._clock = _Clock()
        self.log = self._logger()

    def _logger(self) -> RunLogger:
        sink = None
        first = self.group.rank == 0
        if self.config.log.wandb and first:
            from .wandb_sink import open_wandb

            sink = open_wandb(self.config, self.paths, self.position.wandb_id, environment(), self.dataset)
            self.position.wandb_id = sink.id if sink else self.position.wandb_id
        return RunLogger(self.paths.log if first else None, self.total, self.position.step, sink, self.progress)

    def _announce(self) -> None:
        config, position = self.config, self.position
        self.group.require_same("configuration or state", self._fingerprint())
        if self.group.rank == 0:
            self.paths.folder.mkdir(parents=True, exist_ok=True)
            (self.paths.folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
            (self.paths.folder / "state").write_text(str(self.paths.state.resolve()) + "\n", encoding="utf-8")
        facts = {
            "run": self.paths.stem,
            "step": position.step,
            "epoch": position.epoch,
            "contexts": [str(c) for c in self.contexts],
            "workers": self.group.size,
            "train_images": len(self.dataset),
            "batches_per_epoch": self.batches,
            "total_steps": self.total,
            "classes": list(self.dataset.classes),
            "environment": environment(),
            "config": config.model_dump(mode="json"),
        }
        self.log.start(facts)
        where = f"resuming {self.paths.stem} after step {position.step}" if position.step else f"run {self.paths.stem}"
        devices = " ".join(str(c) for c in self.contexts)
        if self.group.size > 1:
            devices += f" of {self.group.size} workers each"
        self.log.message(f"{where}: {config.model.name} on {self.dataset.name} ({len(self.dataset)} images), {devices}")
        for note in self.notes:
            self.log.message(note)
        if self.log.sink:
            self.log.message(self.log.sink.where)

    def _fingerprint(self) -> str:
        """What all workers must agree in."""
        settings = hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()
        return (
            f"step {self.position.step} of {self.paths.stem}, {len(self.dataset)} images, configuration {settings[:12]}"
        )

    def _epochs(self) -> None:
        position = self.position
        while position.step < self.total and not self._stop and not self._exhausted():
            self._epoch()
            if position.batch >= self.batches:
                self._end_epoch()
        if self._stop:
            self._save()

    def _epoch(self) -> None:
        """Run the rest of this epoch, or until the last update, or until someone asks to stop."""
        position = self.position
        window: list[_Computed] = []
        number = position.batch
        for batch in self._timed():
            # The batch's memory belongs to the loader again when the next one is asked for.
            facts = self._exchange(batch)
            losses = self.compute(batch, position.epoch * self.batches + number, facts[:1])
            window.append((losses, facts, list(batch.names)))
            number += 1
            if len(window) < self.accumulate and number < self.batches:
                continue
            self._update(window)
            window = []
            if self._stop or position.step >= self.total:
                return
            self._maybe_save()

    def _exchange(self, batch: Batch) -> nd.NDArray:
        """Labelled pixels of the batch over all workers, and how many of these were asked to stop; nothing waits."""
        facts = nd.array([batch.valid, self._stop.signal is not None])
        self.group.add(facts, "batch")
        return facts

    def _timed(self) -> Iterator[Batch]:
        batches = iter(self.loader.epoch(self.position.epoch, start=self.position.batch))
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches, None)
            except UserError:
                # A lost worker or damaged images: the updates done so far are good.
                if self.position.step and self.group.size == 1:
                    self._save()
                    self.log.message(f"saved after step {self.position.step}: {self.paths.state}")
                raise
            self._clock.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def _update(self, window: list[_Computed]) -> None:
        """Dispatch one update from gradients on their way; losses are fetched at the log interval only."""
        position = self.position
        lr = self.schedule(position.step)
        self.updater.step(lr, 1 / len(window))
        position.step += 1
        position.batch += len(window)
        if self.ema:
            self.ema.update(position.step)
        epoch = position.epoch + position.batch / self.batches
        names = [name for *_, names in window for name in names]
        losses, facts = [losses for losses, *_ in window], window[-1][1]
        self._pending.append(_Pending(losses, facts, lr, names, position.step, epoch))
        self.log.advance()
        if len(self._pending) > _IN_FLIGHT:
            self._wait_for(self._pending[-1 - _IN_FLIGHT])
        if position.step % self.config.train.log_interval == 0:
            self._fetch()

    def _wait_for(self, update: _Pending) -> None:
        """Wait for an update, and learn whether some worker was asked to stop before it."""
        for loss in update.losses[-1]:
            loss.wait_to_read()
        if self.group.size > 1 and update.facts[1].asscalar():
            self._stop.agree()

    def _fetch(self) -> None:
        """Fetch the losses of the dispatched updates, guard against NaN and Inf, log."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._wait_for(pending[-1])
        means = self._means(pending)
        for p, loss in zip(pending, means, strict=True):
            if not math.isfinite(loss):
                self._not_finite(f"the loss of step {p.step} is {loss}", p.names)
        clock, now = self._clock, time.perf_counter()
        seconds = now - clock.since
        speed = self.group.size * sum(len(p.names) for p in pending) / seconds
        share = clock.waited / seconds
        clock.total, clock.total_wait = clock.total + seconds, clock.total_wait + clock.waited
        clock.since, clock.waited = now, 0.0
        self.position.loss_sum += sum(means)
        self.position.loss_count += len(means)
        rows = zip(pending, means, strict=True)
        self.log.steps([StepRow(p.step, p.epoch, loss, p.lr, speed, share) for p, loss in rows])
        self._last_names = pending[-1].names

    def _means(self, pending: Sequence[_Pending]) -> list[float]:
        """Losses of updates over all workers."""
        own = [sum(scalars(p.losses)) / len(p.losses) for p in pending]
        return self.group.total(np.array(own), "losses").tolist()

    def _not_finite(self, found: str, names: Sequence[str] = ()) -> None:
        files = f"; images of that step: {', '.join(names)}" if names else ""
        kept = (
            f"the state before it is kept: {self.paths.state}"
            if self.paths.state.exists()
            else "no state was saved yet"
        )
        self.log.end({"step": self.position.step, "error": found, "files": list(names)})
        raise TrainingError(
            f"{found}{files}",
            f"finite numbers ({kept})",
            "lower optimizer.lr, set optimizer.clip_norm=1 or schedule.warmup_epochs=1; look at these images",
        )

    def _maybe_save(self) -> None:
        interval = self.config.train.save_interval
        if interval and self.position.step % interval == 0 and self.position.batch < self.batches:
            self._save()

    def _save(self) -> None:
        """Save the state, unless something in it is not finite."""
        self._fetch()
        arrays = [a for a in values(self.net).values() if a.dtype == np.float32]
        # A sum of squares is finite exactly when all of its terms are (weights are far from overflow).
        if not math.isfinite(float(nd.multi_sum_sq(*arrays, num_arrays=len(arrays)).sum().asscalar())):
            self._not_finite(f"weights are not finite after step {self.position.step}", self._last_names)
        if self.group.rank == 0:
            save_state(self)
        self._clock.since, self._clock.waited = time.perf_counter(), 0.0

    def _end_epoch(self) -> None:
        position = self.position
        self._fetch()
        self.log.epoch(position.step, position.epoch + 1, position.loss_sum / max(1, position.loss_count))
        position.epoch, position.batch, position.loss_sum, position.loss_count = position.epoch + 1, 0, 0.0, 0
        interval = self.config.train.val_interval
        last = position.step >= self.total
        if self.evaluator and interval and not self._stop and (position.epoch % interval == 0 or last):
            self._validate()
        if not self._stop:
            self._save()

    def _validate(self) -> None:
        """Evaluate (the averaged weights where there are some) and keep the best."""
        position = self.position
        pictures: list[tuple[Any, np.ndarray]] = []
        wanted = self.config.log.images if self.log.sink else 0
        keeper = ExampleKeeper(self.dataset.classes, self.dataset.palette)

        def collect(example: Any, prediction: np.ndarray) -> None:
            keeper(example, prediction)
            if len(pictures) < wanted:
                pictures.append((example, prediction))

        self._share_statistics()
        with self.ema.applied() if self.ema else nullcontext():
            result = self.evaluator.evaluate(self.net, self.contexts, on_example=collect, progress=self.progress)
            best = result.metrics["mIoU"] > position.best_metrics.get("mIoU", -math.inf)
            position.stale = 0 if best else position.stale + 1
            if best:
                position.best_metrics = dict(result.metrics, epoch=position.epoch, step=position.step)
                self._save_weights(self.paths.best, dict(result.metrics))
                if self.group.rank == 0:
                    keeper.write(self.paths.folder / "examples")
        epoch = position.epoch + position.batch / self.batches
        self.log.validation(position.step, epoch, result, best, pictures)
        self._clock.since, self._clock.waited = time.perf_counter(), 0.0

    def _save_weights(self, path: Path, metrics: dict[str, float]) -> None:
        if self.group.rank == 0:
            save_weights(self, path, metrics)

    def _share_statistics(self) -> None:
        """Running statistics of worker 0, which are those that are saved, for all."""
        if self.group.size > 1:
            statistics = [p for _, p in sorted(parameters(self.net).items()) if p.grad_req == "null"]
            first = [p.list_data()[0].copy() for p in statistics]
            self.group.spread(first)
            for param, array in zip(statistics, first, strict=True):
                param.set_data(array)

    def _exhausted(self) -> bool:
        patience = self.config.train.early_stop
        return bool(patience) and self.position.stale >= patience

    def _finish(self) -> TrainResult:
        position, done = self.position, not self._stop
        if done:
            self._fetch()
            if position.batch:
                self._finish_inside_epoch()
            with self.ema.applied() if self.ema else nullcontext():
                self._save_weights(self.paths.final, {})
        result = TrainResult(
            best_metrics=position.best_metrics,
            best_path=self.paths.best if self.paths.best.exists() else None,
            last_path=self.paths.final if done else None,
            state_path=self.paths.state,
            run_dir=self.paths.folder,
            steps=position.step,
            seconds=time.perf_counter() - self._begin,
            data_wait=self._clock.total_wait / max(self._clock.total, 1e-9),
            exit_code=self._stop.exit_code,
            worker=self.group.rank,
        )
        self._say_end(result)
        return result

    def _finish_inside_epoch(self) -> None:
        """max_steps ended the run inside an epoch: validate and save what there is."""
        if self.evaluator and self.config.train.val_interval:
            self._validate()
        self._save()

    def _say_end(self, result: TrainResult) -> None:
        stop = self._stop
        best = {f"best/{k}": v for k, v in result.best_metrics.items()}
        skipped = [list(item) for item in getattr(self.loader, "skipped", [])]
        facts = dict(
            step=result.steps,
            seconds=round(result.seconds, 1),
            data_wait=round(result.data_wait, 4),
            skipped=skipped,
            interrupted=stop.signal.name if stop.signal else None,
            best_path=str(result.best_path) if result.best_path else None,
            last_path=str(result.last_path) if result.last_path else None,
            **best,
        )
        self.log.end(facts)
        for file, reason in skipped:
            self.log.message(f"skipped {file}: {reason}")
        if stop:
            self.log.message(
                f"{stop.signal.name}: saved after step {result.steps}; go on with --resume {result.state_path}"
            )
            return
        if result.best_metrics:
            m = result.best_metrics
            self.log.message(f"best mIoU {100 * m['mIoU']:.2f}% (epoch {m['epoch']}): {result.best_path}")
        self.log.message(f"finished {result.steps} steps in {result.seconds:.0f} s: {result.last_path}")


def train(
    config: Config, contexts: Sequence[mx.Context], resume: str | Path | None = None, progress: bool | None = None
) -> TrainResult:
    """Train as a configuration says, with the other workers where there are some; see :class:`Trainer`."""
    shown = sys.stderr is not None if progress is None else progress
    group = join(contexts)
    result = Trainer(config, contexts, resume=resume, progress=shown, group=group).fit()
    group.close()
    return result
