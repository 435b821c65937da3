"""The check of data that training begins with: what `mxnetseg check-data` finds, once for each state of the files."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from .. import __version__
from ..compat import usable_cpus
from ..config import Config, DataConfig
from ..data.base import build_dataset
from ..errors import ConfigError, DataError, suggest
from .check_data import paragraphs
from .checks import KINDS, Finding, check_splits

__all__ = ["check_before_training"]

_FOLDER = ".checked"
_DAMAGED = ("damaged-image", "damaged-mask", "size")


def check_before_training(config: Config) -> list[Finding]:
    """Look at every file of the training and validation splits; say what is odd, stop at what is wrong.

    What was found is kept in ``<runs_dir>/.checked/``, under a fingerprint of the description of the data and of the
    sizes and times of all files, so that the next run reads no image for it.

    Parameters
    ----------
    config : Config
        ``data.check`` false leaves the check out; ``data.allow`` names kinds of findings that are meant to be so.

    Returns
    -------
    list of Finding
        The warnings, which have been printed to the standard error stream.

    Raises
    ------
    DataError
        If something is found with which training would learn wrong labels, or evaluate on what it has learned.
    ConfigError
        If ``data.allow`` names no kind.
    """
    data = config.data
    for kind in data.allow:
        if kind not in KINDS:
            raise ConfigError(f"data.allow names {kind!r}", f"kinds of {', '.join(KINDS)}", suggest(kind, KINDS))
    if not data.check:
        return []
    # The loader itself counts damaged samples where some are tolerated.
    allowed = {*data.allow, *(_DAMAGED if data.max_bad_samples else ())}
    found = [f for f in _findings(data, Path(config.train.runs_dir) / _FOLDER) if f.kind not in allowed]
    errors = [f for f in found if f.level == "error"]
    if errors:
        kinds = ",".join(sorted({f.kind for f in errors}))
        raise DataError(
            "the data are not fit for training\n" + "\n".join(paragraphs(errors)),
            "",
            f"`mxnetseg check-data` shows all of it; what is meant to be so: data.allow=[{kinds}]",
        )
    for text in paragraphs(found):
        print(text, file=sys.stderr)
    return found


def _findings(data: DataConfig, folder: Path) -> list[Finding]:
    """Findings of both splits, from an earlier run if nothing has changed since."""
    splits = list(dict.fromkeys((data.train_split, data.val_split)))
    try:
        path = folder / f"{_fingerprint(data, splits)}.json"
    except DataError:  # files are missing: the check says which
        return check_splits(data, splits, usable_cpus()).findings
    try:
        return [Finding(**values) for values in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        found = check_splits(data, splits, usable_cpus()).findings
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not forced to disk: what is cut off or lost is made again.
        path.write_text(json.dumps([asdict(finding) for finding in found]), encoding="utf-8")
    except OSError:
        print(f"cannot write {path}: the data will be checked again", file=sys.stderr)
    return found


def _fingerprint(data: DataConfig, splits: list[str]) -> str:
    """Digest of the description and of all files' names, sizes and times."""
    digest = hashlib.sha256(f"{__version__} {data.name} {data.options} {splits}".encode())
    for split in splits:
        for sample in build_dataset(data, split).samples:
            for path in filter(None, (sample.image, sample.mask)):
                facts = path.stat()
                digest.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]
