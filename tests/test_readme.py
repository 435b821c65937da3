"""Every command in the README is understood, and every file it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from mxnetseg import cli
from mxnetseg.config import load_config

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```shell\n(.*?)^```", TEXT, re.M | re.S)
LINES = [line for block in BLOCKS for line in block.splitlines() if line]
INLINE = re.findall(r"`((?:mxnetseg|make|python) [a-z][^`\n]*)`", TEXT)


def _words(line: str) -> list[str]:
    words = shlex.split(re.sub(r"<(\w+)>", r"\1", line))
    if words[0] == "python":
        return [Path(words[1]).stem, *words[2:]]
    return words[1:]


COMMANDS = [line for line in [*LINES, *INLINE] if line.startswith(("python train", "python eval", "mxnetseg "))]


@pytest.mark.parametrize("line", COMMANDS)
def test_command_is_understood(line):
    words = _words(line)
    assert words[0] in cli.COMMANDS
    _, args = cli.parse(words)
    # What follows `convert` are arguments of official networks, not keys of the configuration.
    if words[0] != "convert" and (overrides := getattr(args, "overrides", [])):
        load_config(None, overrides)


@pytest.mark.parametrize("line", [line for line in [*LINES, *INLINE] if line.startswith("make ")])
def test_make_target_exists(line):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert line.split()[1] in targets


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?:configs|tests|demo)/[\w./-]+\w", TEXT))))
def test_file_exists(name):
    assert (ROOT / name).exists()


def test_own_data_example_is_the_shipped_file():
    block = re.search(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)[1]
    assert yaml.safe_load(block) == yaml.safe_load((ROOT / "configs" / "custom" / "example.yaml").read_text())
    assert len(block.splitlines()) <= 10  # what the project promises for own data
