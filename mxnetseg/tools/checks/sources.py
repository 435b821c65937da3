"""Opening a split, and what its folders and lists lack."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from functools import lru_cache
from pathlib import Path

from ...config import DataConfig
from ...data.base import SegmentationDataset, build_dataset, dataset_root
from ...data.files import MissingFile, tolerate_missing
from ...errors import ConfigError, DataError, suggest
from ...registry import DATASETS
from .findings import Finding

__all__ = ["open_split"]

_COPY = "copy or download it again, or take its line out of the list"


def open_split(config: DataConfig, split: str) -> tuple[SegmentationDataset | None, list[Finding]]:
    """Open a split in spite of missing files.

    Parameters
    ----------
    config : DataConfig
    split : str

    Returns
    -------
    dataset : SegmentationDataset or None
        The complete samples; None when there is nothing to look at.
    findings : list of Finding

    Raises
    ------
    ConfigError
        If the data set has no such split or option.
    DataError
        If the data set's folder does not exist.
    """
    known = DATASETS.entry(config.name).meta.get("splits")
    if known and split not in known:
        raise ConfigError(f"{config.name} has no split {split!r}", f"one of {', '.join(known)}", suggest(split, known))
    dataset, findings = None, []
    with tolerate_missing() as missing, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the official split has")
        try:
            dataset = build_dataset(config, split)
        except DataError as error:
            if not dataset_root(config).is_dir():
                raise
            findings.append(_unopened(error, dataset_root(config), bool(missing)))
    findings = _explain_missing(missing) + [f for f in findings if f is not None]
    if dataset is not None and not missing:
        findings += _length(dataset)
    return dataset, findings


def _unopened(error: DataError, root: Path, files_missing: bool) -> Finding | None:
    """Finding of a split that does not open (None where the missing files say it already)."""
    if files_missing and error.found.startswith("no images"):
        return None
    cause = " ".join(error.found.split())
    return Finding("split", str(root), cause, "; ".join(filter(None, (error.expected, error.remedy))))


def _length(dataset: SegmentationDataset) -> list[Finding]:
    expected = dataset.splits.get(dataset.split)
    if expected in (None, len(dataset)):
        return []
    cause = f"{len(dataset)} images, the official split has {expected}"
    remedy = f"complete it ({dataset.remedy}), or do not compare the results with published ones"
    return [Finding("split-size", str(dataset.root), cause, remedy)]


def _explain_missing(missing: list[MissingFile]) -> list[Finding]:
    images = [m.path for m in missing if m.role == "image"]
    masks = [m.path for m in missing if m.role == "mask"]
    reason, remedy = _pairing(images, masks)
    findings = [Finding("missing-mask", str(p), f"no mask belongs to it{reason}", remedy) for p in images]
    findings += [Finding("missing-image", str(p), f"no image belongs to it{reason}", remedy) for p in masks]
    for item in missing:
        if item.role == "twin":
            cause = "another file of this name but another suffix was found first"
            findings.append(Finding("name-clash", str(item.path), cause, "remove one of them"))
        elif item.role == "listed":
            findings.append(Finding("missing-file", str(item.path), _absence(item.path), _COPY))
    return findings


def _absence(path: Path) -> str:
    """Why a listed file is not there."""
    if os.path.islink(path):
        return f"a link to {os.readlink(path)}, which does not exist"
    if not path.parent.is_dir():
        return f"its folder {path.parent} does not exist"
    near = _by_stem(path.parent).get(path.stem.lower())
    return f"does not exist; the folder holds {near!r}" if near else "does not exist"


@lru_cache(maxsize=8)
def _by_stem(folder: Path) -> dict[str, str]:
    return {p.stem.lower(): p.name for p in folder.iterdir()}


def _pairing(images: list[Path], masks: list[Path]) -> tuple[str, str]:
    """Likely reason why these have no partner, as an addition to the sentence, and the remedy."""
    folded = {p.stem.lower() for p in images} & {p.stem.lower() for p in masks}
    if folded:
        return ": the names differ in upper and lower case only", "rename them to the same letters"
    stems = {p.stem for p in images}
    endings = Counter(m.stem[n:] for m in masks for n in range(1, len(m.stem)) if m.stem[:n] in stems)
    endings = Counter({ending: count for ending, count in endings.items() if not ending[0].isalnum()})
    if endings:
        ending, _ = endings.most_common(1)[0]
        return f": masks end with {ending!r}", f"give data.options.mask_suffix={ending}, or rename the masks"
    return "", "add its partner, or remove it"
