"""Reference cases."""

import sys

import pytest


@pytest.fixture(scope="session")
def harness(shared):
    """Module that reads and runs the reference cases."""
    sys.path.insert(0, str(shared / "oracle"))
    import harness

    return harness
