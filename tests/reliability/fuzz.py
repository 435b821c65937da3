"""Damaged files given to what reads them, in a process of its own that is watched.

``python -m reliability.fuzz --count 100`` (in the folder ``tests``) gives every kind of input 100 files and prints what
became of them. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

TESTS = Path(__file__).resolve().parent.parent
CPU_LIMIT = 2.0  # seconds of processor time for one file
CPU_END = 30.0  # seconds of processor time after which the process is ended
WALL_LIMIT = 900.0  # seconds without an answer, on a busy machine, after which it is
MEMORY_LIMIT = 1 << 30  # bytes by which one file may let the process grow
GOOD = ("read", "refused")
# What no file may make the program do (names of Python's audit events).
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "pty.spawn")


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `verdict` is read, refused, unexpected, executed, slow, memory, stuck or killed."""

    kind: str
    number: int
    verdict: str
    detail: str = ""


def campaign(kinds: Sequence[str], count: int, seed: int = 0) -> Iterator[Outcome]:
    """Outcomes of `count` damaged files of every kind; what ends the process costs no more than its file."""
    cases = [(kind, number) for kind in kinds for number in range(count)]
    start = 0
    while start < len(cases):
        before = start
        for outcome in _watch(kinds, start, count, seed):
            yield outcome
            start += 1
        if start < len(cases) and start == before:
            raise RuntimeError(f"the reader of {cases[start][0]} does not start")


def _watch(kinds: Sequence[str], start: int, count: int, seed: int) -> Iterator[Outcome]:
    """Outcomes from the case `start` on, until the process ends by itself or because it is stuck."""
    words = [sys.executable, "-W", "ignore", "-m", "reliability.fuzz", "--serve", "--kinds", *kinds]
    words += ["--start", str(start), "--count", str(count), "--seed", str(seed)]
    settings = {"cwd": TESTS, "env": {**os.environ, "PYTHONPATH": str(TESTS.parent)}, "stdout": subprocess.PIPE}
    with tempfile.TemporaryFile() as said, subprocess.Popen(words, stderr=said, **settings) as p:
        kind, number, text = kinds[start // count], start % count, b""
        while True:
            ready, _, _ = select.select([p.stdout], [], [], WALL_LIMIT)
            if not ready:
                p.kill()
                yield Outcome(kind, number, "stuck")
                return
            piece = os.read(p.stdout.fileno(), 1 << 16)
            if not piece:
                break
            *lines, text = (text + piece).split(b"\n")
            for line in lines:
                kind, number, verdict, *detail = json.loads(line)
                if verdict != "begins":
                    yield Outcome(kind, number, verdict, *detail)
        said.seek(0)
        if p.wait() > 0:
            raise RuntimeError(said.read().decode(errors="replace")[-3000:])
        if p.returncode:
            yield Outcome(
                kind, number, "killed", f"signal {-p.returncode}: {said.read().decode(errors='replace')[-1500:]}"
            )


def serve(kinds: Sequence[str], start: int, count: int, seed: int) -> None:
    """Give the files from `start` on to their readers; two lines on the standard output for each."""
    from .inputs import KINDS

    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an outcome
    events: list[str] = []
    sys.addaudithook(lambda event, arguments: events.append(f"{event} {arguments}") if event in FORBIDDEN else None)
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds[start // count :]:
            target = KINDS[kind](Path(folder) / kind)
            for number, files in enumerate(target.seeds):
                target.read(target.place(Path(folder) / kind / f"valid{number}", files))
            for number in range(start % count, count):
                path = target.damaged(Random(f"{seed} {kind} {number}"), Path(folder) / kind / str(number))
                print(json.dumps([kind, number, "begins"]), file=output, flush=True)
                events.clear()
                signal.setitimer(signal.ITIMER_PROF, CPU_END)
                outcome = _try(target.read, path, events)
                signal.setitimer(signal.ITIMER_PROF, 0)
                print(json.dumps([kind, number, *outcome]), file=output, flush=True)
            start = 0


def _try(read: Callable[[Path], object], path: Path, events: list[str]) -> tuple[str, str]:
    from mxnetseg.errors import UserError

    cpu, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdict, detail = "read", ""
    try:
        read(path)
    except UserError as error:
        verdict, detail = "refused", str(error)
    except Exception:
        return "unexpected", traceback.format_exc()[-1500:]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) << 10
    cpu = time.process_time() - cpu
    if events:
        return "executed", events[0]
    if cpu > CPU_LIMIT:
        return "slow", f"{cpu:.1f} s; {detail}"
    if grown > MEMORY_LIMIT:
        return "memory", f"{grown >> 20} MiB; {detail}"
    return verdict, detail[:500]


def main() -> int:
    """Run a campaign and print a table; 1 if a file was not handled well."""
    from .inputs import KINDS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.kinds, args.start, args.count, args.seed)
        return 0
    bad = []
    for kind in args.kinds:
        outcomes = list(campaign([kind], args.count, args.seed))
        counts = Counter(outcome.verdict for outcome in outcomes)
        print(f"{kind:10}", ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())), flush=True)
        bad += [outcome for outcome in outcomes if outcome.verdict not in GOOD]
    for outcome in bad:
        print(f"\n{outcome.kind} {outcome.number}: {outcome.verdict}: {outcome.detail}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
