"""Notebooks of the documentation: Jupyter can open them, and their cells run from top to bottom."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
FIELDS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}
# As Jupyter does: one namespace, cell after cell. What they define and draw is asked for at the end.
RUNNER = """
import json, sys
import matplotlib
matplotlib.use("Agg")
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
import matplotlib.pyplot as plt
print(json.dumps({
    "figures": len(plt.get_fignums()),
    "mIoU": names["result"].best_metrics["mIoU"],
    "again": names["evaluation"].metrics["mIoU"],
    "equal": float(names["equal"]),
}))
"""


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def notebook(request):
    return request.param


def test_format_is_that_of_jupyter(notebook):
    """Version 4.5, without outputs, which would grow with every change."""
    book = json.loads(notebook.read_text(encoding="utf-8"))
    assert set(book) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]{1,64}", name) for name in ids)
    for cell in book["cells"]:
        assert set(cell) == FIELDS[cell["cell_type"]]
        assert all(isinstance(line, str) for line in cell["source"])
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_pages_that_it_links_exist(notebook):
    text = notebook.read_text(encoding="utf-8")
    assert all((notebook.parent / link).is_file() for link in re.findall(r"\]\(([\w./]+\.md)\)", text))


@pytest.mark.slow
def test_cells_run(notebook, tmp_path):
    """The network has learned, is scored alike twice, and ONNX Runtime gives its labels."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-W", "ignore", "-c", RUNNER, str(notebook)]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["mIoU"] == found["again"] > 0.6
    assert found["equal"] >= 0.9999
    assert found["figures"] == 4
