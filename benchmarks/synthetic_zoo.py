"""Train every network by one recipe on generated street scenes; docs/training.json gets what came out.

    python benchmarks/synthetic_zoo.py [--models NAME ...] [--list] [--again] [--json FILE] [--work DIR]

configs/synthetic/zoo.yaml is the recipe, synthetic_zoo.yaml beside this file says what is different for a network. Each
network is trained by the command that its record shows, in a process of its own. One whose record was made by the same
recipe is skipped; one that is interrupted leaves no record. `make tables` makes docs/training.md from the records.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import yaml

import mxnetseg  # noqa: F401  (threads, before mxnet)
from mxnetseg.catalog import find_config
from mxnetseg.config import read_yaml
from mxnetseg.data.synthetic import VERSION
from mxnetseg.engine.atomic import replace_file
from mxnetseg.registry import MODELS
from mxnetseg.tools.tables import DOCS

RECIPE = "synthetic/zoo"
WORK = Path("runs/synthetic_zoo")
DIFFERENCES = Path(__file__).with_suffix(".yaml")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", metavar="NAME", help="only these, in this order")
    parser.add_argument("--list", action="store_true", help="say which are recorded, and train nothing")
    parser.add_argument("--again", action="store_true", help="train those that are recorded too")
    parser.add_argument(
        "--json", type=Path, default=DOCS / "training.json", metavar="FILE", help="records (docs/training.json)"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("runs/synthetic_zoo"), metavar="DIR", help="checkpoints, logs"
    )
    return parser.parse_args()


def differences() -> dict[str, list[str]]:
    """Overrides of every network, in the order of the file."""
    table = yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))
    return {name: (pairs or "").split() for name, pairs in table.items()}


def fingerprint(overrides: list[str]) -> str:
    """Hash of what the recipe, its differences for a network, and the generated scenes decide."""
    recipe = read_yaml(find_config(RECIPE))
    recipe.pop("description")
    return hashlib.sha256(json.dumps([VERSION, recipe, overrides], sort_keys=True).encode()).hexdigest()[:12]


def train(name: str, overrides: list[str], work: Path) -> dict[str, Any] | None:
    """Record of one training; None if it failed."""
    command = ["train", "--config", RECIPE, "--ctx", "cpu", f"model.name={name}", *overrides]
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    places = [f"train.weights_dir={folder}/weights", f"train.runs_dir={folder}/runs"]
    begin, used = time.perf_counter(), _processor_seconds()
    done = subprocess.run([sys.executable, "-m", "mxnetseg", *command, *places], check=False)
    if done.returncode in (130, 143, -SIGINT, -SIGTERM):
        raise KeyboardInterrupt
    if done.returncode:
        return None
    seconds = {"seconds": round(time.perf_counter() - begin), "cpu_seconds": round(_processor_seconds() - used)}
    record = {"command": shlex.join(["mxnetseg", *command]), **_outcome(folder), **seconds}
    shutil.rmtree(folder / "weights")
    return record


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _outcome(folder: Path) -> dict[str, Any]:
    """What the log of the only run under `folder` and its checkpoint say."""
    (log,) = folder.glob("runs/*/log.jsonl")
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    start = next(event for event in events if event["event"] == "start")
    best = max((event for event in events if event["event"] == "val"), key=lambda event: event["val/mIoU"])
    config = start["config"]
    return {
        "backbone": config["model"]["backbone"] or MODELS.entry(config["model"]["name"]).meta.get("default_backbone"),
        "parameters": _parameters(folder),
        "images": best["step"] * config["train"]["batch_size"],
        "mIoU": round(best["val/mIoU"], 4),
        "IoU": {row["class"]: round(row["IoU"], 3) for row in best["per_class"]},
        "seed": config["train"]["seed"],
        "threads": start["environment"]["threads"],
    }


def _parameters(folder: Path) -> int:
    """Learnable scalars of the trained network, auxiliary heads included."""
    import mxnet as mx

    from mxnetseg.engine.checkpoint import load_model

    (best,) = folder.glob("weights/*/*_best.params")
    return load_model(best, mx.cpu())[0].parameter_count()


def main() -> int:
    """Train what is not recorded; 1 if some training failed."""
    args, failed = arguments(), []
    plan = differences()
    chosen = [MODELS.entry(name).name for name in args.models] if args.models else list(plan)
    for number, name in enumerate(chosen, 1):
        records = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else {}
        recipe = fingerprint(plan[name])
        known = records.get(name, {}).get("recipe") == recipe
        if args.list or (known and not args.again):
            print(f"[{number}/{len(chosen)}] {name}: " + (f"mIoU {records[name]['mIoU']}" if known else "to do"))
            continue
        print(f"[{number}/{len(chosen)}] {name}: {' '.join(plan[name])}", flush=True)
        try:
            record = train(name, plan[name], args.work)
        except KeyboardInterrupt:
            print(f"interrupted; {name} will be trained anew")
            return 130
        if record is None:
            failed.append(name)
            continue
        print(f"[{number}/{len(chosen)}] {name}: mIoU {record['mIoU']}, {record['cpu_seconds']} s", flush=True)
        records[name] = {"recipe": recipe, **record}
        text = json.dumps(dict(sorted(records.items())), indent=1)
        replace_file(args.json, f"{text}\n".encode())
    print(f"failed: {', '.join(failed)}" if failed else "all done")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
