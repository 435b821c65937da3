"""An exported symbol as a network of this package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import mxnet as mx
from mxnet import gluon

from ..errors import CheckpointError, ConfigError
from ..models.params_file import read_params_file

__all__ = ["SYMBOL_SUFFIX", "ExportedNetwork", "check_graph"]

SYMBOL_SUFFIX = "-symbol.json"


class ExportedNetwork:
    """What ``mxnetseg export`` wrote, with the members of a model that inference and measurements use.

    Parameters
    ----------
    path : path
        ``<stem>-symbol.json``; ``<stem>-0000.params`` and, where there is one, ``<stem>-meta.json`` are beside it.
    ctx : mx.Context
        Where the parameters go.

    Attributes
    ----------
    inference : gluon.SymbolBlock
        The network: (N, 3, H, W) in, class scores (N, K, H, W) out.
    meta : dict
        Content of the metadata file; empty without one.
    aux : bool
        False: auxiliary heads are not exported.
    divisor, min_size : int
        Heights and widths must be multiples of the one and at least the other; 1 without a metadata file, since the
        symbol does not say it.

    Raises
    ------
    CheckpointError
        If a file is missing or is not what it should be.
    """

    aux = False

    def __init__(self, path: str | Path, ctx: mx.Context):
        path = Path(path)
        stem = path.name.removesuffix(SYMBOL_SUFFIX)
        params, meta = path.with_name(f"{stem}-0000.params"), path.with_name(f"{stem}-meta.json")
        for needed in (path, params):
            if not needed.is_file():
                raise CheckpointError(f"no file {needed}", "the symbol and its parameters, as `mxnetseg export` writes")
        self.meta: dict[str, Any] = _read_meta(meta, (path, params))
        read_params_file(params)  # verifies what MXNet is going to believe
        try:
            content = path.read_text(encoding="utf-8")
            nodes = check_graph(json.loads(content))
            self.inference = gluon.SymbolBlock(mx.sym.load_json(content), mx.sym.var("data", dtype="float32"))
            self.collect_params().load(str(params), ctx, cast_dtype=True, dtype_source="saved")
        except (mx.MXNetError, ValueError, AssertionError, RecursionError) as error:
            raise CheckpointError(
                f"{path} does not load: {str(error).strip().splitlines()[-1][:300]}",
                "a symbol with one input `data`, and its parameters",
                "export it again",
            ) from error
        sizes = self.meta.get("input") or {}
        self.divisor, self.min_size = int(sizes.get("divisor", 1)), int(sizes.get("min_size", 1))
        for name in _fixed_scales(nodes):
            self.collect_params()[name].grad_req = "null"

    def collect_params(self) -> gluon.ParameterDict:
        """All parameters and running statistics."""
        return self.inference.collect_params()

    def symbol(self, aux: bool = False) -> mx.sym.Symbol:
        """Symbol with one input ``data``.

        Raises
        ------
        ConfigError
            If auxiliary heads are asked for.
        """
        if aux:
            raise ConfigError("auxiliary heads of an exported symbol", "the main output, the only one in it")
        return self.inference(mx.sym.var("data"))


def _read_meta(path: Path, files: tuple[Path, ...]) -> dict[str, Any]:
    """Metadata, if the files are those they were written with; empty where there are none."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        recorded = dict(meta.get("files") or {})
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    for file in files:
        if recorded.get(file.name) not in (None, hashlib.sha256(file.read_bytes()).hexdigest()):
            raise _damaged(file, f"its checksum is not the one in {path.name}")
    return meta


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {why}", "what `mxnetseg export` writes", "export it again")


def check_graph(content: Any) -> list[dict[str, Any]]:
    """Nodes of a symbol's JSON, whose references MXNet believes without a look.

    Raises
    ------
    ValueError
        If a node is incomplete, or refers to itself or to one behind it.
    """
    if not isinstance(content, dict) or not isinstance(content.get("nodes"), list):
        raise ValueError("no list of nodes")
    nodes = content["nodes"]
    for number, node in enumerate(nodes):
        attributes = node.get("attrs", {}) if isinstance(node, dict) else None
        if not isinstance(attributes, dict) or not all(isinstance(node.get(key), str) for key in ("op", "name")):
            raise ValueError(f"node {number} is not one")
        if not all(isinstance(value, str) for value in attributes.values()):
            raise ValueError(f"node {number} has attributes that are no texts")
        _check_references(node.get("inputs"), number, f"inputs of node {number}")
    _check_references(content.get("heads"), len(nodes), "heads")
    arguments = content.get("arg_nodes")
    if not isinstance(arguments, list):
        raise ValueError("arg_nodes: no list")
    _check_references([[index, 0, 0] for index in arguments], len(nodes), "arg_nodes")
    return nodes


def _check_references(references: Any, end: int, what: str) -> None:
    """Refuse references that are not [node below `end`, small number of its output, version]."""
    if not isinstance(references, list):
        raise ValueError(f"{what}: no list")
    for reference in references:
        small = isinstance(reference, list) and all(type(part) is int and 0 <= part < 1 << 16 for part in reference)
        if not small or len(reference) not in (2, 3) or reference[0] >= end:
            raise ValueError(f"{what}: {str(reference)[:80]}")


def _fixed_scales(nodes: list[dict[str, Any]]) -> list[str]:
    """Names of the scales that batch normalisation takes as 1."""
    fixed = [n for n in nodes if n["op"] == "BatchNorm" and n.get("attrs", {}).get("fix_gamma", "True") == "True"]
    return [nodes[node["inputs"][1][0]]["name"] for node in fixed]
