"""A machine for the pickles in PyTorch checkpoints, which builds plain data and descriptions of tensors, nothing else.

Python's own unpickler calls what the file names; with a filter for the names it still hashes whatever the file offers
as a key (nested tuples end the process) and reserves as much memory as an index asks for. This machine executes the
instructions itself: it knows those that PyTorch writes, imports nothing, and calls only the functions of ``values``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from ...errors import CheckpointError, UserError
from .values import Global, Inert, Storage, find_global, is_count, is_key

__all__ = ["run_pickle"]

# Far above what the largest checkpoints need (some 100 000), and read in seconds.
MAX_INSTRUCTIONS = 1_000_000
_MARK = object()


def run_pickle(stream: BinaryIO, what: str, storages: dict[str, Storage] | None = None) -> Any:
    """Value of the pickle at the stream's position; the stream is left behind its end.

    Parameters
    ----------
    stream : binary file
        In memory: lengths in the file are not trusted.
    what : str
        Name of the file in messages.
    storages : dict, optional
        Takes the storages that the pickle names, by key.

    Returns
    -------
    None, bool, int, float, str, bytes, list, tuple, dict, Tensor, Storage, Inert

    Raises
    ------
    CheckpointError
        If the pickle is damaged or wants anything else; the message names it.
    """
    try:
        return _Machine(what, {} if storages is None else storages).run(stream)
    except UserError:
        raise
    except Exception as error:  # whatever the bytes provoke, it is their fault
        raise CheckpointError(
            f"{what} is damaged: its pickle cannot be read ({type(error).__name__})", "a complete checkpoint"
        ) from error


class _Machine:
    """Stack machine of the pickle protocol, without the instructions that PyTorch does not write."""

    def __init__(self, what: str, storages: dict[str, Storage]):
        self.what, self.storages = what, storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO) -> Any:
        """Execute until STOP."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= MAX_INSTRUCTIONS:
                raise CheckpointError(f"{self.what} holds more than {MAX_INSTRUCTIONS} pickle instructions")
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _LITERALS:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name not in ("PROTO", "FRAME"):
                self.refuse(f"the pickle instruction {name}")
        raise ValueError("no STOP")

    def refuse(self, found: str) -> NoReturn:
        """Stop with the name of what was asked for."""
        raise CheckpointError(
            f"{self.what} asks for {found[:200]}; it was not run, and the file is not read",
            "a checkpoint that holds tensors, numbers, words, lists and dictionaries only",
            "if the file can be trusted, write its weights alone with PyTorch: torch.save(model.state_dict(), FILE)",
        )

    def pop_to_mark(self) -> list[Any]:
        """Take all values above the last mark, and the mark."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def top(self, kind: type) -> Any:
        """Topmost value, which must be of that very type."""
        if type(self.stack[-1]) is not kind:
            self.refuse(f"a change of a {type(self.stack[-1]).__name__} as if it were a {kind.__name__}")
        return self.stack[-1]

    def put(self, index: int | None) -> None:
        """Remember the topmost value."""
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def set_items(self, values: list[Any]) -> None:
        """Add keys and values to the dictionary on top."""
        target = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not is_key(key):
                self.refuse(f"a {type(key).__name__} as key of a dictionary")
            target[key] = value

    def find(self, name: str) -> None:
        """Push what a harmless name stands for."""
        found = find_global(name)
        if found is None:
            self.refuse(name)
        self.stack.append(found)

    def find_on_stack(self) -> None:
        """Push the name whose parts are on the stack."""
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            self.refuse("a name that is no text")
        self.find(f"{module}.{name}")

    def call(self) -> None:
        """Call one of the functions of ``values``."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or function.call is None or type(arguments) is not tuple:
            self.refuse(f"a call of {function.name if type(function) is Global else type(function).__name__}")
        try:
            self.stack.append(function.call(*arguments))
        except (TypeError, ValueError):
            self.refuse(f"{function.name} with other arguments than PyTorch gives it")

    def make(self) -> None:
        """Make an object of a class: placeholders only."""
        function = self.stack[-2]
        if type(function) is not Global or not function.inert:
            self.refuse(f"an object of {function.name if type(function) is Global else type(function).__name__}")
        self.call()

    def set_state(self) -> None:
        """Drop the attributes of the dictionary or placeholder on top, such as ``_metadata``."""
        self.stack.pop()
        if type(self.stack[-1]) not in (dict, Inert):
            self.refuse(f"attributes of a {type(self.stack[-1]).__name__}")

    def storage(self) -> None:
        """Push the storage that the persistent id on the stack describes."""
        identity = self.stack.pop()
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            kind = identity[0] if type(identity) is tuple and identity and type(identity[0]) is str else "no storage"
            self.refuse(f"an external object ({kind})")
        _, kind, key, _, size, *view = identity
        start = view[0][1] if view and view[0] is not None else 0
        if (
            type(kind) is not Global
            or kind.dtype is None
            or type(key) is not str
            or not all(map(is_count, (size, start)))
        ):
            self.refuse("a storage that is described wrongly")
        storage = Storage(key, kind.dtype, size, start)
        self.storages[key] = storage
        self.stack.append(storage)


# Instructions whose argument is the value.
_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES"),
)
_CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}


def _pack(count: int) -> Callable[[_Machine, Any], None]:
    """Instruction that makes a tuple of the last `count` values."""

    def act(machine: _Machine, _: Any) -> None:
        values = [machine.stack.pop() for _ in range(count)]
        machine.stack.append(tuple(values[::-1]))

    return act


def _append(machine: _Machine, _: Any) -> None:
    value = machine.stack.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine, _: Any) -> None:
    values = machine.pop_to_mark()
    machine.top(list).extend(values)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


_ACTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": _pack(1),
    "TUPLE2": _pack(2),
    "TUPLE3": _pack(3),
    "POP": lambda machine, _: machine.stack.pop(),
    "BINPUT": lambda machine, index: machine.put(index),
    "LONG_BINPUT": lambda machine, index: machine.put(index),
    "MEMOIZE": lambda machine, _: machine.put(None),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": lambda machine, name: machine.find(name.replace(" ", ".", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.find_on_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.make(),
    "BUILD": lambda machine, _: machine.set_state(),
    "BINPERSID": lambda machine, _: machine.storage(),
}
