"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("WANDB_MODE", "disabled")

import mxnetseg  # noqa: F401  (threads and NumPy names, before any test imports mxnet)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the reference data, beside the repository; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MXNETSEG_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found in {folder}; set MXNETSEG_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def harness(shared):
    """Module that reads and runs the reference cases."""
    sys.path.insert(0, str(shared / "oracle"))
    import harness

    return harness
