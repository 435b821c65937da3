"""YAML from anywhere as plain data: no objects, no repeated keys, nothing that grows when it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError

__all__ = ["parse_yaml", "read_yaml_file"]

MAX_BYTES = 1 << 16  # read in a second
MAX_NODES = 50_000  # aliases expanded; sixteen lines can stand for millions of values
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")


class _Loader(yaml.SafeLoader):
    """Loader of the types that JSON has; a key that occurs twice is an error, a date is a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} occurs twice", key.start_mark)
            seen.add((key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key)))
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        """Text of a scalar, without zeros, which no name of a file may hold."""
        value = super().construct_scalar(node)
        if "\0" in value:
            raise yaml.constructor.ConstructorError(None, None, "a zero character in a text", node.start_mark)
        return value


_Loader.yaml_constructors = {
    tag: build for tag, build in yaml.SafeLoader.yaml_constructors.items() if not tag or tag.split(":")[-1] in _PLAIN
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, source: object) -> Any:
    """Value of a YAML text.

    Parameters
    ----------
    text : str
        One document.
    source : object
        What to name in an error.

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    ConfigError
        If the text is no YAML, too long, repeats a key, or has tags or too many aliases; with the line.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{source} has {len(text)} characters", f"at most {MAX_BYTES}", "keep lists in files")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, {}) > MAX_NODES:
            raise ConfigError(f"{source} grows to more than {MAX_NODES} values by its aliases", "plain YAML")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {error}", "plain YAML without tags") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        raise ConfigError(f"{source} is not valid YAML: {str(error)[:100]}", "plain YAML without tags") from error


def read_yaml_file(path: Path) -> Any:
    """Value of a YAML file; see :func:`parse_yaml`.

    Raises
    ------
    ConfigError
        As :func:`parse_yaml`, and if the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {error.strerror}", "an existing YAML file") from error
    except ValueError as error:  # UnicodeDecodeError, or zeros in the name
        raise ConfigError(f"{path} is not valid YAML: {error}", "a text file in UTF-8") from error
    return parse_yaml(text, path)


def _expanded(node: yaml.Node, known: dict[int, float]) -> float:
    """Number of nodes with every alias expanded; infinite for a node inside of itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inside = node.value if isinstance(node, yaml.CollectionNode) else []
        children = (part for entry in inside for part in (entry if isinstance(entry, tuple) else (entry,)))
        known[id(node)] = 1 + sum(_expanded(child, known) for child in children)
    return known[id(node)]
