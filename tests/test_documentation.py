"""Every command and every Python block of the documentation runs here, or is parsed and says why it does not run.

``documented.yaml`` has one line for each; what stands in neither of its groups fails.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
from pathlib import Path

import documentation
import numpy as np
import playground
import pytest
import understood
import yaml
from documentation import ROOT, TABLE

from mxnetseg import cli
from mxnetseg.config import Config, load_config

COMMANDS = documentation.commands()
# A command: what its groups say of it.
RUN = {text: group for group in TABLE["run"] for text in group["commands"]}
PARSED = {text: group for group in TABLE["parse"] for text in group["commands"]}
GENERATED = [re.compile(pattern) for group in TABLE["parse"] for pattern in group.get("patterns", [])]


def _parsed_only(text: str) -> bool:
    return text in PARSED or any(pattern.fullmatch(text) for pattern in GENERATED)


def test_every_command_is_classified():
    """A new command fails here until `documented.yaml` runs it, or says why it does not."""
    here = [code for code in COMMANDS if not documentation.is_followed(code)]
    texts = {code.key for code in here if not documentation.mentioned_name(code.text)}
    unknown = {text for text in texts if text not in RUN and not _parsed_only(text)}
    assert not unknown, "add to tests/documented.yaml"


def test_table_names_no_command_that_is_gone():
    texts = {code.key for code in COMMANDS}
    assert set(RUN) | set(PARSED) <= texts, "remove from tests/documented.yaml"
    assert not set(RUN) & set(PARSED)


def test_every_group_that_is_only_parsed_has_a_reason():
    assert all(len(group["reason"]) > 10 for group in TABLE["parse"])


@pytest.mark.parametrize("code", {code.text: code for code in COMMANDS}.values(), ids=lambda code: code.text[:100])
def test_command_is_understood(code):
    """By the parser of the program that it calls."""
    if name := documentation.mentioned_name(code.text):
        assert name in cli.COMMANDS
    else:
        text = _replace(code.text, TABLE["placeholders"])
        understood.check(re.sub(r"<(\w+)>", r"\1", text), PARSED.get(code.key, {}).get("part", False))


def _replace(text: str, words: dict[str, str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, words[word])
    return text


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder, with what placeholders mean in it."""
    folder = tmp_path_factory.mktemp("playground")
    with contextlib.chdir(folder):
        return folder, playground.build(folder)


def _marked(texts: dict[str, dict]) -> list:
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(text, marks=marks[group.get("slow", False)], id=text[:100]) for text, group in texts.items()]


@pytest.mark.parametrize("text", _marked(RUN))
def test_command_runs(text, place, monkeypatch):
    group, (folder, words) = RUN[text], place
    monkeypatch.chdir(folder)
    words = words | (getattr(playground, group["needs"])(folder) if "needs" in group else {})
    line = _replace(text, TABLE["placeholders"] | words | group.get("replace", {}))
    line = f"{line} {documentation.small(*group.get('with', ()))}"
    if "before" in group:
        assert _shell(group["before"], folder) == 0
    print("$", line)
    code = _shell(line, folder) if group.get("slow") or group.get("shell") else cli.main(_words(line))
    assert code in np.atleast_1d(group.get("code", 0))


def _words(line: str) -> list[str]:
    """Arguments of `mxnetseg` for a line that calls it or one of the scripts in its place."""
    words = shlex.split(line)
    return [Path(words[1]).stem, *words[2:]] if words[0] == "python" else words[1:]


def _shell(line: str, folder: Path) -> int:
    """Exit code of a line in a shell, where `mxnetseg` and `python` are those of this environment."""
    env = documentation.environment(folder)
    return subprocess.run(["bash", "-c", line], cwd=folder, env=env, timeout=1800, check=False).returncode


@pytest.mark.parametrize(
    "page", sorted({block.page for block in documentation.blocks("python") if not documentation.in_tutorial(block)})
)
def test_python_runs(page, place, monkeypatch):
    """The blocks of a page, one after the other."""
    folder, words = place
    monkeypatch.chdir(folder)
    names = playground.python(folder, words["<run>"])
    for block in documentation.blocks("python"):
        if block.page == page:
            exec(compile(_replace(block.text, words), page, "exec"), names)


@pytest.mark.parametrize("block", documentation.blocks("yaml"), ids=lambda block: block.page)
def test_yaml_is_a_configuration_where_it_looks_like_one(block):
    values = yaml.safe_load(block.text)
    if set(values) <= set(Config.model_fields):
        load_config(values)


def test_own_data_example_is_the_shipped_file():
    (block,) = (block for block in documentation.blocks("yaml") if block.page == "README.md")
    assert yaml.safe_load(block.text) == yaml.safe_load((ROOT / "configs" / "custom" / "example.yaml").read_text())
    assert len(block.text.splitlines()) <= 10  # what the project promises for own data


@pytest.mark.parametrize("path", documentation.PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_exist(path):
    """Files of the repository, but for those that the reader makes; a star stands for any."""
    names = set(
        re.findall(
            r"(?<!Save this as )`((?:configs|tests|demo|benchmarks|mxnetseg|docker|docs)/[\w./*-]+\w)`",
            path.read_text(),
        )
    )
    assert all(list(ROOT.glob(name)) for name in names)
