"""The command ``mxnetseg eval``: scores, predictions and speed of a checkpoint."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import count, natural, share
from .deploy.export import parse_size
from .engine.atomic import replace_file
from .engine.lookup import find_checkpoint, refuse_contradictions, refuse_other_classes
from .errors import ConfigError
from .progressive import add_refine_arguments, parse_scales, refine_values
from .registry import DATASETS, MODELS

if TYPE_CHECKING:
    from .config import Config
    from .engine.evaluator import EvalResult, Evaluator

__all__ = ["HELP", "add_arguments", "evaluation_config", "run"]

HELP = "score a checkpoint, write its predictions, or measure its speed"
EXAMPLES = """\
mxnetseg eval --checkpoint weights/bisenet/RUN_best.params --data-root dataset/CamVid
mxnetseg eval --checkpoint RUN_best.params --ms --mode testval --save-dir predictions
mxnetseg eval --checkpoint RUN_best.params --protocol slide --crop 512x1024 --json
mxnetseg eval --purpose speed --model bisenet --backbone resnet18 --crop 512x1024 --ctx cpu
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    flag = argparse.BooleanOptionalAction
    add = parser.add_argument
    add("--purpose", choices=("score", "speed"), default="score", help="score (default), or speed")
    add("--checkpoint", metavar="FILE", help="path, ready weights, or a name in weights/<model>/")
    add("--model", help="model; the checkpoint's own when empty, a contradiction is an error (so for the next three)")
    add("--backbone", help="backbone")
    add("--dilate", action=flag, default=None, help="dilated backbone")
    add("--aux", action=flag, default=None, help="auxiliary heads")
    add("--ctx", nargs="+", metavar="ID", help="GPU ids, or cpu, or cpu0 cpu1 (GPU 0 if usable, else cpu)")
    add("--data", help="data set; the one of the checkpoint when empty")
    add("--data-root", metavar="DIR", help="folder of the data set")
    add("--datalist", metavar="FILE", help="lines 'image<TAB>mask' instead of the data set's splits; {split} in it")
    add("--config", metavar="FILE", help="configuration whose data and eval sections replace the checkpoint's")
    add(
        "--mode",
        choices=("val", "test", "testval"),
        default="val",
        help="val: metrics; test: coloured predictions of "
        "the test split; testval: metrics, coloured predictions and overlays of the validation split",
    )
    add("--split", help="split instead of the mode's own")
    add(
        "--protocol",
        choices=("whole", "slide", "gluon", "mmseg", "mmseg_slide", "mfaranet"),
        help="inference protocol; the checkpoint's configuration "
        "when empty, or gluon (the original's) when --crop, --base or --ms is given",
    )
    add("--crop", type=parse_size, metavar="N|HxW", help="window")
    add("--base", type=count, metavar="N", help="longer side at scale 1")
    add("--ms", action="store_true", help="several scales and mirroring, with the original's scales for the data set")
    add("--aug-test", action="store_true", help="scales 0.5 to 1.75 and mirroring, in the configured protocol (mmseg)")
    add("--scales", type=parse_scales, nargs="+", metavar="S", help="scales, or sizes w-h,w-h,... of a progression")
    add("--flip", action=flag, default=None, help="average with the mirrored image")
    add("--boundary", action="store_true", help="score the borders of the classes too: boundary IoU and F-score")
    add("--overlap", type=share, metavar="SHARE", help="overlap of the windows")
    add("--submission", action="store_true", help="with --mode test: label-id files for the benchmark's server")
    add("--save-dir", metavar="DIR", help="where files go (predictions/<data>/<checkpoint>)")
    add("--workers", type=natural, metavar="N", help="processes that read images")
    add("--limit", type=count, metavar="N", help="evaluate the first N images only")
    add(
        "--fast",
        action="store_true",
        help="score the network as predict runs it (batch normalisation folded), then as it is, and compare",
    )
    add("--json", action="store_true", help="print JSON instead of the table")
    add("--warmup", type=natural, default=10, metavar="N", help="speed: iterations before the clock starts (10)")
    add("--iterations", type=count, default=50, metavar="N", help="speed: timed iterations (50)")
    add_refine_arguments(parser)
    add("overrides", nargs="*", metavar="KEY=VALUE", help="overrides of the configuration")


def evaluation_config(args: argparse.Namespace, recorded: dict[str, Any]) -> Config:
    """Configuration of an evaluation.

    Precedence: flags, then ``key=value``, then ``--config`` (its data and eval sections), then the checkpoint.

    Parameters
    ----------
    args : Namespace
        Parsed arguments.
    recorded : dict
        Configuration stored in the checkpoint.

    Raises
    ------
    ConfigError
        If a value is wrong.
    """
    from .config import apply_overrides, load_config

    values = dict(recorded)
    if args.config:
        given = load_config(args.config).model_dump(mode="json")
        values |= {section: given[section] for section in ("data", "eval")}
    # The checkpoint may come from another machine: its data folder only counts for its own data set.
    if args.data:
        name = DATASETS.entry(args.data).name
        if name != (values.get("data") or {}).get("name"):
            values["data"] = {k: v for k, v in (values.get("data") or {}).items() if k in ("base_size", "crop_size")}
        values = apply_overrides(values, [f"data.name={name}"])
    evaluation = values.get("eval") or {}
    values["eval"] = {**evaluation, "refine": refine_values(args, evaluation.get("refine"))}
    config = load_config(values, args.overrides)
    if args.data_root:
        config.data.root = args.data_root
    if args.datalist:
        config.data.datalist = args.datalist
    if args.workers is not None:
        config.data.workers = args.workers
    _set_protocol(config, args)
    return config


def _set_protocol(config: Config, args: argparse.Namespace) -> None:
    """Apply the protocol flags; --crop, --base or --ms alone mean the original's protocol."""
    from .engine.protocols import AUGMENTED_SCALES, historical_scales

    chosen = config.eval
    if args.protocol:
        chosen.protocol = args.protocol
    elif args.crop or args.base or args.ms:
        chosen.protocol = "gluon"
    if chosen.protocol == "gluon" and not chosen.base_size:
        chosen.base_size = config.data.base_size
    if args.crop:
        chosen.crop_size = args.crop
    if args.base:
        chosen.base_size = args.base
    if args.ms:
        chosen.scales, chosen.flip = historical_scales(config.data.name), True
    if args.aug_test:
        chosen.scales, chosen.flip = list(AUGMENTED_SCALES), True
    if factors := [scale for scale in args.scales or () if isinstance(scale, float)]:
        chosen.scales = factors
    if args.flip is not None:
        chosen.flip = args.flip
    if args.boundary:
        chosen.boundary = True
    if args.overlap is not None:
        chosen.overlap = args.overlap


def _recorded(meta: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about its network; the model's own defaults stand for what was not configured."""
    model = meta["model"]
    accepted = inspect.signature(MODELS.get(model["name"])).parameters
    recorded = {"model": model["name"]}
    for key, absent in (("backbone", None), ("dilate", False), ("aux", False)):
        default = accepted[key].default if key in accepted else absent
        recorded[key] = default if key not in accepted or model.get(key) is None else model[key]
    return recorded


def _typed(args: argparse.Namespace) -> dict[str, Any]:
    name = MODELS.entry(args.model).name if args.model else None
    return {"model": name, "backbone": args.backbone, "dilate": args.dilate, "aux": args.aux}


def run(args: argparse.Namespace) -> int:
    """Score or time a checkpoint."""
    return _speed(args) if args.purpose == "speed" else _score(args)


def _open(args: argparse.Namespace) -> tuple[Path, Any, dict[str, Any], list[Any]]:
    """Checkpoint path, network on all contexts, metadata, contexts."""
    if not args.checkpoint:
        raise ConfigError("no checkpoint", "--checkpoint FILE", "train first, or name a file in weights/<model>/")
    path = find_checkpoint(args.checkpoint, args.model)
    from .engine.checkpoint import load_model, read_meta
    from .engine.context import resolve_contexts

    meta = read_meta(path)
    if "model" in meta:
        refuse_contradictions(_recorded(meta), _typed(args), path.name)
    contexts = resolve_contexts(args.ctx)
    model, loaded = load_model(path, contexts)
    return path, model, loaded.meta, contexts


def _score(args: argparse.Namespace) -> int:
    if args.submission and args.mode != "test":
        raise ConfigError("--submission with --mode " + args.mode, "--mode test")
    path, model, meta, contexts = _open(args)
    from .data import build_dataset
    from .engine.evaluator import Evaluator
    from .engine.examples import ExampleKeeper
    from .engine.run import environment
    from .tools.results import PanelWriter, PredictionWriter, format_result, write_result
    from .tools.run_page import write_run_page

    config = evaluation_config(args, meta.get("config") or {})
    split = args.split or (config.data.test_split if args.mode == "test" else config.data.val_split)
    dataset = build_dataset(config.data, split)
    refuse_other_classes(path.name, meta, dataset)
    if args.mode == "val" and dataset.samples[0].mask is None:
        raise ConfigError(
            f"{dataset.name} {split} has no masks to score", "a split with masks", "--mode test, or --split"
        )
    folder = Path(args.save_dir or Path("predictions") / dataset.name.lower() / path.stem)
    evaluator = Evaluator(
        dataset,
        config.eval,
        config.crop(),
        workers=config.data.workers,
        max_bad_samples=config.data.max_bad_samples,
        limit=args.limit,
        mean=meta["mean"],
        std=meta["std"],
    )
    keeper = ExampleKeeper(dataset.classes, dataset.palette)
    writers: list[Any] = [keeper]
    if args.mode != "val":
        writers.append(PredictionWriter(dataset, folder, args.mode, args.submission))
    if args.save_pred:
        writers.append(PanelWriter(dataset, folder))
    on_coarse = writers[-1].keep_coarse if args.save_pred else None
    fast = _Fast(model, contexts) if args.fast else None
    if fast:
        writers.append(fast.comparison.keep)
    scored = fast.model if fast else model
    result = evaluator.evaluate(scored, contexts, lambda *shown: [w(*shown) for w in writers], on_coarse=on_coarse)
    record = {"mode": args.mode, "data": dataset.name, "split": split, "checkpoint": path.name, **result.as_dict()}
    record |= {"eval": config.eval.model_dump(mode="json"), "environment": environment()}
    record["config"] = config.model_dump(mode="json")
    if fast:
        record["fast"] = fast.compare(evaluator, result)
    write_result(folder, record, result)
    keeper.write(folder / "examples")
    write_run_page(folder / f"{args.mode}.json")
    print(json.dumps(record) if args.json else format_result(record, result, folder))
    return fast.report(record["fast"], args.json) if fast else 0


class _Fast:
    """The network as `predict` runs it, and its comparison with the network as it is."""

    def __init__(self, model: Any, contexts: list[Any]):
        from .deploy.fast import Comparison, FastModel

        self._own, self._contexts = model, contexts
        self.model, self.comparison = FastModel(model, contexts), Comparison()

    def compare(self, evaluator: Evaluator, fast: EvalResult) -> dict[str, float | None]:
        own = evaluator.evaluate(self._own, self._contexts, self.comparison.compare)
        both = [result.metrics["mIoU"] if result.confusion.pixels else None for result in (fast, own)]
        difference = None if None in both else both[0] - both[1]
        return {"equal": self.comparison.equal, "mIoU_difference": difference, "seconds_without": own.seconds}

    def report(self, found: dict[str, float | None], quiet: bool) -> int:
        """Print the comparison; 1 if too few labels are equal."""
        from .deploy.fast import LEAST_EQUAL

        if not quiet:
            difference = found["mIoU_difference"]
            score = "" if difference is None else f", mIoU {100 * difference:+.4f} points"
            print(f"fast path against the network as it is: {found['equal']:.4%} equal labels{score}")
        if found["equal"] >= LEAST_EQUAL:
            return 0
        print(f"fewer than {LEAST_EQUAL:.2%} of the labels are equal", file=sys.stderr)
        return 1


def _speed(args: argparse.Namespace) -> int:
    from .config import load_config
    from .tools.speed import format_speed, measure

    if args.checkpoint:
        path, model, meta, contexts = _open(args)
        config, source = load_config(meta.get("config") or {}), path.name
    else:
        model, config, contexts = _untrained(args)
        source = "random weights"
    height, width = args.crop or config.crop()
    result = measure(model, (1, 3, height, width), contexts[0], args.warmup, args.iterations)
    result |= {"model": type(model).__name__, "weights": source}
    print(json.dumps(result) if args.json else f"{result['model']}, {source}\n{format_speed(result)}")
    if args.save_dir:
        folder = Path(args.save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "speed.json", json.dumps(result, indent=1).encode())
    return 0


def _untrained(args: argparse.Namespace) -> tuple[Any, Config, list[Any]]:
    """Network with random weights, for speed alone."""
    if not (args.model or args.config):
        raise ConfigError("neither a checkpoint nor a model", "--checkpoint FILE, or --model NAME for random weights")
    from .config import load_config
    from .engine.context import resolve_contexts
    from .models import build_model

    config = load_config(args.config, args.overrides)
    for key, value in _typed(args).items():
        if value is not None:
            setattr(config.model, "name" if key == "model" else key, value)
    classes = DATASETS.entry(args.data or config.data.name).meta.get("classes", 19)
    contexts = resolve_contexts(args.ctx)
    model = build_model(config.model, classes)
    model.collect_params().reset_ctx(contexts)
    return model, config, contexts
