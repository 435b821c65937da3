"""The README's tables say what the registry, the configurations and the recorded reference cases say."""

from __future__ import annotations

import pytest

from mxnetseg.registry import DATASETS, MODELS
from mxnetseg.tools import tables

TEXT = tables.README.read_text()


def test_tables_are_up_to_date():
    """All columns but parameters and multiply-accumulates, for which networks have to be built."""
    costs = tables.written_costs(TEXT)
    assert set(costs) == set(MODELS.names()), "run `make tables`"
    fresh = tables.splice(TEXT, "models", tables.model_table(costs))
    assert tables.splice(fresh, "data sets", tables.dataset_table()) == TEXT, "run `make tables`"


@pytest.mark.parametrize(
    "name", [n if n == "BiSeNetX" else pytest.param(n, marks=pytest.mark.slow) for n in MODELS.names()]
)
def test_costs_are_those_of_the_network(name):
    assert tables.written_costs(TEXT)[name] == tables.figures(MODELS.entry(name))


def test_training_page_is_up_to_date():
    text = tables.TRAINING.with_suffix(".md").read_text()
    assert tables.splice(text, "trainings", tables.training_table(tables.TRAINING)) == text, "run `make tables`"


def test_every_name_is_in_its_table():
    models, datasets = tables.model_table(tables.written_costs(TEXT)), tables.dataset_table()
    assert all(f"| `{name}` |" in models for name in MODELS.names())
    assert all(f"`{name}`" in datasets for name in DATASETS.names())


def test_main_writes_and_checks(tmp_path, monkeypatch, capsys):
    path = tmp_path / "README.md"
    path.write_text(tables.splice(TEXT, "models", "old\n"))
    page = tmp_path / "training.md"
    page.write_text(tables.splice(tables.TRAINING.with_suffix(".md").read_text(), "trainings", "old\n"))
    (tmp_path / "training.json").write_text("{}")
    monkeypatch.setattr(tables, "README", path)
    monkeypatch.setattr(tables, "TRAINING", tmp_path / "training.json")
    monkeypatch.setattr(tables, "figures", lambda entry: ("1 M", "2 G"))
    assert tables.main(["--check"]) == 1
    out = capsys.readouterr().out
    assert "README.md: tables are out of date, run `make tables`" in out
    assert "training.md: tables are out of date" in out
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert tables.written_costs(path.read_text())["FCNResNet"] == ("1 M", "2 G")
    assert "0 of" in page.read_text()
