"""Mutation testing: small mistakes are put into the code one at a time, and the tests have to notice each.

A mistake is put into the code object of a function while everything stays imported, so a mutant costs no more than its
tests up to the first that fails. This happens in a process of its own: one that a mistake ends, or keeps for too long,
has noticed it.

    python -m reliability.mutation metrics                                    (in the folder tests)
    python -m reliability.mutation params_file checkpoint atomic weights
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .mutants import mutants

TESTS = Path(__file__).resolve().parent.parent
LIMIT = 60  # seconds of processor time after which a mutant that never ends is ended
PATIENCE = 1800  # seconds after which one that waits for ever is
MEMORY = 8 << 30  # bytes of address space


@dataclass(frozen=True)
class Target:
    """A module, the tests that every mutant is given, and the slower ones for those which these let pass."""

    module: str
    tests: tuple[str, ...]
    slower: tuple[str, ...] = ()


CHECKPOINT = ("engine/test_checkpoint.py", "models/test_params_file.py")
TARGETS = {
    "metrics": Target("mxnetseg.metrics", ("test_metrics.py",), ("reliability/test_metric.py",)),
    "params_file": Target("mxnetseg.models.params_file", CHECKPOINT[::-1]),
    "checkpoint": Target("mxnetseg.engine.checkpoint", CHECKPOINT[:1]),
    "atomic": Target("mxnetseg.engine.atomic", ("engine/test_atomic.py",), CHECKPOINT[:1]),
    "weights": Target("mxnetseg.engine.weights", ("engine/test_weights.py",), CHECKPOINT[:1]),
}


def functions(code: types.CodeType) -> Iterator[tuple[str, types.CodeType]]:
    """Code objects of all functions and methods by qualified name."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant.co_qualname, constant
            yield from functions(constant)


def live(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """Functions and methods of an imported module by qualified name."""
    found = {}
    for value in vars(module).values():
        members = vars(value).values() if isinstance(value, type) and value.__module__ == module.__name__ else [value]
        for member in members:
            member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            member = getattr(member, "__wrapped__", member)
            if isinstance(member, types.FunctionType) and member.__module__ == module.__name__:
                found[member.__qualname__] = member
    return found


def noticed(tests: Sequence[str]) -> bool:
    """Whether a test fails."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:faulthandler"]
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main([*options, *(str(TESTS / test) for test in tests)])
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()
    return code != pytest.ExitCode.OK


def serve(target: Target, start: int, step: int) -> None:
    """Try every `step`-th mutant from number `start` on; two lines on the standard output for each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    module = importlib.import_module(target.module)
    suites = [tests for tests in (target.tests, target.slower) if tests]
    if start == 0 and any(noticed(tests) for tests in suites):
        raise SystemExit("the tests fail without any mistake")
    originals = live(module)
    for number, mutant in enumerate(mutants(Path(module.__file__).read_text(encoding="utf-8"))):
        codes = dict(functions(compile(mutant.tree, module.__file__, "exec")))
        changed = {name: f for name, f in originals.items() if name in codes and codes[name] != f.__code__}
        if number < start or number % step or not changed:
            continue
        print(json.dumps([number, f"{mutant.line}: {mutant.what}", "begins"]), flush=True)
        before = {name: f.__code__ for name, f in changed.items()}
        for name, function in changed.items():
            function.__code__ = codes[name]
        found = any(noticed(tests) for tests in suites)
        for name, code in before.items():
            changed[name].__code__ = code
        print(json.dumps([number, f"{mutant.line}: {mutant.what}", "noticed" if found else "survived"]), flush=True)


def run(name: str, step: int) -> tuple[int, int]:
    """Numbers of mutants of a module, and of those that a test notices; the others are printed."""
    start, tried, found = 0, 0, 0
    while True:
        words = [sys.executable, "-W", "ignore", "-m", "reliability.mutation", "--serve", str(start)]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        settings = {"cwd": TESTS, "env": environment, "stdout": subprocess.PIPE, "text": True}
        begun = ""
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen([*words, "--step", str(step), name], stderr=said, **settings) as process,
        ):
            for line in process.stdout:
                number, what, verdict = json.loads(line)
                start, begun = number + 1, what if verdict == "begins" else ""
                tried, found = tried + (verdict == "begins"), found + (verdict == "noticed")
                if verdict == "survived":
                    print(f"  {name}:{what}", flush=True)
            said.seek(0)
            if process.wait() and not begun:
                raise SystemExit(f"{name}: {said.read()[-2000:]}")
        if not process.returncode:
            return tried, found
        found += 1


def main() -> int:
    """Print the survivors and the share of noticed mutants of each module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th mutant only")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # pytest would take Ctrl-C for a test that fails
    if args.serve is not None:
        serve(TARGETS[args.modules[0]], args.serve, args.step)
        return 0
    for name in args.modules:
        tried, found = run(name, args.step)
        print(f"{name}: {found} of {tried} mutants noticed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
