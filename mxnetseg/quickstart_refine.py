"""``mxnetseg quickstart --refine``: progressive refinement (MagNet) of the quickstart's network on large scenes.

The network learns to see parts of a large scene too, a refinement module is trained on it, and both views are scored.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .catalog import CONFIGS
from .quickstart import FAST, configure, say_stage, train_whole

if TYPE_CHECKING:
    from .config import Config
    from .tools.refine_report import Compared, Pair

__all__ = ["run"]

FOLDER = "refine"  # below --out
ZOOMED, REFINED = (CONFIGS / "synthetic" / f"quickstart_{name}.yaml" for name in ("zoomed", "refined"))
SHOWN = 3  # scenes on the page
STAGES = 5
BEFORE = 1  # line of the comparison that refinement starts from
PICTURE = (256, 512)
SCALES = "--scales 256-128,512-256,1024-512"
LEAD = (
    "The network sees a large scene reduced to 256x128, and misses what is thin there. Then it sees the scene in "
    "parts, with more and more of its pixels, and a small module decides what to take over where it was uncertain "
    "(MagNet, Huynh et al., CVPR 2021)."
)


def run(args: argparse.Namespace) -> int:
    """Run the example; the last line tells scores, wall time and page."""
    start, out = time.perf_counter(), Path(args.out) / FOLDER
    first = _quickstart_network(args)
    zoomed, refined = (configure(args, path, FOLDER, (*FAST, "data.options.val=2")) for path in (ZOOMED, REFINED))

    from .data import build_dataset

    height, width = zoomed.data.options["size"]
    say_stage(2, f"data: street scenes of {width}x{height} in {zoomed.data.root}", STAGES)
    validation = build_dataset(zoomed.data, zoomed.data.val_split)
    network, _ = _train(3, zoomed, "the network learns to see parts of a scene", init=first)
    module, curves = _train(4, refined, "the refinement module", refines=network)
    say_stage(5, f"evaluation, pictures and page in {out}", STAGES)
    refined.eval.refine.weights = [str(module)]
    compared, pairs = _compare(refined, zoomed, validation, first, network)
    parts = {"curves": curves, "config": refined.to_yaml(), "steps": _steps(network, module)}
    page = _write(out, validation, compared, pairs, **parts)
    (before, edges_before), (after, edges) = compared[BEFORE].scores, compared[-1].scores
    gain = f"mIoU={before:.1f}->{after:.1f} boundary={edges_before:.1f}->{edges:.1f}"
    print(f"quickstart --refine: {gain} seconds={time.perf_counter() - start:.0f} page={page}")
    return 0


def _quickstart_network(args: argparse.Namespace) -> Path:
    """The quickstart's weights: the newest ones in its folder, or trained now."""
    from .engine.checkpoint import read_meta

    config = configure(args)
    files = sorted(Path(config.train.weights_dir).glob("*/*_best.params"), key=lambda p: p.stat().st_mtime)
    # A network of --fast has seen next to nothing.
    whole = [p for p in files if args.fast or not read_meta(p)["config"]["train"]["max_steps"]]
    if whole:
        say_stage(1, f"network: the quickstart's {whole[-1]}", STAGES)
        return whole[-1]
    from .data import build_dataset

    say_stage(1, "network: the quickstart's, trained first", STAGES)
    build_dataset(config.data, config.data.train_split)  # generates the scenes
    return train_whole(config).best_path


def _train(
    stage: int, config: Config, what: str, init: Path | None = None, refines: Path | None = None
) -> tuple[Path, list[tuple]]:
    """Weights of a training from or on other ones, and its curves."""
    from .config import ModelConfig
    from .engine.checkpoint import read_meta
    from .tools.report import read_log
    from .tools.run_report import curves

    say_stage(stage, f"training: {what}, {config.data.options['train']} images, {config.train.epochs} epochs", STAGES)
    if init:
        config.model = ModelConfig(**{**read_meta(init)["model"], "init": str(init)})
    config.train.refines = refines and str(refines)
    result = train_whole(config)
    return result.last_path, curves(read_log(result.run_dir / "log.jsonl"))


def _compare(
    refined: Config, whole: Config, dataset: Any, first: Path, network: Path
) -> tuple[list[Compared], list[Pair]]:
    """Scores at the size of the labels: the whole image reduced, at its full size, and refined."""
    import mxnet as mx

    from .engine.checkpoint import load_model
    from .engine.evaluator import Evaluator
    from .tools.refine_report import Compared, Pair

    pairs: list[Pair] = []
    coarse: list[np.ndarray] = []

    def keep(example: Any, labels: np.ndarray) -> None:
        before = coarse.pop()
        if len(pairs) < SHOWN:
            pairs.append(Pair(example.name, example.image, example.label, before, labels))

    def score(weights: Path, config: Any, **hooks: Any) -> Any:
        model, _ = load_model(weights, mx.cpu())
        return Evaluator(dataset, config, whole.crop()).evaluate(model, mx.cpu(), **hooks)

    own = score(first, whole.eval)
    full = score(network, whole.eval.model_copy(update={"base_size": None}))
    result = score(network, refined.eval, on_example=keep, on_coarse=lambda _, labels: coarse.append(labels))
    height, width = refined.eval.refine.input_size
    reduced = f"whole image at {width}x{height}"
    compared = [
        Compared(f"the quickstart's network, {reduced}", own.counts),
        Compared(f"the network of all scales, {reduced}", result.coarse),
        Compared("the same, whole image at its full size", full.counts),
        Compared("refined", result.counts),
    ]
    return compared, pairs


def _write(out: Path, dataset: Any, compared: Sequence[Compared], pairs: Sequence[Pair], **parts: Any) -> Path:
    """Table, pictures and page; the path of the page."""
    from .tools.refine_report import format_comparison, refine_columns, refine_report
    from .tools.report import write_report
    from .visual import contact_sheet, write_image

    print(format_comparison(compared))
    records = [{"name": line.name, **line.counts.as_dict(list(dataset.classes))} for line in compared]
    (out / "scores.json").write_text(json.dumps(records, indent=2), encoding="utf-8")
    columns = refine_columns(pairs, dataset.palette, PICTURE)
    write_image(out / "examples.png", contact_sheet(list(zip(*columns.values(), strict=True))))
    texts = {"title": "mxnetseg quickstart --refine", "lead": LEAD}
    return write_report(out / "report.html", refine_report(dataset, compared, pairs, PICTURE, **texts, **parts))


def _steps(network: Path, module: Path) -> list[tuple[str, str]]:
    both = f"--checkpoint {network} --refinement {module} {SCALES}"
    return [
        ("Refine your own large pictures", f"mxnetseg predict PICTURE {both} --save-pred"),
        (
            "Score fewer patches: only the four most uncertain ones of every scale",
            f"mxnetseg eval {both} --n-patches 4",
        ),
        ("Train a module for your network", f"mxnetseg train --refines {network} {SCALES} --data DATA --ctx cpu"),
    ]
