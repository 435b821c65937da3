"""Latency of the real-time networks; docs/realtime.json gets what came out, `make tables` writes docs/realtime.md.

    python benchmarks/realtime.py [--networks NAME ...] [--again] [--iterations N] [--json FILE]

realtime.yaml beside this file lists the networks. Each is measured with random weights by `mxnetseg benchmark`, one
process for each way of running it; the fastest in each precision is recorded. One that is recorded is skipped, one that
is interrupted leaves no record.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from mxnetseg.config import load_config
from mxnetseg.engine.atomic import replace_file
from mxnetseg.tools.realtime import RECORDS, picture

NETWORKS = Path(__file__).with_suffix(".yaml")
PATHS = {
    "float32": ("folded", "onnxruntime", "openvino"),
    "bf16": ("openvino-bf16",),
    "int8": ("onnxruntime-int8", "openvino-int8"),
}
SIZE = "512x1024"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="only these, in this order")
    parser.add_argument("--again", action="store_true", help="measure those that are recorded too")
    parser.add_argument("--iterations", type=int, default=20, metavar="N", help="timed passes (%(default)s)")
    parser.add_argument("--json", type=Path, default=RECORDS, metavar="FILE", help="records (docs/realtime.json)")
    return parser.parse_args()


def command(row: dict[str, str]) -> list[str]:
    """Target and overrides of a row, for `mxnetseg benchmark`."""
    if "target" in row:
        return [row["target"]]
    model = load_config(row["config"]).model
    target = f"{model.name}:{model.backbone}" if model.backbone else model.name
    options = [f"model.options.{key}={json.dumps(value)}" for key, value in model.options.items()]
    dilate = [] if model.dilate is None else [f"model.dilate={json.dumps(model.dilate)}"]
    return [target, *dilate, *options]


def measure(row: dict[str, str], iterations: int) -> dict[str, Any] | None:
    """Record of one network; None if no way of running it could be measured."""
    words = [*command(row), "--size", SIZE, "--classes", "19", "--ctx", "cpu", "--iterations", str(iterations)]
    found = benchmark([*words, "--warmup", "3", "--path", *chain.from_iterable(PATHS.values())])
    return _record(row, words, found) if found else None


def benchmark(words: list[str], threads: int | None = None) -> dict[str, Any] | None:
    """What `mxnetseg benchmark` finds in a process of its own; None if it ends without."""
    env = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "speed.json"
        call = [sys.executable, "-m", "mxnetseg", "benchmark", *words, "--save", str(saved)]
        code = subprocess.run(call, check=False, env=env).returncode
        if code < 0:  # it could not say so itself
            print(f"ended by {signal.Signals(-code).name}: {' '.join(words)}", file=sys.stderr, flush=True)
        return json.loads(saved.read_text(encoding="utf-8")) if saved.exists() else None


def timing(result: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of a result, and whether nothing disturbed them."""
    return {"path": result["path"], **result["latency_ms"], "quiet": result["noise"]["conclusive"]}


def machine(result: dict[str, Any]) -> dict[str, Any]:
    """What a result was measured on."""
    return {key: result["protocol"][key] for key in ("cpu", "threads", "versions")}


def keep(file: Path, records: dict[str, Any]) -> None:
    """Write records."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, (json.dumps(records, indent=1) + "\n").encode())


def _record(row: dict[str, str], words: list[str], found: dict[str, Any]) -> dict[str, Any] | None:
    """The fastest of each precision, and what failed."""
    fastest = {}
    for precision, paths in PATHS.items():
        results = [result for result in found["results"] if result["path"] in paths]
        if results:
            fastest[precision] = timing(min(results, key=lambda result: result["latency_ms"]["median"]))
    if "float32" not in fastest:
        return None
    first = found["results"][0]
    published = load_config(row["config"]).published if "config" in row else {}
    return {
        "model": first["model"],
        "target": " ".join(words),
        "parameters": first["parameters"],
        "macs": first["macs"],
        "mIoU": published.get("mIoU"),
        "split": published.get("split"),
        **fastest,
        "failed": found["failures"],
        "machine": machine(first),
    }


def main() -> int:
    """Measure what is not recorded, draw the picture; 1 if some network could not be measured."""
    args, failed = arguments(), []
    networks = yaml.safe_load(NETWORKS.read_text(encoding="utf-8"))
    for name in args.networks or networks:
        records = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else {}
        if name in records and not args.again:
            continue
        print(f"{name}: {' '.join(command(networks[name]))}", flush=True)
        record = measure(networks[name], args.iterations)
        if record is None:
            failed.append(name)
            continue
        records[name] = record
        ordered = {key: records[key] for key in networks if key in records}
        keep(args.json, ordered)
        replace_file(args.json.with_suffix(".png"), picture(ordered))
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
