"""The command line: light, helpful about mistakes, right exit codes."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mxnetseg import __version__, cli
from mxnetseg.errors import DataError


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("words", [["--help"], ["list", "models"], ["lst"], ["list", "modles"], ["--version"]])
def test_light_commands_import_neither_mxnet_nor_pydantic(words):
    code = f"import sys; from mxnetseg.cli import main; main({words!r}); print(*sys.modules, file=sys.stdout)"
    loaded = set(_python(code).splitlines()[-1].split())
    assert "mxnetseg.cli" in loaded
    assert not loaded & {"mxnet", "gluoncv", "pydantic", "cv2", "wandb", "matplotlib"}


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_help_of_each_command_works_without_mxnet(name):
    text = _python(f"""
import sys
from mxnetseg.cli import main
print(main([{name!r}, "--help"]), "mxnet" in sys.modules)
""")
    assert text.splitlines()[-1] == "0 False"
    assert f"usage: mxnetseg {name}" in text


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"mxnetseg {__version__}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "'train'"),
        (["list", "modells"], "'models'"),
        (["list", "models", "--jsn"], "'--json'"),
        (["config", "optimizer.lrr=1"], "'optimizer.lr'"),
        (["config", "model.name=bisenet_r18"], "BiSeNet"),
    ],
)
def test_misspelt_words_get_a_suggestion_and_code_2(words, hint, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert hint.lower() in error.lower()
    assert "Traceback" not in error


@pytest.fixture
def command(monkeypatch):
    """Install a command `probe` whose run() is given by the test."""

    def install(run, *flags):
        def add_arguments(parser):
            for flag, options in flags:
                parser.add_argument(flag, **options)

        module = SimpleNamespace(HELP="probe", add_arguments=add_arguments, run=run)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("tests.probe", "probe"))
        monkeypatch.setitem(sys.modules, "tests.probe", module)

    return install


def _raise(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("no image", "a folder of images", "check data.root"), 2, "remedy:   check data.root"),
        (ZeroDivisionError("x"), 1, "--debug"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(3), 3, ""),
    ],
)
def test_errors_become_messages_and_exit_codes(command, capsys, error, code, text):
    command(_raise(error))
    assert cli.main(["probe"]) == code
    printed = capsys.readouterr().err
    assert text in printed
    assert "Traceback" not in printed


def test_debug_shows_the_traceback(command, capsys):
    command(_raise(ZeroDivisionError("x")))
    assert cli.main(["probe", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_debug_through_the_environment(command, capsys, monkeypatch):
    monkeypatch.setenv("MXNETSEG_DEBUG", "1")
    command(_raise(DataError("no image")))
    assert cli.main(["probe"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--ctx", "0", "1", "a.b=2", "--name", "x=y"],
        ["a.b=2", "--ctx", "0", "1", "--name", "x=y"],
        ["--name", "x=y", "--ctx", "0", "1", "a.b=2"],
    ],
)
def test_overrides_may_stand_anywhere(command, words):
    seen = []
    flags = [("--ctx", {"nargs": "+"}), ("--name", {}), ("overrides", {"nargs": "*"})]
    command(seen.append, *flags)
    assert cli.main(["probe", *words]) == 0
    assert (seen[0].ctx, seen[0].name, seen[0].overrides) == (["0", "1"], "x=y", ["a.b=2"])


def test_closed_pipe_is_quiet():
    line = f"{sys.executable} -m mxnetseg config | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_help_fits_one_screen(capsys):
    assert cli.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert all(any(line.split()[:1] == [name] for line in lines) for name in cli.COMMANDS)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_examples_of_each_command_are_understood(name, capsys):
    assert cli.main([name, "--help"]) == 0
    shown = capsys.readouterr().out.partition("examples:\n")[2]
    lines = [line.split("#")[0] for line in shown.splitlines() if line.strip().startswith(f"mxnetseg {name}")]
    assert lines
    for line in lines:
        words = shlex.split(line.split(">>")[0].split(" > ")[0])
        cli.parse(words[1:])


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [(errno.ENOTDIR, 2, "choose another name"), (errno.EACCES, 2, "choose a place"), (errno.ENOSPC, 1, "--debug")],
)
def test_files_that_cannot_be_used_are_named(command, capsys, number, code, text):
    command(_raise(OSError(number, os.strerror(number), "some/file")))
    assert cli.main(["probe"]) == code
    printed = capsys.readouterr().err
    assert f"some/file: {os.strerror(number)}" in printed
    assert text in printed
