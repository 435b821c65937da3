"""Files are replaced whole, kept under a second name, and what killed processes left is removed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from mxnetseg.engine import atomic
from mxnetseg.engine.atomic import keep, remove_stray_files, replace_file, replacing, temporary_path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def dead():
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_file_is_replaced_and_nothing_else_stays(tmp_path):
    path = tmp_path / "a"
    for content in (b"first", b"second, longer", b""):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["a"]


def test_file_and_folder_are_forced_to_disk_in_this_order(tmp_path, monkeypatch):
    path, calls = tmp_path / "a", []
    fsync, replace = os.fsync, os.replace

    def see_fsync(number):
        calls.append(os.path.realpath(f"/proc/self/fd/{number}"))
        fsync(number)

    def see_replace(source, target):
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", see_fsync)
    monkeypatch.setattr(atomic.os, "replace", see_replace)
    replace_file(path, b"x")
    assert calls == [str(temporary_path(path)), "replace", str(tmp_path)]


def test_any_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_bytes(b"new")
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # nothing was written
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_folder_is_closed_whatever_its_disk_says(tmp_path, monkeypatch):
    fsync, open_files = os.fsync, len(os.listdir("/proc/self/fd"))

    def refuse(number):
        if os.path.isdir(f"/proc/self/fd/{number}"):
            raise OSError(errno.EIO, "disk")
        fsync(number)

    monkeypatch.setattr(atomic.os, "fsync", refuse)
    with pytest.raises(OSError, match="disk"):
        replace_file(tmp_path / "a", b"x")
    assert len(os.listdir("/proc/self/fd")) == open_files


@pytest.mark.parametrize("links", [True, False])
def test_second_name_outlives_the_next_replacement(tmp_path, monkeypatch, links):
    path, previous = tmp_path / "a", tmp_path / "before"
    previous.write_bytes(b"older")
    path.write_bytes(b"old")

    def refuse(*_):
        raise OSError(errno.EPERM, "no hard links here")

    if not links:
        monkeypatch.setattr(atomic.os, "link", refuse)
    keep(path, previous)
    assert path.read_bytes() == previous.read_bytes() == b"old"
    replace_file(path, b"new")
    assert (path.read_bytes(), previous.read_bytes()) == (b"new", b"old")
    assert names(tmp_path) == ["a", "before"]


def test_keeping_twice_leaves_two_names(tmp_path):
    path, previous = tmp_path / "a", tmp_path / "before"
    path.write_bytes(b"x")
    temporary_path(previous).write_bytes(b"left by an earlier attempt of this process")
    keep(path, previous)
    keep(path, previous)
    assert path.samefile(previous) and names(tmp_path) == ["a", "before"]


def test_nothing_to_keep_keeps_nothing(tmp_path):
    (tmp_path / "before").write_bytes(b"older")
    keep(tmp_path / "a", tmp_path / "before")
    assert (tmp_path / "before").read_bytes() == b"older" and names(tmp_path) == ["before"]


def test_only_what_dead_processes_of_this_host_left_is_removed(tmp_path, dead):
    inner = tmp_path / "inner"
    inner.mkdir()
    gone = [tmp_path / f".a.{atomic._HOST}-{dead}.tmp", inner / f".b.params.{atomic._HOST}-{dead}.tmp"]
    stay = [
        temporary_path(tmp_path / "mine"),
        tmp_path / f".a.other_host-{dead}.tmp",
        tmp_path / f"a.{atomic._HOST}-{dead}.tmp",
        tmp_path / f".a.{atomic._HOST}-{dead}.tmp.keep",
        tmp_path / ".a.tmp",
        tmp_path / f".a.{atomic._HOST}-x.tmp",
    ]
    for path in gone + stay:
        path.touch()
    assert sorted(remove_stray_files(tmp_path)) == sorted(gone)
    assert not any(path.exists() for path in gone) and all(path.exists() for path in stay)
    assert remove_stray_files(tmp_path) == []


def test_processes_of_other_users_live(tmp_path, monkeypatch, dead):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(atomic.os, "kill", refuse)
    path = tmp_path / f".a.{atomic._HOST}-{dead}.tmp"
    path.touch()
    assert remove_stray_files(tmp_path) == [] and path.exists()


def test_what_cannot_be_removed_is_not_reported(tmp_path, dead):
    (tmp_path / f".a.{atomic._HOST}-{dead}.tmp").mkdir()
    assert remove_stray_files(tmp_path) == []
