"""Small mistakes in Python code: every change of one operator, condition, constant or statement of a module."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Change = tuple[str, Callable[[ast.AST], None]]
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
    """Every single change inside of the functions of a module; texts of messages and annotations are left alone."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef)]
    texts = [n for n in nodes if isinstance(n, ast.Raise | ast.JoinedStr | ast.AnnAssign)]
    texts += [part for f in functions for part in _outside(f)]
    spared = {id(inner) for text in texts for inner in ast.walk(text)}
    inside = {id(inner) for f in functions for inner in ast.walk(f)}
    for index, node in enumerate(nodes):
        if id(node) not in inside or (id(node) in spared and not isinstance(node, ast.Raise)):
            continue
        for what, change in _changes(node):
            changed = copy.deepcopy(tree)
            change(list(ast.walk(changed))[index])
            yield Mutant(ast.fix_missing_locations(changed), getattr(node, "lineno", 0), what)


def _outside(function: ast.FunctionDef) -> list[ast.AST]:
    """Parts of a function that are not run with it."""
    docstring = function.body[:1] if ast.get_docstring(function) else []
    returns = [function.returns] if function.returns else []
    return [*function.decorator_list, function.args, *returns, *docstring]


def _changes(node: ast.AST) -> Iterator[Change]:
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
    if isinstance(node, ast.Raise | ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield f"without {ast.unparse(node)[:90]}", _drop


def _constants(node: ast.Constant) -> Iterator[Change]:
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
