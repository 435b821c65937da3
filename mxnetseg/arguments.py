"""Numbers on command lines: what was typed, what is accepted."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

__all__ = ["count", "natural", "positive", "share"]


def _reader(expected: str, convert: Callable[[str], float], accept: Callable[[float], bool]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and accept(value)):
            # The parser says which argument it is.
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
        return value

    return read


# Types of arguments, for argparse.
count = _reader("a whole number from 1 upward", int, lambda value: value >= 1)
natural = _reader("a whole number from 0 upward", int, lambda value: value >= 0)
positive = _reader("a number above 0", float, lambda value: value > 0)
share = _reader("a share, from 0 to below 1", float, lambda value: 0 <= value < 1)
