"""Finding the weights in what a training program saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...errors import CheckpointError, suggest
from .values import Tensor

__all__ = ["State", "find_state", "strip_prefix"]

# Where training programs put the weights, in the order in which they are looked for.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params", "weights"),
    *("ema", "model_ema", "ema_state_dict", "state_dict_ema"),
)
# What data-parallel training and its successors put in front of every name.
_PREFIXES = ("module.", "_orig_mod.")
# Wrappers in wrappers, at most.
MAX_DEPTH = 3


@dataclass
class State:
    """Weights by name.

    Attributes
    ----------
    tensors : dict of str to Tensor or array
        Values.
    others : list of str
        Entries that are no tensors.
    notes : list of str
        What was unwrapped, taken away or left behind.
    """

    tensors: dict[str, Any]
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_state(content: Any, what: str, entry: str | None = None) -> State:
    """Weights in the content of a checkpoint: a dictionary of tensors, perhaps in other dictionaries.

    Parameters
    ----------
    content : dict
        Content of the file.
    what : str
        Name of the file in messages.
    entry : str, optional
        Entry of the outermost dictionary that holds the weights, where there are several.

    Raises
    ------
    CheckpointError
        If there are no tensors.
    """
    notes = []
    for _ in range(MAX_DEPTH):
        found = list(_candidates(content))
        if not found and (entry is None or notes):
            break
        if entry and entry not in found:
            raise CheckpointError(
                f"{what} has no weights in {entry!r}", f"one of {', '.join(found) or 'no entry'}", suggest(entry, found)
            )
        name = entry or found[0]
        rest = [str(key) for key in content if key != name]
        notes.append(f"weights taken from entry {name!r}" + (f"; left behind: {', '.join(rest)[:200]}" if rest else ""))
        if len(found) > 1 and not entry:
            notes.append(f"weights also in {' and '.join(map(repr, found[1:]))}: --entry NAME takes them")
        content, entry = content[name], None
    if not _has_tensors(content):
        raise CheckpointError(
            f"{what} holds no weights: {_describe(content)}", f"tensors by name, or such in {', '.join(WRAPPERS)}"
        )
    tensors = {str(name): value for name, value in content.items() if _is_tensor(value)}
    others = [str(name) for name in content if str(name) not in tensors]
    tensors, prefixes = strip_prefix(tensors)
    return State(tensors, others, notes + prefixes)


def strip_prefix(tensors: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Names without the prefixes of parallel training, where all have them, and what was taken away."""
    notes = []
    while prefix := next((p for p in _PREFIXES if tensors and all(name.startswith(p) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        notes.append(f"prefix {prefix!r} taken away from all names")
    return tensors, notes


def _is_tensor(value: Any) -> bool:
    return type(value) is Tensor


def _has_tensors(content: Any) -> bool:
    return type(content) is dict and any(_is_tensor(value) for value in content.values())


def _candidates(content: Any) -> Iterator[str]:
    """Entries that may hold weights, the likeliest first."""
    for name in WRAPPERS if type(content) is dict else ():
        value = content.get(name)
        if _has_tensors(value) or (type(value) is dict and any(_has_tensors(value.get(n)) for n in WRAPPERS)):
            yield name


def _describe(content: Any) -> str:
    """What a file holds, in few words."""
    if type(content) is not dict:
        return f"a {type(content).__name__}"
    return f"a dictionary of {', '.join(map(str, list(content)[:8])) or 'nothing'}"
