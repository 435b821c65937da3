"""Finding the files of a data set: pairs of images and masks from folders or from lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .images import IMAGE_SUFFIXES

__all__ = [
    "MissingFile",
    "Sample",
    "images_below",
    "list_entries",
    "list_fields",
    "list_pairs",
    "pair_folders",
    "pair_listed",
    "require",
    "require_files",
    "tolerate_missing",
]


@dataclass(frozen=True)
class Sample:
    """One image and its mask (None where the split has no masks)."""

    image: Path
    mask: Path | None


@dataclass(frozen=True)
class MissingFile:
    """A file that has to be there (`path`), or one whose partner is missing.

    Attributes
    ----------
    path : Path
    role : str
        ``listed`` (named but absent), ``image`` (an image without mask), ``mask`` (a mask without image) or
        ``twin`` (a second file of one name).
    """

    path: Path
    role: str


_MISSING: ContextVar[list[MissingFile] | None] = ContextVar("missing", default=None)


@contextmanager
def tolerate_missing() -> Iterator[list[MissingFile]]:
    """Within this context missing and unpaired files are collected and left out instead of being errors."""
    missing: list[MissingFile] = []
    token = _MISSING.set(missing)
    try:
        yield missing
    finally:
        _MISSING.reset(token)


def require(path: Path, what: str, remedy: str) -> Path:
    """Return `path` if it exists.

    Raises
    ------
    DataError
        With what was looked for, and `remedy`.
    """
    if path.exists():
        return path
    parent = next((p for p in path.parents if p.exists()), Path("/"))
    inside = ", ".join(sorted(p.name for p in parent.iterdir())[:12]) or "nothing"
    raise DataError(f"{what} not found: {path}\n  {parent} holds: {inside}", "", remedy)


def require_files(samples: list[Sample], remedy: str) -> list[Sample]:
    """Return `samples` if all their files exist; otherwise name the missing ones."""
    files = [f for s in samples for f in (s.image, s.mask) if f is not None]
    missing = [str(f) for f in files if not os.path.isfile(f)]  # Path.is_file fails for names that are too long
    collected = _MISSING.get()
    if collected is not None:
        collected += [MissingFile(Path(f), "listed") for f in missing]
        lost = set(missing)
        return [s for s in samples if str(s.image) not in lost and str(s.mask) not in lost]
    if missing:
        shown = "\n    ".join(missing[:5]) + (f"\n    ... {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DataError(f"{len(missing)} of {len(files)} files are missing:\n    {shown}", "", remedy)
    return samples


def list_entries(path: Path, remedy: str) -> list[str]:
    """Lines of a list file that are not blank.

    Raises
    ------
    DataError
        If the file is missing or no text.
    """
    require(path, "list of images", remedy)
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a list of files: {error}", "a text file in UTF-8", remedy) from error


def list_fields(line: str) -> list[str]:
    """Names in a line of a list file: between tabs where it has one (they may hold blanks), else between blanks."""
    return [name.strip() for name in line.split("\t")] if "\t" in line else line.split()


def list_pairs(path: Path, remedy: str) -> list[tuple[str, str]]:
    """Image and mask named by every line of a list file, separated by a tab or by blanks.

    Raises
    ------
    DataError
        If the file is missing or a line does not hold two names.
    """
    pairs = [tuple(list_fields(line)) for line in list_entries(path, remedy)]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2:
            raise DataError(f"{path}, line {number}: {' '.join(pair)!r}", "two files: 'image mask'", remedy)
    return pairs


def pair_listed(
    names: Iterable[str], images: Path, masks: Path | None, remedy: str, image_suffixes: tuple[str, ...] = (".jpg",)
) -> list[Sample]:
    """Samples of listed names: ``<images>/<name>.jpg`` and ``<masks>/<name>.png``.

    Parameters
    ----------
    names : iterable of str
        With or without the suffix of an image.
    images : Path
    masks : Path or None
        None where there are no masks.
    remedy : str
        What to do when files are missing.
    image_suffixes : tuple of str
        Suffixes to look for, the first one found wins.

    Raises
    ------
    DataError
        If files are missing; they are named.
    """
    samples = []
    for name in names:
        stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
        candidates = [images / f"{stem}{suffix}" for suffix in image_suffixes]
        image = next((c for c in candidates[:-1] if c.is_file()), candidates[-1])
        samples.append(Sample(image, None if masks is None else masks / f"{stem}.png"))
    return require_files(samples, remedy)


def images_below(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES, ending: str = "") -> list[Path]:
    """Image files below `folder` in sorted order; hidden files are left out.

    Parameters
    ----------
    folder : Path
    suffixes : iterable of str
        Accepted suffixes, in lower case.
    ending : str
        What the stems end with.
    """
    wanted = tuple(suffixes)
    return sorted(
        p
        for p in folder.rglob(f"*{ending}*" if ending else "*")
        if p.suffix.lower() in wanted and p.stem.endswith(ending) and not p.name.startswith(".")
    )


def pair_folders(
    images: Path, masks: Path, remedy: str, *, image_ending: str = "", mask_ending: str = ""
) -> list[Sample]:
    """Samples of two parallel folder trees, paired by their names.

    Parameters
    ----------
    images, masks : Path
        The trees; sub-folders must agree.
    remedy : str
        What to do when files are missing.
    image_ending, mask_ending : str
        What follows the common part of the stems, e.g. ``_leftImg8bit`` and ``_gtFine_labelIds``.

    Raises
    ------
    DataError
        If a folder is missing or a file has no partner; the unpaired files are named.
    """
    require(images, "folder of images", remedy)
    require(masks, "folder of masks", remedy)
    left = _by_name(images, IMAGE_SUFFIXES, image_ending)
    right = _by_name(masks, (".png", ".bmp", ".tif", ".tiff", ".gif"), mask_ending)
    single = [MissingFile(left[k], "image") for k in sorted(left.keys() - right.keys())]
    single += [MissingFile(right[k], "mask") for k in sorted(right.keys() - left.keys())]
    collected = _MISSING.get()
    if collected is not None:
        collected += single
    elif single:
        shown = "\n    ".join(sorted(str(s.path) for s in single)[:5]) + ("\n    ..." if len(single) > 5 else "")
        raise DataError(f"{len(single)} files have no partner:\n    {shown}", "one mask for every image", remedy)
    return [Sample(left[k], right[k]) for k in sorted(left.keys() & right.keys())]


def _by_name(folder: Path, suffixes: tuple[str, ...], ending: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in images_below(folder, suffixes, ending):
        name = str(path.relative_to(folder).with_suffix(""))
        name = name[: len(name) - len(ending)] if ending else name
        collected = _MISSING.get()
        if name in found and collected is not None:
            collected.append(MissingFile(path, "twin"))
            continue
        if name in found:
            raise DataError(f"two files of one name: {found[name]} and {path}", "one file per name", "remove one")
        found[name] = path
    return found
