"""The command ``mxnetseg benchmark``: latency, throughput, memory and cost of networks."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..arguments import count, natural
from ..deploy.export import parse_size
from ..engine.atomic import replace_file
from ..errors import ConfigError, UserError
from .paths import PATHS
from .targets import CLASSES, Settings, open_target

__all__ = ["HELP", "PROTOCOLS", "Job", "Protocol", "add_arguments", "jobs", "run", "run_job"]

HELP = "measure latency, throughput, memory and cost of networks"
EXAMPLES = """\
mxnetseg benchmark bisenet:resnet18 fastscnn --size 512x1024 --ctx cpu
mxnetseg benchmark RUN_best.params RUN_best-symbol.json --path plain hybridized --json
mxnetseg benchmark mfaranet --protocol mfaranet --save speed.json --picture speed.png
"""


@dataclass(frozen=True)
class Protocol:
    """How a publication measures.

    Attributes
    ----------
    size : (int, int)
        Height and width of the input.
    batch, warmup, iterations : int
        Images at once, passes before the clock starts, timed passes.
    each : bool
        Every pass is awaited; otherwise the last one only.
    convention : str
        How it counts operations and parameters (:data:`.cost.CONVENTIONS`).
    """

    size: tuple[int, int] = (512, 1024)
    batch: int = 1
    warmup: int = 10
    iterations: int = 50
    each: bool = True
    convention: str = "macs"


# MFARANet's and MLMSNet's programs, except that here the clock starts when the warm-up is done, and that
# no graph is recorded for gradients.
PROTOCOLS = {
    "default": Protocol(),
    "mfaranet": Protocol((1024, 1024), 1, 10, 100, False, "mfaranet"),
    "mlmsnet": Protocol((713, 713), 8, 50, 50, True, "mlmsnet"),
}


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes
    ----------
    target : str
        ``MODEL``, ``MODEL:BACKBONE``, a checkpoint, or ``<stem>-symbol.json``.
    shape : tuple of int
        Input (N, 3, H, W).
    path : str
        Way to run the network.
    protocol : Protocol
        The rest of how to measure.
    ctx : tuple of str
        As typed after ``--ctx``.
    settings : Settings
        What else was typed about the network.
    """

    target: str
    shape: tuple[int, int, int, int]
    path: str
    protocol: Protocol
    ctx: tuple[str, ...]
    settings: Settings

    def __str__(self) -> str:
        return f"{self.target}, {'x'.join(map(str, self.shape))}, {self.path}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="MODEL or MODEL:BACKBONE (random weights), a checkpoint, or an exported FILE-symbol.json",
    )
    add("--list", metavar="FILE", help="further targets, one per line")
    add("--backbone", metavar="NAME", help="backbone of the models that are named without one")
    add("--classes", type=count, metavar="N", help=f"number of classes of models without weights ({CLASSES})")
    add("--size", nargs="+", type=parse_size, metavar="HxW", help="input sizes; the protocol's own when empty")
    add("--batch", nargs="+", type=count, metavar="N", help="images at once; the protocol's own when empty")
    add("--ctx", nargs="+", metavar="ID", help="GPU id, or cpu (GPU 0 if usable, else cpu)")
    add("--path", nargs="+", choices=PATHS, default=["hybridized"], metavar="PATH", help=", ".join(PATHS))
    add(
        "--protocol",
        choices=PROTOCOLS,
        default="default",
        help="default: 512x1024, batch 1, 10 + 50 passes, each awaited; mfaranet: 1024x1024, batch 1, 10 + 100 passes, "
        "only the last awaited; mlmsnet: 713x713, batch 8, 50 + 50 passes, each awaited",
    )
    add("--warmup", type=natural, metavar="N", help="passes before the clock starts, instead of the protocol's")
    add("--iterations", type=count, metavar="N", help="timed passes, instead of the protocol's")
    add("--aux", action="store_true", help="build, run and count the auxiliary heads")
    add("--json", action="store_true", help="print JSON instead of the table")
    add("--save", metavar="FILE", help="write all results as JSON")
    add("--picture", metavar="FILE", help="PNG of latency against cost; beside the JSON file if there are several")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="overrides of the configuration of models without weights")


def run(args: argparse.Namespace) -> int:
    """Measure, print, write; 1 if one of several measurements failed."""
    from .speed import typical_ms

    todo = jobs(args)
    # Processes of their own: neither memory nor caches of one measurement count for the next.
    results, failures = ([run_job(todo[0])], []) if len(todo) == 1 else _run_apart(todo)
    results.sort(key=typical_ms)
    record = json.dumps({"results": results, "failures": failures}, indent=1)
    print(record if args.json else _format(results, todo[0].protocol))
    file = Path(args.save) if args.save else None
    if file:
        replace_file(file, record.encode())
    picture = args.picture or (file.with_suffix(".png") if file and len(results) > 1 else None)
    if picture and results:
        from .comparison import scatter

        replace_file(Path(picture), scatter(results))
    for failure in failures:
        print(f"error: {failure['job']}: {failure['error']}", file=sys.stderr)
    return int(bool(failures))


def jobs(args: argparse.Namespace) -> list[Job]:
    """Measurements that a command line asks for: all combinations of targets, sizes, batches and paths.

    Parameters
    ----------
    args : Namespace
        Parsed arguments.

    Raises
    ------
    ConfigError
        If there is no target, or the list cannot be read.
    """
    targets = [*args.targets, *(_read_list(args.list) if args.list else [])]
    if not targets:
        raise ConfigError("nothing to measure", "a model, a checkpoint or an exported symbol", "`mxnetseg list models`")
    base = PROTOCOLS[args.protocol]
    warmup = base.warmup if args.warmup is None else args.warmup
    protocol = Protocol(base.size, base.batch, warmup, args.iterations or base.iterations, base.each, base.convention)
    settings = Settings(args.backbone, args.classes, args.aux, tuple(args.overrides))
    return [
        Job(target, (batch, 3, *size), path, protocol, tuple(args.ctx or ()), settings)
        for target, size, batch, path in product(
            targets, args.size or [base.size], args.batch or [base.batch], args.path
        )
    ]


def _read_list(path: str) -> list[str]:
    """Targets of a file; # begins a comment."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "a text file with one target per line") from error
    return [word for line in lines if (word := line.partition("#")[0].strip())]


def _run_apart(todo: list[Job]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Results, and what failed, each measured in a process of its own."""
    results, failures = [], []
    for number, job in enumerate(todo, start=1):
        print(f"[{number}/{len(todo)}] {job}", file=sys.stderr, flush=True)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                results.append(pool.submit(run_job, job).result())
            except UserError as error:
                failures.append({"job": str(job), "error": str(error)})
            except BrokenProcessPool:
                failures.append({"job": str(job), "error": "its process died (out of memory?)"})
    return results, failures


def run_job(job: Job) -> dict[str, Any]:
    """Measure once, in this process.

    Returns
    -------
    dict
        As :func:`.speed.measure` returns it, with ``target`` and the facts of :func:`.targets.open_target`.

    Raises
    ------
    UserError
        If the target is unknown or cannot be run like this.
    """
    from ..engine.context import resolve_contexts
    from .speed import measure

    contexts = resolve_contexts(job.ctx)
    if len(contexts) > 1:
        raise ConfigError(f"--ctx {' '.join(job.ctx)}", "one context")
    model, facts = open_target(job.target, contexts[0], job.settings)
    if job.settings.aux and not model.aux:
        raise ConfigError(f"--aux for {job.target}, which has no auxiliary heads", remedy="leave --aux away")
    how = {"each": job.protocol.each, "path": job.path, "aux": job.settings.aux}
    result = measure(model, job.shape, contexts[0], job.protocol.warmup, job.protocol.iterations, **how)
    return {"target": job.target, **facts, **result}


def _format(results: list[dict[str, Any]], protocol: Protocol) -> str:
    """One result in full, several as a table."""
    from .comparison import result_table
    from .speed import format_speed

    if len(results) != 1:
        return result_table(results)
    (result,) = results
    what = f"{result['model']} on {result['backbone']}" if result["backbone"] else result["model"]
    title = f"{what}, {result['classes'] or 'unknown'} classes, weights: {result['weights']}"
    return f"{title}\n{format_speed(result, protocol.convention)}"
