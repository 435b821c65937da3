"""Reference weights and inputs."""

import sys

import pytest


@pytest.fixture(scope="session")
def oracle(shared):
    """Module that generates the reference weights and inputs."""
    sys.path.insert(0, str(shared / "oracle"))
    import formula

    return formula
