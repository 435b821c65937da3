"""The shipped configurations, found by file name, by part of it, or by the names of the original runs."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import ConfigError, suggest

__all__ = ["CONFIGS", "find_config", "shipped"]

CONFIGS = Path(__file__).resolve().parent / "configs"
_NO_RUNS = ("_base_", "sweeps")
_ALIASES = re.compile(r"^aliases: *\[([^\]]*)\]", re.M)


def shipped(folder: Path = CONFIGS) -> dict[str, list[str]]:
    """Aliases of each shipped configuration, by its file relative to `folder`; nothing is parsed."""
    files = (path for path in sorted(folder.rglob("*.yaml")) if path.parent.name not in _NO_RUNS)
    return {path.relative_to(folder).as_posix(): _aliases(path) for path in files}


def _aliases(path: Path) -> list[str]:
    found = _ALIASES.search(path.read_text(encoding="utf-8"))
    return [name.strip() for name in found[1].split(",") if name.strip()] if found else []


def find_config(source: str | Path, folder: Path = CONFIGS) -> Path:
    """File of a configuration that was given by path or by name.

    Parameters
    ----------
    source : str or Path
        A file; or a shipped configuration: ``cityscapes/pspnet_resnet101`` (with or without ``configs/`` before
        it), its last part where that is unambiguous, or an alias such as ``pretty-surf-1``.
    folder : Path
        Where the shipped ones are.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If nothing is found, or several configurations carry the name.
    """
    if Path(source).is_file():
        return Path(source)
    catalog = shipped(folder)
    wanted = str(source).lower().removesuffix(".yaml").removeprefix("configs/")
    names = {file: {file[:-5], Path(file).stem, *aliases} for file, aliases in catalog.items()}
    found = [file for file, known in names.items() if wanted in known]
    if len(found) > 1:
        listed = " or ".join(file[:-5] for file in found)
        raise ConfigError(f"{len(found)} configurations are named {str(source)!r}", listed, f"--config {found[0][:-5]}")
    if not found:
        raise ConfigError(
            f"cannot read configuration {source}: no such file, no such name",
            "an existing YAML file, or a name that `mxnetseg list configs` shows",
            suggest(wanted, set().union(*names.values())),
        )
    return folder / found[0]
