"""Damaged input is read or refused: no other error, nothing executed, no process ended, no long wait.

The long campaign is ``make reliability``.
"""

from collections import Counter

import pytest

from .fuzz import GOOD, campaign
from .inputs import KINDS


@pytest.mark.parametrize("kinds", [("images", "samples", "lists", "yaml"), ("params", "networks", "symbols")], ids=len)
def test_sample_of_damaged_files(kinds):
    outcomes = list(campaign(kinds, 10))
    assert [o for o in outcomes if o.verdict not in GOOD] == []
    assert Counter(o.kind for o in outcomes) == dict.fromkeys(kinds, 10)


def test_sample_of_damaged_files_of_others():
    outcomes = list(campaign(("onnx", "foreign", "archives"), 12))
    assert [o for o in outcomes if o.verdict not in GOOD] == []
    assert Counter(o.verdict for o in outcomes).keys() == set(GOOD)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind):
    assert [o for o in campaign([kind], 200, seed=1) if o.verdict not in GOOD] == []
