"""Names of models, backbones, data sets and losses, known without importing what they name.

A registered object is a class or function that carries ``@REGISTRY.register("Name", ...)`` with literal
arguments. Listing names reads those decorators from the source text; the module itself is imported
only when the object is asked for. A new model therefore is one new file, and ``--help`` stays fast.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from .errors import ConfigError, NameNotFoundError, suggest

__all__ = ["BACKBONES", "DATASETS", "LOSSES", "MODELS", "Entry", "Registry", "accepted_backbone", "usable_backbones"]

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Attributes
    ----------
    name : str
        Official name, e.g. ``FCNResNet``.
    aliases : tuple of str
        Short names, e.g. ``fcn``.
    module, attribute : str
        Where the object is defined.
    meta : dict
        Literal keyword arguments of the decorator.
    summary : str
        First line of the object's docstring.
    """

    name: str
    aliases: tuple[str, ...]
    module: str
    attribute: str
    summary: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def short_name(self) -> str:
        """First alias, else the name, in lower case; used in file names."""
        return (self.aliases[0] if self.aliases else self.name).lower()

    def load(self) -> Callable[..., Any]:
        """Import the module and return the registered class or function."""
        return getattr(importlib.import_module(self.module), self.attribute)


def _key(name: str) -> str:
    """Spelling-insensitive form: case, '-', '_', '.', '+' and blanks do not matter."""
    return "".join(c for c in name.lower().replace("+", "plus") if c.isalnum())


class Registry:
    """Catalogue of the objects of one kind.

    Parameters
    ----------
    kind : str
        What the names stand for, used in messages ("model", "data set", ...).
    variable : str
        Name of the registry in the decorators (``MODELS`` in ``@MODELS.register``).
    package : str
        Folder below ``mxnetseg`` whose files are searched.
    """

    def __init__(self, kind: str, variable: str, package: str):
        self.kind, self.variable, self.package = kind, variable, package

    def register(self, name: str, *, aliases: tuple[str, ...] = (), **meta: Any) -> Callable[[Any], Any]:
        """Mark a class or function as registered; all arguments must be literals.

        Parameters
        ----------
        name : str
            Official name.
        aliases : tuple of str
            Further names.
        **meta
            Facts for listings and filters (paper, backbones, published results, ...).
        """

        def mark(target: Any) -> Any:
            target.registered_name = name
            return target

        return mark

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        owners: dict[str, Entry] = {}
        for path in sorted((_PACKAGE / self.package).rglob("*.py")):
            for entry in self._read(path):
                for name in (entry.name, *entry.aliases):
                    if (other := owners.setdefault(_key(name), entry)) is not entry:
                        raise ConfigError(
                            f"{self.kind} {name!r} is registered by {other.module} and by {entry.module}",
                            "one owner of each name",
                            f"choose another name in one of the two (`@{self.variable}.register`)",
                        )
                entries[entry.name] = entry
        return dict(sorted(entries.items(), key=lambda item: item[0].lower()))

    def _read(self, path: Path) -> Iterator[Entry]:
        """Entries of a file."""
        module = ".".join(("mxnetseg", *path.relative_to(_PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for source in self._declarations(path.read_text(encoding="utf-8")):
            try:
                yield from self._entries_of(ast.parse(source), module)
            except SyntaxError as error:
                raise ConfigError(f"{path}, line {error.lineno}: {error.msg}", "Python") from error
            except ValueError as error:
                raise ConfigError(
                    f"{path}: `@{self.variable}.register` has an argument that has to be computed",
                    "literals, since names are read without importing the file",
                    "write it out: strings, numbers, True, False, and tuples of these",
                ) from error

    def _declarations(self, text: str) -> Iterator[str]:
        """Source of each marked object from its decorator to its docstring: whole modules take long to parse."""
        starts = [found.start() for found in re.finditer(rf"^@{self.variable}\.register\(", text, re.MULTILINE)]
        for start, end in pairwise([*starts, len(text)]):
            pieces = text[start:end].split('"""', 2)
            source = '"""'.join([*pieces[:2], ""]) if len(pieces) == 3 else text[start:end]
            yield "\n" * text.count("\n", 0, start) + source  # lines keep their numbers

    def _entries_of(self, tree: ast.Module, module: str) -> Iterator[Entry]:
        for node in tree.body:
            for call in getattr(node, "decorator_list", ()):
                if not (isinstance(call, ast.Call) and ast.unparse(call.func) == f"{self.variable}.register"):
                    continue
                meta = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
                doc = (ast.get_docstring(node) or "").strip().splitlines()
                yield Entry(
                    name=ast.literal_eval(call.args[0]),
                    aliases=tuple(meta.pop("aliases", ())),
                    module=module,
                    attribute=node.name,
                    summary=doc[0] if doc else "",
                    meta=meta,
                )

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {_key(n): e for e in self._entries.values() for n in (e.name, *e.aliases)}

    def entry(self, name: str) -> Entry:
        """Entry of a name or alias.

        Raises
        ------
        NameNotFoundError
            With the closest names, when nothing is registered under `name`.
        """
        found = self._by_key.get(_key(str(name)))
        if found is None:
            spellings = [n for e in self._entries.values() for n in (e.name, *e.aliases)]
            raise NameNotFoundError(
                f"unknown {self.kind} {name!r}",
                f"one of {', '.join(self.names())}",
                suggest(str(name), spellings) or f"run `mxnetseg list {self.variable.lower()}` to see them all",
            )
        return found

    def get(self, name: str) -> Callable[..., Any]:
        """Registered class or function for a name or alias (imports its module)."""
        return self.entry(name).load()

    def names(self, pattern: str = "*") -> list[str]:
        """Official names that match a wildcard pattern, in alphabetical order."""
        return [n for n in self._entries if fnmatch.fnmatch(n.lower(), pattern.lower())]

    def entries(self, pattern: str = "*") -> list[Entry]:
        """Entries whose official name matches a wildcard pattern."""
        return [self._entries[n] for n in self.names(pattern)]


MODELS = Registry("model", "MODELS", "models")
BACKBONES = Registry("backbone", "BACKBONES", "models/backbones")
DATASETS = Registry("data set", "DATASETS", "data/datasets")
LOSSES = Registry("loss", "LOSSES", "losses")


def usable_backbones(model: str) -> list[str]:
    """Names of the backbones that a registered model accepts."""
    patterns = MODELS.entry(model).meta.get("backbones", ())
    return [n for n in BACKBONES.names() if any(fnmatch.fnmatchcase(n, p) for p in patterns)]


def accepted_backbone(model: str, backbone: str) -> str:
    """Official name of a backbone that a registered model is to be built on.

    Raises
    ------
    NameNotFoundError
        If there is no such backbone.
    ConfigError
        If the model does not accept it.
    """
    name, usable = BACKBONES.entry(backbone).name, usable_backbones(model)
    if name not in usable:
        raise ConfigError(
            f"{model} does not work on backbone {name!r}",
            f"one of {', '.join(usable)}",
            suggest(name, usable),
        )
    return name
