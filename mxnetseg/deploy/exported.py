"""An exported symbol as a network of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mxnet as mx
from mxnet import gluon

from ..errors import CheckpointError, ConfigError

__all__ = ["SYMBOL_SUFFIX", "ExportedNetwork"]

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
        try:
            self.inference = gluon.SymbolBlock(mx.sym.load(str(path)), mx.sym.var("data", dtype="float32"))
            self.collect_params().load(str(params), ctx, cast_dtype=True, dtype_source="saved")
            self.meta: dict[str, Any] = json.loads(meta.read_text()) if meta.is_file() else {}
        except (mx.MXNetError, ValueError, AssertionError) as error:
            raise CheckpointError(
                f"{path} does not load: {str(error).strip().splitlines()[-1]}",
                "a symbol with one input `data`, and its parameters",
                "export it again",
            ) from error
        sizes = self.meta.get("input") or {}
        self.divisor, self.min_size = int(sizes.get("divisor", 1)), int(sizes.get("min_size", 1))
        for name in _fixed_scales(path):
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


def _fixed_scales(path: Path) -> list[str]:
    """Names of the scales that batch normalisation takes as 1."""
    nodes = json.loads(path.read_text())["nodes"]
    fixed = [n for n in nodes if n["op"] == "BatchNorm" and n.get("attrs", {}).get("fix_gamma", "True") == "True"]
    return [nodes[node["inputs"][1][0]]["name"] for node in fixed]
