"""``mxnetseg quickstart``: the whole loop on generated street scenes, ending with a page that shows it.

It calls what the other commands call: the data set, the trainer, the evaluator, the export. ``--refine`` goes on with
scenes of four times the size (:mod:`.quickstart_refine`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalog import CONFIGS

if TYPE_CHECKING:
    import numpy as np

    from .config import Config
    from .engine.evaluator import EvalResult
    from .engine.trainer import TrainResult
    from .tools.run_report import Shown

__all__ = ["CONFIG", "FAST", "HELP", "add_arguments", "configure", "run", "say_stage", "train_whole"]

HELP = "Generate data, train, evaluate, predict and export; a page shows the result."
EXAMPLES = """\
mxnetseg quickstart
mxnetseg quickstart --fast --out /tmp/quickstart
mxnetseg quickstart --out trial train.epochs=5 optimizer.lr=0.02
"""
CONFIG = CONFIGS / "synthetic" / "quickstart.yaml"
FAST = ("train.epochs=1", "train.max_steps=4", "data.options.train=16", "data.options.val=6")
SHOWN = 6  # images on the page
STAGES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", default="quickstart", metavar="DIR", help="folder of everything it writes")
    parser.add_argument("--fast", action="store_true", help="a few steps on a few images: does it run at all?")
    parser.add_argument(
        "--refine",
        action="store_true",
        help="refine this network on scenes of four times the size (MagNet); what is there already is used",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="configuration values to change")


def run(args: argparse.Namespace) -> int:
    """Run the loop; the last line tells score, wall time and page."""
    if args.refine:
        from .quickstart_refine import run as refine

        return refine(args)
    start, out = time.perf_counter(), Path(args.out)
    config = configure(args)

    from .data import build_dataset

    say_stage(1, f"data: generated street scenes in {config.data.root}")
    validation = build_dataset(config.data, config.data.val_split)
    images = len(build_dataset(config.data, config.data.train_split))

    import mxnet as mx

    from .deploy.symbol import export_symbol
    from .engine.checkpoint import load_model
    from .tools.report import write_report
    from .tools.run_report import examples_sheet, run_report
    from .tools.speed import measure
    from .visual import write_image

    say_stage(2, f"training: {config.model.name} on {images} images, {config.train.epochs} epochs")
    trained = train_whole(config)
    say_stage(3, f"evaluation of {trained.best_path}; pictures in {out / 'predictions'}")
    model, _ = load_model(trained.best_path, mx.cpu())
    result, shown = _evaluate(config, validation, model, out)
    say_stage(4, f"export to {out / 'export'}, reloaded without this package and compared")
    _, error = export_symbol(trained.best_path, out / "export")
    say_stage(5, "speed and page")
    height, width = shown[0].label.shape
    speed = measure(model, (1, 3, height, width), mx.cpu(), iterations=20)
    texts = {"title": "mxnetseg quickstart", "lead": _lead(config, images, error), "steps": _steps(trained.best_path)}
    seconds = time.perf_counter() - start
    report = run_report(config, validation, result, shown, trained.run_dir, seconds=seconds, speed=speed, **texts)
    write_image(out / "examples.png", examples_sheet(shown[:3], validation.palette))
    page = write_report(out / "report.html", report)
    print(f"quickstart: mIoU={result.metrics['mIoU']:.2f} seconds={time.perf_counter() - start:.0f} page={page}")
    return 0


def say_stage(number: int, text: str, stages: int = STAGES) -> None:
    """Print which part of the work begins."""
    print(f"[{number}/{stages}] {text}", flush=True)


def configure(
    args: argparse.Namespace, source: Path = CONFIG, folder: str = "", fast: tuple[str, ...] = FAST
) -> Config:
    """Configuration of a command whose results go below ``--out``."""
    from .config import load_config

    out = Path(args.out) / folder
    places = [f"data.root={out / ('data-fast' if args.fast else 'data')}"]
    places += [f"train.weights_dir={out / 'weights'}", f"train.runs_dir={out / 'runs'}"]
    return load_config(source, [*places, *(fast if args.fast else ()), *args.overrides])


def train_whole(config: Config) -> TrainResult:
    """Train to the end on the processor; the run gets its page.

    Raises
    ------
    SystemExit
        After Ctrl-C or SIGTERM, when the state is saved.
    """
    import mxnet as mx

    from .engine.trainer import train
    from .tools.run_page import write_run_page

    result = train(config, [mx.cpu()])
    write_run_page(result.run_dir)
    if result.exit_code:
        raise SystemExit(result.exit_code)
    return result


def _evaluate(config: Config, dataset: Any, model: Any, out: Path) -> tuple[EvalResult, list[Shown]]:
    """Score, write coloured predictions and overlays, keep the first examples for the page."""
    import mxnet as mx

    from .engine.evaluator import Evaluator
    from .tools.run_report import Shown
    from .visual import colorize, overlay, write_image

    shown: list[Shown] = []

    def keep(example: Any, prediction: np.ndarray) -> None:
        stem = out / "predictions" / example.name
        write_image(stem.with_name(f"{stem.name}_color.png"), colorize(prediction, dataset.palette))
        write_image(stem.with_name(f"{stem.name}_overlay.png"), overlay(example.image, prediction, dataset.palette))
        if len(shown) < SHOWN:
            shown.append(Shown(example.name, example.image, example.label, prediction))

    evaluator = Evaluator(dataset, config.eval, config.crop(), workers=config.data.workers)
    result = evaluator.evaluate(model, mx.cpu(), on_example=keep)
    (out / "eval.json").write_text(json.dumps(result.as_dict(), indent=2), encoding="utf-8")
    return result, shown


def _lead(config: Config, images: int, error: float) -> str:
    return (
        f"{config.model.name} ({config.model.backbone}) was trained from random weights on {images} generated street "
        f"scenes for {config.train.epochs} epochs, scored on images it has not seen, exported as an MXNet symbol and "
        f"reloaded without this package (relative difference of the outputs {error:.1g})."
    )


def _steps(checkpoint: Path) -> list[tuple[str, str]]:
    return [
        ("Segment your own pictures with this network", f"mxnetseg predict PICTURE --checkpoint {checkpoint}"),
        ("Refine it on scenes of four times the size", f"mxnetseg quickstart --refine --out {checkpoint.parents[2]}"),
        ("See which models, data sets and configurations there are", "mxnetseg list models\nmxnetseg list configs"),
        ("Train on CamVid", "mxnetseg train --config camvid/swiftresnet_resnet18 --ctx cpu"),
        ("Train on your own images: copy this file and edit it", str(CONFIGS / "custom" / "example.yaml")),
        ("Check this installation", "mxnetseg doctor"),
    ]
