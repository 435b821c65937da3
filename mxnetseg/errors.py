"""Exceptions shown to users: what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "NameNotFoundError",
    "TrainingError",
    "UserError",
    "suggest",
]


class UserError(Exception):
    """A mistake that its author can repair; the command line prints it without a traceback.

    Parameters
    ----------
    found : str
        What was found, with the offending name, value or file.
    expected : str, optional
        What would have been right.
    remedy : str, optional
        What to do or type.
    """

    exit_code = 2

    def __init__(self, found: str, expected: str = "", remedy: str = ""):
        self.found, self.expected, self.remedy = found, expected, remedy
        lines = [found]
        if expected:
            lines.append(f"  expected: {expected}")
        if remedy:
            lines.append(f"  remedy:   {remedy}")
        super().__init__("\n".join(lines))


class ConfigError(UserError):
    """A configuration file or override is wrong."""


class NameNotFoundError(ConfigError):
    """A name is not registered."""


class DataError(UserError):
    """A data set, image or mask is missing or wrong."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged or does not belong to this network."""


class DeviceError(UserError):
    """A device or context cannot be used."""


class TrainingError(UserError):
    """Training cannot go on (NaN, Inf, lost worker)."""

    exit_code = 1


def suggest(name: str, choices: Iterable[str]) -> str:
    """Sentence that proposes the closest of `choices` ("" when none is close)."""
    table = {_plain(choice): choice for choice in choices}
    close = difflib.get_close_matches(_plain(name), table, n=3, cutoff=0.55)
    return f"did you mean {' or '.join(repr(table[c]) for c in close)}?" if close else ""


def _plain(name: str) -> str:
    """What names are compared by: the dashes of flags would make any two alike."""
    return name.lower().lstrip("-")
