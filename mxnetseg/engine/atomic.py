"""Replacing a file so that a crash at any moment leaves either the old or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

__all__ = ["keep", "remove_stray_files", "replace_file", "replacing", "temporary_path"]

_HOST = re.sub(r"\W", "", socket.gethostname())[:24] or "host"
_STRAY = re.compile(r"\..+\.(?P<host>\w+)-(?P<pid>\d+)\.tmp")


def temporary_path(path: Path) -> Path:
    """Hidden place beside `path` to write it first; :func:`remove_stray_files` knows its form."""
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Place beside `path` to write a file, which is then forced to disk and renamed over `path`, and the folder forced.

    Raises
    ------
    OSError
        If any of it fails; after this or any other exception `path` is what it was, and no temporary file stays.
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def replace_file(path: Path, data: bytes | bytearray) -> None:
    """Write `data` beside `path`, force it to disk, rename it over `path`, force the folder to disk.

    Raises
    ------
    OSError
        If any of it fails; `path` is then what it was, and no temporary file stays.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def keep(path: Path, previous: Path) -> None:
    """Give the file the further name `previous`, which may have been another file's; nothing where there is no file.

    Raises
    ------
    OSError
        If it fails; `path` is what it was.
    """
    if not path.exists():
        return
    link = temporary_path(previous)
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links
        replace_file(previous, path.read_bytes())
        return
    os.replace(link, previous)
    with contextlib.suppress(FileNotFoundError):
        link.unlink()  # renaming does nothing where both are names of one file


def remove_stray_files(folder: Path) -> list[Path]:
    """Remove what killed processes of this host left in a folder and the ones inside of it; return these files."""
    removed = []
    for path in folder.rglob(".*.tmp"):
        match = _STRAY.fullmatch(path.name)
        if match and match["host"] == _HOST and not _alive(int(match["pid"])):
            with contextlib.suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
