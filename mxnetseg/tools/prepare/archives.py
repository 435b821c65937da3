"""Unpacking of zip and tar archives that may come from anywhere."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from ...engine.atomic import temporary_path
from ...errors import DataError

__all__ = ["ARCHIVE_SUFFIXES", "extract", "is_archive"]

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, RuntimeError)


@dataclass(frozen=True)
class _Member:
    """A file or folder in an archive; `problem` says why it must not be unpacked."""

    name: str
    size: int
    is_folder: bool
    problem: str
    handle: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def extract(archive: Path, folder: Path, progress: bool = True) -> Path:
    """Unpack an archive into a folder.

    Every member is checked before anything is written. Files appear whole or not at all; those that are
    there with the right size are kept, so an interrupted run goes on. Owners, modes and times are not taken over.

    Parameters
    ----------
    archive : Path
        Of a name that ends in one of ``ARCHIVE_SUFFIXES``.
    folder : Path
        Created when it is missing.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    DataError
        If the archive is damaged or encrypted, does not fit on the disk, or holds absolute names, ``..``,
        links, devices or other special files.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as source:
                return _extract(archive, [_zip_member(i) for i in source.infolist()], source.open, folder, progress)
        with tarfile.open(archive) as source:
            return _extract(archive, [_tar_member(i) for i in source], source.extractfile, folder, progress)
    except _BROKEN as error:
        raise DataError(
            f"{archive}: {error}", "a complete archive", "download it again, or unpack it yourself"
        ) from error


def _extract(archive: Path, members: list[_Member], read: object, folder: Path, progress: bool) -> Path:
    bad = [f"{m.name!r}: {m.problem}" for m in members if m.problem]
    if bad:
        shown = "\n    ".join(bad[:5]) + (f"\n    ... {len(bad) - 5} more" if len(bad) > 5 else "")
        raise DataError(f"{archive} is not safe to unpack:\n    {shown}", "plain files and folders inside one folder")
    wanted = list(_wanted(members, folder))
    folder.mkdir(parents=True, exist_ok=True)
    _check_space(archive, sum(m.size for m, _ in wanted), folder)
    with tqdm(
        total=sum(m.size for m, _ in wanted),
        desc=f"unpacking {archive.name}",
        unit="B",
        unit_scale=True,
        disable=not progress or None,
    ) as bar:
        for member, path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            with read(member.handle) as content:
                _write(content, path, member.size, bar)
    return folder


def _wanted(members: list[_Member], folder: Path) -> Iterator[tuple[_Member, Path]]:
    """Files that are not there yet, without the notes that macOS puts into archives."""
    for member in members:
        parts = PurePosixPath(member.name).parts
        if member.is_folder or "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] == ".DS_Store":
            continue
        path = folder.joinpath(*parts)
        if not path.is_file() or path.stat().st_size != member.size:
            yield member, path


def _write(content: IO[bytes], path: Path, size: int, bar: tqdm) -> None:
    """Copy through a temporary file; more bytes than were announced are an error."""
    temporary, written = temporary_path(path), 0
    try:
        with temporary.open("wb") as file:
            while block := content.read(1 << 20):
                written += len(block)
                if written > size:
                    break
                file.write(block)
                bar.update(len(block))
        if written != size:
            raise EOFError(f"{path.name} has not the {size} bytes that the archive announces")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_space(archive: Path, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        found = f"{archive} unpacks to {size / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        raise DataError(found, f"more room in {folder}", "make room, or choose another disk with --root")


def _name_problem(name: str) -> str:
    """Why a name must not be unpacked ("" when it may)."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or parts[0].endswith(":") or "\0" in name:
        return "absolute name"
    return "name with '..'" if ".." in parts else ""


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    problem = _name_problem(info.filename)
    if kind == stat.S_IFLNK:
        problem = "symbolic link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "special file"
    elif info.flag_bits & 1:
        problem = "encrypted"
    return _Member(info.filename, info.file_size, info.is_dir(), problem, info)


def _tar_member(info: tarfile.TarInfo) -> _Member:
    problem = _name_problem(info.name)
    if info.issym() or info.islnk():
        problem = f"link to {info.linkname!r}"
    elif not (info.isfile() or info.isdir()):
        problem = "device or special file"
    return _Member(info.name, info.size, info.isdir(), problem, info)
