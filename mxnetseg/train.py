"""``mxnetseg train`` and ``train.py``: train a network, or resume a run."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from .cluster import role, serve
from .errors import ConfigError
from .progressive import add_refine_arguments, parse_scales, refine_values
from .registry import MODELS, accepted_backbone, usable_backbones

if TYPE_CHECKING:
    from .config import Config
    from .engine.trainer import TrainResult

__all__ = ["HELP", "add_arguments", "resolve", "run"]

HELP = "Train a network, or resume a run."

EXAMPLES = """\
mxnetseg train --model fcn --ctx 0 1 --wandb myproject       # two GPUs share every batch
mxnetseg train --config camvid/bisenetr_resnet18 --ctx cpu
mxnetseg train --model bisenet --backbone resnet18 --data cityscapes --data-root /data/cityscapes optimizer.lr=0.02
mxnetseg train --resume                                      # go on with the newest run of this configuration
mxnetseg train --resume runs/NAME                            # go on with that run, its configuration included

Any configuration key can be set as key=value (`mxnetseg config` lists them with their meaning); short names work where
they are unambiguous (lr=0.02). Command line over --config over defaults. Weights go to weights/MODEL/, logs to
runs/NAME/. Ctrl-C finishes the step, saves, and says how to resume.
"""

# Flag: configuration key that it sets.
_FLAGS = {
    "model": "model.name",
    "backbone": "model.backbone",
    "data": "data.name",
    "data_root": "data.root",
    "wandb": "log.wandb",
    "log_interval": "train.log_interval",
    "seed": "train.seed",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "lr": "optimizer.lr",
    "wd": "optimizer.wd",
    "workers": "data.workers",
    "datalist": "data.datalist",
    "refines": "train.refines",
    "log_dir": "train.runs_dir",
    "task_name": "log.name",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--model", metavar="NAME", help="network, official or short name (`mxnetseg list models`)")
    add("--backbone", metavar="NAME", help="its backbone; the network's own default when left out")
    add("--data", metavar="NAME", help="data set (`mxnetseg list datasets`)")
    add("--data-root", metavar="DIR", help="folder of the data set")
    add("--config", metavar="FILE", help="YAML file, or a name that `mxnetseg list configs` shows, e.g. pretty-surf-1")
    add(
        "--ctx",
        nargs="+",
        metavar="C",
        help="GPU ids (0 1), cpu, or cpu0 cpu1; GPU 0 where one is usable, else cpu, when left out",
    )
    add("--wandb", metavar="PROJECT", help="log to this wandb project too (offline without a login; never asks)")
    add(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="continue a _last.state file or run folder bit for bit; without PATH the newest run of this configuration",
    )
    add("--no-val", action="store_true", help="do not validate (then there are no _best weights)")
    add("--log-interval", type=int, metavar="N", help="updates between logged values")
    add("--seed", type=int, metavar="N", help="seed of everything random")
    add("--epochs", type=int, metavar="N", help="passes over the training images")
    add("--batch-size", type=int, metavar="N", help="images per batch, over all contexts together")
    add("--lr", type=float, metavar="X", help="base learning rate")
    add("--wd", type=float, metavar="X", help="weight decay")
    add("--workers", type=int, metavar="N", help="processes that load images; 0 loads in the training process")
    add("--datalist", metavar="FILE", help="lines 'image<TAB>mask' instead of the data set's splits; {split} in it")
    add("--log-dir", "--log_dir", metavar="DIR", help="where run folders go (runs)")
    add("--task-name", "--task_name", metavar="NAME", help="name of the run, before the time, in wandb too")
    add(
        "--refines",
        metavar="CHECKPOINT",
        help="train the refinement module of this network (MagNet), which stays as it is; with --scales",
    )
    add("--scales", type=parse_scales, nargs=1, metavar="W-H,W-H,...", help="sizes of the progression")
    add_refine_arguments(parser)
    add("overrides", nargs="*", metavar="key=value", help="configuration keys, e.g. train.ema=0.99")


def _overrides(args: argparse.Namespace) -> list[str]:
    flags = {key: getattr(args, flag) for flag, key in _FLAGS.items()}
    # JSON is YAML, whatever characters a path has.
    pairs = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    if args.no_val:
        pairs.append("train.val_interval=0")
    return pairs + list(args.overrides or [])


def _source(args: argparse.Namespace) -> str | dict[str, Any] | None:
    """The configuration file, or the configuration inside of the state to resume."""
    if args.config or args.resume in (None, "auto"):
        return args.config
    from .config import Config
    from .engine.checkpoint import read_meta
    from .engine.run import find_state, intact_state

    return read_meta(intact_state(find_state(args.resume, Config()))[0]).get("config")


def resolve(args: argparse.Namespace) -> Config:
    """Configuration that the arguments describe.

    Raises
    ------
    UserError
        If a key, value or file is wrong.
    """
    if args.model:
        MODELS.entry(args.model)  # a misspelt name is told before the configuration's library is loaded
    from .config import load_config

    config = load_config(_source(args), _overrides(args))
    if args.scales and not config.train.refines:
        raise ConfigError(
            "--scales without --refines", "the checkpoint whose refinement module is trained", "--refines CHECKPOINT"
        )
    recorded = config.eval.refine and config.eval.refine.model_dump(mode="json")
    if refine := refine_values(args, recorded):
        values = config.model_dump(mode="json")
        values["eval"]["refine"] = refine
        return load_config(values)
    return config


def run(args: argparse.Namespace) -> int:
    """Train; return 0, or 130 / 143 when Ctrl-C / SIGTERM ended it."""
    if role() in ("scheduler", "server"):
        return serve()
    config = resolve(args)
    if config.log.wandb:
        from .engine.wandb_sink import sweep_overrides

        config = resolve_sweep(config, sweep_overrides())
    from .engine.context import resolve_contexts
    from .engine.trainer import train

    contexts = resolve_contexts(args.ctx)
    _check_backbone(config)
    if not args.resume:
        from .tools.precheck import check_before_training

        check_before_training(config)
    result = train(config, contexts, resume=args.resume)
    _write_page(result)
    return result.exit_code


def _check_backbone(config: Config) -> None:
    """Tell a wrong backbone before the data are looked at."""
    model = config.model
    if model.backbone and usable_backbones(model.name):
        accepted_backbone(model.name, model.backbone)


def _write_page(result: TrainResult) -> None:
    """The page of the run, by the worker that kept its log, if that could be written."""
    from .tools.records import LOG
    from .tools.run_page import write_run_page

    if result.worker == 0 and (result.run_dir / LOG).is_file():
        print(f"page: {write_run_page(result.run_dir)}", file=sys.stderr)


def resolve_sweep(config: Config, overrides: dict[str, Any]) -> Config:
    """Apply the parameters that ``wandb agent`` chose, by dotted or short name."""
    from .config import load_config

    return load_config(config.model_dump(mode="json"), [f"{k}={v}" for k, v in overrides.items()])
