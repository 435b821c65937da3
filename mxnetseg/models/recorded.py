"""Objects that know how they were made."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["Recorded"]


class Recorded:
    """Base of classes whose objects keep the arguments of their constructor.

    Attributes
    ----------
    arguments : dict
        Arguments by name, defaults included; those of ``**options`` stand among the others.
    """

    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Recorded:
        """Make the object and keep the arguments; the constructor is the one to complain about wrong ones."""
        made = super().__new__(cls)
        signature = inspect.signature(cls)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return made
        bound.apply_defaults()
        rest = [name for name, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD]
        arguments = {name: value for name, value in bound.arguments.items() if name not in rest}
        for name in rest:
            arguments |= bound.arguments[name]
        made.__dict__["arguments"] = arguments
        return made
