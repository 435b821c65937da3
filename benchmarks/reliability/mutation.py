"""Mutation testing: small mistakes are put into the code one at a time, and the tests have to notice each.

A mistake is put into the code object of a function while everything stays imported, so a mutant costs no more than its
tests up to the first that fails. Texts of messages and annotations are left alone.

    python benchmarks/reliability/mutation.py metrics
    python benchmarks/reliability/mutation.py params_file checkpoint atomic
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import io
import signal
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60  # seconds of processor time after which a mutant is noticed because it never ends
CHECKPOINT = ["tests/engine/test_checkpoint.py", "tests/models/test_params_file.py", "-k", "not killed"]
# Module: its tests.
TARGETS = {
    "metrics": (
        "mxnetseg.metrics",
        ["tests/test_metrics.py", "tests/reliability/test_metric.py", "-k", "not thousand"],
    ),
    "params_file": ("mxnetseg.models.params_file", CHECKPOINT),
    "checkpoint": ("mxnetseg.engine.checkpoint", CHECKPOINT),
    "atomic": ("mxnetseg.engine.atomic", CHECKPOINT),
}
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Mod: ast.Mult,
}


@dataclass
class Mutant:
    """A changed tree, where it was changed and how."""

    tree: ast.Module
    line: int
    what: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every single change of a module."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    spared = {
        id(inner)
        for node in nodes
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.AnnAssign)
        for inner in ast.walk(node)
    }
    for function in (n for n in nodes if isinstance(n, ast.FunctionDef)):
        outside = [*function.decorator_list, function.args, function.returns, *_docstring(function)]
        spared |= {id(inner) for node in outside if node is not None for inner in ast.walk(node)}
    inside = {id(i) for n in nodes if isinstance(n, ast.FunctionDef) for i in ast.walk(n)}
    for index, node in enumerate(nodes):
        if id(node) not in inside or (id(node) in spared and not isinstance(node, ast.Raise)):
            continue
        for what, change in _changes(node):
            changed = copy.deepcopy(tree)
            change(list(ast.walk(changed))[index])
            yield Mutant(ast.fix_missing_locations(changed), node.lineno if hasattr(node, "lineno") else 0, what)


def _docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[:1] if ast.get_docstring(function) else []


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    """Ways to change a node, as functions of its copy."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield f"comparison in {ast.unparse(node)}", lambda n: n.ops.__setitem__(0, SWAPS[type(n.ops[0])]())
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        yield f"operator in {ast.unparse(node)}", lambda n: setattr(n, "op", SWAPS[type(n.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield f"sign of {ast.unparse(node)}", lambda n: setattr(n, "op", ast.UAdd())
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield f"condition {ast.unparse(node.test)}", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Constant):
        yield from _constants(node)
    if isinstance(node, ast.Return) and node.value is not None:
        yield f"{ast.unparse(node)} becomes None", lambda n: setattr(n, "value", ast.Constant(None))
    if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield f"without {ast.unparse(node)[:90]}", _drop


def _constants(node: ast.Constant) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    if isinstance(node.value, bool):
        yield f"{node.value} negated", lambda n: setattr(n, "value", not n.value)
    elif isinstance(node.value, int | float):
        yield f"{node.value} + 1", lambda n: setattr(n, "value", n.value + 1)
    elif isinstance(node.value, str | bytes) and node.value:
        yield f"{node.value!r} doubled", lambda n: setattr(n, "value", n.value * 2)


def _drop(node: ast.AST) -> None:
    """Turn a statement into one that does nothing."""
    node.__class__ = ast.Pass
    node.__dict__ = {k: v for k, v in node.__dict__.items() if "line" in k or "col" in k}


def functions(code: types.CodeType, prefix: str = "") -> Iterator[tuple[str, types.CodeType]]:
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


def noticed(arguments: list[str]) -> bool:
    """Whether a test fails."""
    signal.signal(signal.SIGVTALRM, lambda *_: (_ for _ in ()).throw(TimeoutError))
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]) != 0
    except BaseException:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def run(name: str) -> tuple[int, list[Mutant]]:
    """Number of mutants of a module, and those that no test notices."""
    module_name, arguments = TARGETS[name]
    module = importlib.import_module(module_name)
    source = Path(module.__file__).read_text()
    if noticed(arguments):
        raise SystemExit(f"the tests of {name} fail without any mistake")
    targets, survivors, count = live(module), [], 0
    for mutant in mutants(source):
        codes = dict(functions(compile(mutant.tree, module.__file__, "exec")))
        changed = [k for k, f in targets.items() if k in codes and codes[k] != f.__code__]
        before = {key: targets[key].__code__ for key in changed}
        if not changed:
            continue
        count += 1
        for key in changed:
            targets[key].__code__ = codes[key]
        if not noticed(arguments):
            survivors.append(mutant)
            print(f"  {name}:{mutant.line}: {mutant.what}", flush=True)
        for key, code in before.items():
            targets[key].__code__ = code
    return count, survivors


def main() -> int:
    """Print the survivors and the share of noticed mutants of each module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", default=list(TARGETS), help=", ".join(TARGETS))
    for name in parser.parse_args().modules:
        count, survivors = run(name)
        print(f"{name}: {count - len(survivors)} of {count} mutants noticed", flush=True)
    return 0


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    sys.exit(main())
