"""Docstrings are written for Sphinx; the site reads Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class Docstrings(Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """Docstring with roles as code, ``::`` as a colon, and what follows the parameters of a block as notes."""
    text = re.sub(r":[a-z]+:`~?\.*([^`]+)`", r"`\1`", text)
    text = re.sub(r"::$", ":", text, flags=re.M)
    head, parameters, rest = text.partition("Parameters\n----------\n")
    rest = re.sub(r"^(?=(Inputs?|Outputs?)\b[^\n]*:)", "Notes\n-----\n", rest, count=1, flags=re.M)
    return head + parameters + rest
