"""What all tests share."""

from __future__ import annotations

import os
import shutil
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


@pytest.fixture(scope="session")
def chromium():
    """A real browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup-dev")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no Chromium; on Debian: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
