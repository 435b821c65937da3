"""Ready weights: checkpoints that a manifest names, shipped or fetched on demand, and verified at every use."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .errors import CheckpointError, ConfigError, suggest
from .plain_yaml import read_yaml_file

__all__ = ["MANIFEST", "ReadyWeights", "fetch", "find_ready", "ready_weights"]

MANIFEST = Path(__file__).resolve().parent / "weights" / "manifest.yaml"


class ReadyWeights(BaseModel):
    """An entry of a manifest.

    Attributes
    ----------
    sha256 : str
        Of the file ``<name>.params``, hexadecimal.
    megabytes : float
        Its size, in 10^6 bytes.
    summary : str
        Network, data set, score.
    url : str, optional
        Where to fetch it; None if it is shipped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    megabytes: Annotated[float, Field(gt=0)]
    summary: str
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None


_ENTRIES = TypeAdapter(dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")], ReadyWeights])


def ready_weights(manifest: str | Path | None = None) -> dict[str, ReadyWeights]:
    """Entries of a manifest (the shipped one when None) by name.

    Raises
    ------
    ConfigError
        If the manifest cannot be read, or an entry is not of the form of :class:`ReadyWeights`.
    """
    manifest = Path(manifest or MANIFEST)
    try:
        return _ENTRIES.validate_python(read_yaml_file(manifest))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ConfigError(
            f"{manifest}: {where}: {first['msg']}", "name: {sha256: ..., megabytes: ..., summary: ..., url: ...}"
        ) from error


def find_ready(name: str, weights: str | Path = "weights") -> Path | None:
    """File of ready weights, its checksum verified; None if no ready weights have that name.

    Parameters
    ----------
    name : str
        Name in the manifest, with or without ``.params``.
    weights : path
        Folder of what was fetched; shipped files are beside the manifest.

    Raises
    ------
    CheckpointError
        If the file is not there, or is another.
    """
    name = name.removesuffix(".params")
    entry = ready_weights().get(name)
    if entry is None:
        return None
    path = _existing(name, Path(weights))
    if path is None:
        raise CheckpointError(
            f"the weights {name} are not here",
            f"{name}.params in {weights}/",
            f"`mxnetseg fetch {name}` downloads them",
        )
    if (found := _sha256(path)) != entry.sha256:
        raise CheckpointError(
            f"{path} is damaged or another file: SHA-256 {found[:16]}...",
            f"{entry.sha256[:16]}... as in the manifest",
            f"remove it and run `mxnetseg fetch {name}`" if entry.url else "restore it from the package or repository",
        )
    return path


def fetch(name: str, weights: str | Path = "weights", manifest: str | Path | None = None) -> Path:
    """Download the weights of that name unless they are there; only a complete file of the right SHA-256 is kept.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CheckpointError
        If there is no such name, nothing to fetch it from, no connection, or what came is another file.
    """
    entries = ready_weights(manifest)
    if name not in entries:
        raise CheckpointError(f"no ready weights {name!r}", ", ".join(entries) or "none", suggest(name, list(entries)))
    entry, path = entries[name], _existing(name, Path(weights))
    if path is not None and _sha256(path) == entry.sha256:
        return path
    if entry.url is None:
        raise CheckpointError(
            f"{path or name + '.params'} is {'another file' if path else 'missing'}, and the manifest names no address",
            f"SHA-256 {entry.sha256}",
            "restore it from the package or repository",
        )
    return _download(entry, Path(weights) / f"{name}.params")


def _download(entry: ReadyWeights, path: Path) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(entry.url, f"sha256:{entry.sha256}", fname=path.name, path=path.parent, progressbar=True)
    except ValueError as error:  # pooch's, for another checksum
        raise CheckpointError(
            f"what {entry.url} sent is another file; nothing was kept",
            f"SHA-256 {entry.sha256}",
            "ask who published it",
        ) from error
    except (requests.RequestException, OSError) as error:
        raise CheckpointError(
            f"cannot fetch {entry.url}: {error}", "a connection and a writable folder", f"copy the file to {path}"
        ) from error
    return path


def _existing(name: str, weights: Path) -> Path | None:
    """The file that is shipped, or the one that was fetched."""
    return next((p for p in (MANIFEST.parent / f"{name}.params", weights / f"{name}.params") if p.is_file()), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
