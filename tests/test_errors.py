"""Messages have three parts, and names get suggestions."""

from __future__ import annotations

import pytest

from mxnetseg import errors


def test_message_has_what_was_found_expected_and_to_do():
    text = str(errors.UserError("found this", "that", "do so"))
    assert text == "found this\n  expected: that\n  remedy:   do so"


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_every_error_is_a_user_error_with_a_code(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.UserError)
    assert kind.exit_code in (1, 2)


def test_suggest_prefers_the_closest_and_keeps_its_spelling():
    assert errors.suggest("pspnett", ["FCNResNet", "PSPNet"]) == "did you mean 'PSPNet'?"
    assert errors.suggest("zzzz", ["FCNResNet", "PSPNet"]) == ""
