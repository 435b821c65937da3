"""The tables of the documentation say what the registry, the configurations and the recorded reference cases say."""

from __future__ import annotations

import pytest

from mxnetseg.registry import DATASETS, MODELS
from mxnetseg.tools import tables

COSTS = tables.written_costs((tables.DOCS / "models.md").read_text())


@pytest.fixture
def quick(monkeypatch):
    """The written parameters and multiply-accumulates stand for those of networks, which have to be built."""
    monkeypatch.setattr(tables, "figures", lambda entry: COSTS.get(entry.name, ("new", "new")))


@pytest.mark.parametrize("path", tables.pages(), ids=lambda path: path.name)
def test_tables_are_up_to_date(path, quick):
    text = path.read_text()
    assert tables.pages()[path](text) == text, "run `make tables`"


@pytest.mark.parametrize(
    "name", [n if n == "BiSeNetX" else pytest.param(n, marks=pytest.mark.slow) for n in MODELS.names()]
)
def test_costs_are_those_of_the_network(name):
    assert COSTS[name] == tables.figures(MODELS.entry(name))


def test_every_name_is_in_its_table():
    models, datasets, names = tables.model_table(COSTS), tables.dataset_table(), tables.name_list()
    assert all(f"| `{name}` |" in models and name in names for name in MODELS.names())
    assert all(f"`{name}`" in datasets and name in names for name in DATASETS.names())


def test_main_writes_and_checks(tmp_path, monkeypatch, capsys, quick):
    """Copies of all pages, their tables spoilt."""
    for path in tables.pages():
        copy = tmp_path / path.relative_to(tables.ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(tables.splice(path.read_text(), _NAMES[path.name], "old\n"))
    for name in ("oracles.json", "training.json"):
        (tmp_path / "docs" / name).write_text((tables.DOCS / name).read_text())
    originals = [path.read_text() for path in tables.pages()]
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "DOCS", tmp_path / "docs")
    assert tables.main(["--check"]) == 1
    assert capsys.readouterr().out.count("tables are out of date, run `make tables`") == len(_NAMES)
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert [path.read_text() for path in tables.pages()] == originals
    assert len(tables.pictures()) == 2
    assert all(path.read_bytes() == content for path, content in tables.pictures().items())


_NAMES = {"README.md": "names", "models.md": "models", "datasets.md": "data sets", "training.md": "trainings"}
_NAMES |= {"realtime.md": "realtime", "scaling.md": "scaling"}
