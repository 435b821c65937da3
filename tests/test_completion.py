"""A real shell completes commands, flags, names and keys."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mxnetseg import cli, completion

ROOT = Path(__file__).resolve().parent.parent
# Line, and what bash offers for it.
CASES = {
    "mxnetseg tr": {"train "},
    "mxnetseg train --mod": {"--model "},
    "mxnetseg train --model swiftresnetp": {"swiftresnetpr "},
    "mxnetseg train --config camvid/bise": {"camvid/bisenetr_resnet18 "},
    "mxnetseg train optimizer.mo": {"optimizer.momentum="},
    "mxnetseg list mo": {"models "},
    "mxnetseg eval --protocol sl": {"slide "},
    "mxnetseg prepare camv": {"camvid"},
    "mxnetseg completion z": {"zsh "},
}


@pytest.fixture(scope="module")
def offers(tmp_path_factory):
    """What bash's completion function returns for each line."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "mxnetseg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mxnetseg "$@"\n')
    program.chmod(0o755)
    script = ['eval "$(mxnetseg completion bash)"']
    for line in CASES:
        script += [f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_TYPE=9 COMPREPLY=()"]
        script += ['_python_argcomplete mxnetseg "" ""', 'printf "%s|" "${COMPREPLY[@]}"; echo']
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", "\n".join(script)], env=env, capture_output=True, text=True, check=True)
    return dict(zip(CASES, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("line", CASES)
def test_bash_completes(line, offers):
    offered = {word.strip() for word in offers[line].split("|") if word}
    assert {word.strip() for word in CASES[line]} <= offered
    assert all(word.startswith(line.split()[-1]) for word in offered)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_code_for_each_shell(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "mxnetseg" in code
    assert {"bash": "complete -o", "zsh": "#compdef mxnetseg", "fish": "complete --command mxnetseg"}[shell] in code
