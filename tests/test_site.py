"""What the documentation's site is made of; `make docs` builds all of it, with warnings as errors."""

from __future__ import annotations

import json
import sys

import pytest
import yaml
from documentation import ROOT

from mxnetseg import cli
from mxnetseg.config import key_names

pytest.importorskip("mkdocs", reason="mkdocs is not installed: make setup-dev")
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

import docstrings
import links
import offline
import pages
import reference


def test_every_command_has_its_flags_and_an_example():
    text = reference.commands()
    for name in cli.COMMANDS:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert f"\nmxnetseg {name}" in section.partition("```shell")[2]
        flags = {flag for action in cli.command_parser(name)._actions for flag in action.option_strings}
        assert all(flag in section for flag in flags - {"-h", "--help"})


def test_every_key_of_the_configuration_is_in_its_table():
    text = reference.configuration()
    assert all(f"\n| `{key}` | " in text for key in key_names())


def test_cells_keep_code_and_escape_markup():
    assert reference._cell("a | `<b>` <c>") == r"a \| `<b>` &lt;c>"


def test_home_is_the_first_screen_of_the_readme():
    readme, home = (ROOT / "README.md").read_text(), pages.home()
    assert home.startswith(readme.partition("\n## ")[0])
    assert "make quickstart" in home and "| page | about |" in home and "## Citing" not in home


def test_public_modules_are_those_with_a_list_of_names():
    modules = list(pages.public_modules())
    assert {"mxnetseg.models.fcn", "mxnetseg.data", "mxnetseg.engine.trainer"} <= set(modules)
    assert "mxnetseg.__main__" not in modules


def test_notebook_becomes_markdown(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# First\n", "steps"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": [{"output_type": "stream", "text": ["1\n"]}]},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    text = pages.notebook(path)
    assert text.startswith("# First\nsteps\n\n```python\nprint(1)\n```\n\n```text\n1\n\n```")


def test_docstrings_are_markdown():
    text = "See :func:`~.base.build`::\n\nParameters\n----------\nx : int\n    Size.\n\nInputs: (N, 3)."
    assert docstrings.markdown(text) == (
        "See `base.build`:\n\nParameters\n----------\nx : int\n    Size.\n\nNotes\n-----\nInputs: (N, 3)."
    )


def test_links_in_code_are_left_alone():
    parts = links._split("[a](b)\n```\n[c](d)\n```\n[e](f)")
    assert [part for code, part in parts if code] == ["```\n[c](d)\n```"]


@pytest.mark.parametrize(
    "text",
    [
        '<script async src="https://cdn.org/x.js"></script>',
        "<link href=//fonts.org/a.css rel=stylesheet>",
        '<img alt="" src="http://a.org/b.png">',
        "a { background: url('https://a.org/b.png') }",
        '@import "https://a.org/b.css";',
    ],
)
def test_what_a_browser_would_load_from_elsewhere_is_found(text):
    assert len(offline.loaded(text)) == 1


@pytest.mark.parametrize("text", ['<a href="https://a.org">a</a>', '<link rel="canonical" href="https://a.org">'])
def test_links_to_other_hosts_are_allowed(text):
    assert offline.loaded(text) == []


def test_site_names_no_page_that_is_not_there():
    """Those that the hooks write, and folders that they fill, excepted."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    names = [
        name for section in nav for entry in section.values() for name in (entry if isinstance(entry, list) else [])
    ]
    assert all((ROOT / "docs" / name).is_file() for name in names if not name.startswith("reference/"))
