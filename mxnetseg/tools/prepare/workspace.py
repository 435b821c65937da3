"""What the preparation of any data set needs: finding its sources, writing results so that it can be resumed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ...engine.atomic import remove_stray_files, replace_file, temporary_path
from ...errors import DataError
from .archives import extract, is_archive

__all__ = ["Workspace"]

_FORMAT = 1
_UNPACKED = ".unpacked"


@dataclass
class Workspace:
    """Folders of one preparation.

    Files appear whole or not at all. What an interrupted run has written is kept by the next one of the same
    sources, which the file ``prepared-<name>.json`` below the root records; files of other origin are replaced.

    Attributes
    ----------
    name : str
        Official name of the data set.
    root : Path
        Where the prepared data go.
    given : tuple of Path
        Archives and folders given by the user.
    remedy : str
        What to do when something is missing.
    options : dict
        Numbers that the conversion was given.
    progress : bool
        Show progress bars.
    folders : list of Path
        Where sources are looked for: the given folders, the unpacked archives, the root.

    Raises
    ------
    DataError
        If a source is missing, or is neither a folder nor an archive.
    """

    name: str
    root: Path
    given: tuple[Path, ...]
    remedy: str
    options: dict[str, int] = field(default_factory=dict)
    progress: bool = True
    folders: list[Path] = field(default_factory=list)
    _resumed: bool = False
    _folders_in_use: set[Path] = field(default_factory=set)

    def __post_init__(self):
        for path in self.given:
            if not (path.is_dir() or (path.is_file() and is_archive(path))):
                what = "is neither a folder nor an archive" if path.exists() else "not found"
                raise DataError(f"source {what}: {path}", "a folder, or a .zip or .tar[.gz|.bz2|.xz] file", self.remedy)

    def open(self) -> None:
        """Unpack the archives.

        Raises
        ------
        DataError
            If an archive is damaged or not safe.
        """
        manifest = self.manifest()
        self._resumed = manifest is not None and manifest["made"] == self._identity()
        self.folders = [self.unpack(p) if p.is_file() else p for p in self.given]
        self.folders.append(self.root)

    def is_complete(self, splits: dict[str, int]) -> bool:
        """Whether these splits were prepared from the given sources, or from any if none are given."""
        manifest = self.manifest()
        if manifest is None or not manifest["complete"] or manifest["splits"] != splits:
            return False
        made = manifest["made"]
        return made == self._identity() or (not self.given and made["options"] == self.options)

    def unpack(self, archive: Path) -> Path:
        """Unpack an archive into a passing folder below the root and return that folder."""
        place = self.root / _UNPACKED / f"{archive.name}-{archive.stat().st_size}"
        return extract(archive, place, self.progress)

    def close(self, splits: dict[str, int]) -> None:
        """Remove what was unpacked; note the sizes of the splits and that the data are complete."""
        shutil.rmtree(self.root / _UNPACKED, ignore_errors=True)
        self._write_manifest({"complete": True, "splits": splits})

    def manifest(self) -> dict | None:
        """What the last preparation noted; None when there was none."""
        try:
            content = json.loads(self.manifest_path.read_text(encoding="utf-8"))
            return content if content["format"] == _FORMAT else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def manifest_path(self) -> Path:
        """File that notes what was done."""
        return self.root / f"prepared-{self.name}.json"

    def _identity(self) -> dict:
        """Names, sizes and times of the given archives, places of the given folders; the options."""
        stats = [(p, p.stat()) for p in self.given]
        sources = [[str(p.resolve())] if p.is_dir() else [p.name, s.st_size, s.st_mtime_ns] for p, s in stats]
        return {"name": self.name, "sources": sources, "options": self.options}

    def _write_manifest(self, facts: dict) -> None:
        content = {"format": _FORMAT, "made": self._identity(), **facts}
        replace_file(self.manifest_path, (json.dumps(content, indent=2) + "\n").encode())

    def look_for(self, pattern: str) -> list[Path]:
        """Files and folders of the sources whose path ends like `pattern`, those nearest to the top first."""
        found: dict[Path, None] = {}
        for folder in self.folders:
            matches = (p for p in folder.rglob(pattern) if not _is_hidden(p.relative_to(folder)))
            found |= dict.fromkeys(sorted(matches, key=lambda p: (len(p.parts), p)))
        return list(found)

    def find(self, pattern: str, what: str) -> Path:
        """First file or folder whose path ends like `pattern`.

        Raises
        ------
        DataError
            If there is none; says `what` was looked for, and where.
        """
        found = next(iter(self.look_for(pattern)), None)
        if found is None:
            places = ", ".join(str(f) for f in self.folders)
            raise DataError(
                f"{what} ({pattern}) not found below {places}",
                "",
                f"{self.remedy}; name the place of the files with --source",
            )
        return found

    def convert(self, title: str, jobs: Iterable[tuple[str, Callable[[], np.ndarray]]]) -> None:
        """Write PNG files.

        Parameters
        ----------
        title : str
            Shown at the progress bar.
        jobs : iterable of (str, function)
            Path below the root, and what makes the array: (H, W) ids or (H, W, 3) RGB.
        """
        for name, make in tqdm(list(jobs), title, unit="file", disable=not self.progress or None):
            path = self._target(name)
            if not (self._resumed and path.is_file()):
                array = make()
                replace_file(path, cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array)[1].tobytes())

    def place(self, title: str, files: Iterable[tuple[Path, str]]) -> None:
        """Put files below the root under new names: as hard links, or as copies where the disk differs.

        Parameters
        ----------
        title : str
            Shown at the progress bar.
        files : iterable of (Path, str)
            File, and its new path below the root.
        """
        for source, name in tqdm(list(files), title, unit="file", disable=not self.progress or None):
            target = self._target(name)
            if target.exists() and (source.samefile(target) or self._resumed):
                continue
            temporary = temporary_path(target)
            try:
                try:
                    os.link(source, temporary)
                except OSError:
                    shutil.copyfile(source, temporary)
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def place_folder(self, folder: Path, name: str) -> None:
        """Put all files of a folder below ``<root>/<name>``."""
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(folder)))
        self.place(f"placing {name or self.name}", [(p, f"{name}/{p.relative_to(folder)}".lstrip("/")) for p in files])

    def place_or_split(self, train: str, val: str, names: list[str]) -> None:
        """Place the two lists of these names; where there are none, write them: every fifth name goes to `val`."""
        given = {name: next(iter(self.look_for(name)), None) for name in (train, val)}
        if None not in given.values():
            self.place("lists", ((path, name) for name, path in given.items()))
            return
        self.write_list(train, (n for i, n in enumerate(names) if i % 5 != 4))
        self.write_list(val, names[4::5])
        print(f"no {train} and {val} in the sources: every fifth of the {len(names)} images went to {val}")

    def write_list(self, name: str, lines: Iterable[str]) -> None:
        """Write a list file below the root."""
        replace_file(self._target(name), "".join(f"{line}\n" for line in lines).encode())

    def _target(self, name: str) -> Path:
        """Path below the root; before the first use of its folder, what killed runs left there is removed."""
        path = self.root / name
        if path.parent not in self._folders_in_use:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_stray_files(path.parent)
            if not self._folders_in_use and not self._resumed:
                self._write_manifest({"complete": False})
            self._folders_in_use.add(path.parent)
        return path


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
