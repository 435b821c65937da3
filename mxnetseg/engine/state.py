"""What is written during training: weights files and the full state that ``--resume`` continues from."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..data.transforms import MEAN, STD
from ..errors import CheckpointError
from .checkpoint import load_checkpoint, save_checkpoint
from .run import check_resumable, environment
from .weights import load_strictly, values

if TYPE_CHECKING:
    from ..config import Config
    from .trainer import Trainer

__all__ = ["Position", "load_state", "save_state", "save_weights"]


@dataclass
class Position:
    """Where a run stands, apart from arrays.

    Attributes
    ----------
    step : int
        Updates done.
    epoch, batch : int
        Epochs done, and batches done of the next one.
    loss_sum, loss_count : float, int
        Training loss of this epoch so far.
    best_metrics : dict
        Of the best validation.
    stale : int
        Validations since then.
    paths : dict
        Names of the run's files.
    wandb_id : str or None
        Run to continue there.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    stale: int = 0
    paths: dict[str, Any] = field(default_factory=dict)
    wandb_id: str | None = None


def save_weights(trainer: Trainer, path: Path, metrics: dict[str, float]) -> None:
    """Write the network's present weights with everything needed to use them."""
    dataset, config, position = trainer.dataset, trainer.config, trainer.position
    meta = {
        "format": 1,
        "mxnetseg": __version__,
        **_owner(config),
        "num_classes": dataset.num_classes,
        "classes": list(dataset.classes),
        "palette": [[int(v) for v in color] for color in dataset.palette],
        "mean": list(MEAN),
        "std": list(STD),
        "data": dataset.name,
        "config": config.model_dump(mode="json"),
        "metrics": {k: float(v) for k, v in metrics.items()},
        "epoch": position.epoch,
        "step": position.step,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": environment(),
        "run": trainer.paths.stem,
    }
    save_checkpoint(path, values(trainer.net), meta)


def _owner(config: Config) -> dict[str, Any]:
    """What the weights are of: a segmentation network, or the refinement module of one."""
    if config.train.refines:
        return {"kind": "refinement", "refines": config.train.refines}
    return {"model": config.model.model_dump(mode="json")}


def save_state(trainer: Trainer) -> None:
    """Write everything that a continuation needs: weights, averages, optimizer, position, configuration."""
    extra = {f"optimizer/{k}": v for k, v in trainer.updater.states().items()}
    if trainer.ema:
        extra.update({f"ema/{k}": v for k, v in trainer.ema.arrays.items()})
    trainer.position.paths = {k: str(v) for k, v in asdict(trainer.paths).items()}
    meta = {
        "format": 1,
        "kind": "state",
        "mxnetseg": __version__,
        "config": trainer.config.model_dump(mode="json"),
        "position": asdict(trainer.position),
        "contexts": len(trainer.contexts),
        "batches": trainer.batches,
        "versions": environment(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    save_checkpoint(trainer.paths.state, values(trainer.net), meta, extra, trainer.paths.previous)


def load_state(trainer: Trainer, path: Path) -> list[str]:
    """Put a saved state into a freshly built trainer.

    Returns
    -------
    list of str
        What differs from the process that saved it.

    Raises
    ------
    CheckpointError
        If the file is damaged, holds no state, or belongs to other data.
    ConfigError
        If the configuration contradicts it.
    """
    saved = load_checkpoint(path)
    if saved.meta.get("kind") != "state":
        raise CheckpointError(f"{path} holds no training state", "a _last.state file")
    notes = check_resumable(path, saved.meta["config"], trainer.config.model_dump(mode="json"))
    if saved.meta["batches"] != trainer.batches:
        raise CheckpointError(
            f"{path} was saved with {saved.meta['batches']} batches per epoch, now there are {trainer.batches}",
            "the same training images",
        )
    load_strictly(trainer.net, saved.params, str(path), trainer.contexts)
    trainer.position = Position(**saved.meta["position"])
    trainer.position.paths = _paths(trainer, path)
    states = {k.removeprefix("optimizer/"): v for k, v in saved.extra.items() if k.startswith("optimizer/")}
    trainer.updater.load_states(states, trainer.position.step)
    if trainer.ema:
        trainer.ema.load({k.removeprefix("ema/"): v for k, v in saved.extra.items() if k.startswith("ema/")})
    return notes + _changes(saved.meta, trainer)


def _paths(trainer: Trainer, state: Path) -> dict[str, Any]:
    """Files of the run: weights beside the state, wherever that was moved; the run folder where it was, or anew."""
    saved = trainer.position.paths
    folder = Path(saved["folder"])
    if not folder.is_dir():
        folder = Path(trainer.config.train.runs_dir) / saved["stem"]
    return {"stem": saved["stem"], "weights": state.parent, "folder": folder}


def _changes(meta: dict[str, Any], trainer: Trainer) -> list[str]:
    """Circumstances that change the last bits."""
    now = environment()
    kinds = {"threads": "OMP_NUM_THREADS", "mxnet": "MXNet", "numpy": "NumPy"}
    changed = [
        f"{title} was {meta['versions'].get(key)!r}, is {now[key]!r}: results agree but for rounding"
        for key, title in kinds.items()
        if meta["versions"].get(key) != now[key]
    ]
    if meta["contexts"] != len(trainer.contexts):
        changed.append(
            f"{meta['contexts']} contexts before, {len(trainer.contexts)} now: results agree but for rounding"
        )
    return changed
