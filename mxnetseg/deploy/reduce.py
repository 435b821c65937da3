"""A symbol of lower precision beside the one in float32, if it is faster and loses little."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mxnet as mx
from mxnet import gluon

from ..config import EvalConfig
from ..engine.inference import Predictor
from ..errors import ConfigError
from ..tools.machine import cpu_name
from .calibration import CalibrationImages, whole_image
from .exported import SYMBOL_SUFFIX, ExportedNetwork
from .judgement import Judgement, Say, Segment, first_that_holds
from .low_precision import LowPrecision, bf16_symbol, fused_convolutions, int8_symbol
from .symbol import ExportedFiles, verify_symbol

__all__ = ["reduce_symbol", "symbol_block"]

Sizes = list[tuple[int, int]]


def reduce_symbol(
    files: ExportedFiles, precision: str, images: CalibrationImages, sizes: Sizes, say: Say
) -> ExportedFiles | None:
    """Write symbol, parameters and metadata in lower precision beside those in float32, if they are worth having.

    Parameters
    ----------
    files : dict of str to Path
        What :func:`.symbol.export_symbol` wrote.
    precision : {"int8", "bf16"}
        Wanted precision; part of the names of the files.
    images : CalibrationImages
        What to calibrate with, and to judge by.
    sizes : list of (int, int)
        Input sizes (height, width) at which the files are compared with what was judged.
    say : callable
        Told the figures of every attempt.

    Returns
    -------
    dict of str to Path, or None
        None if the precision is slower or loses too much.

    Raises
    ------
    ConfigError
        If MXNet cannot convert the network, or the processor cannot run the result.
    CheckpointError
        If the files, reloaded, do not compute the same.
    """
    network = ExportedNetwork(files["symbol"], mx.cpu())
    symbol, params = mx.sym.load(str(files["symbol"])), _plain_names(mx.nd.load(str(files["params"])))

    names = fused_convolutions(symbol)
    # bf16 rounds everything alike: there is nothing to leave out.
    count = len(names) if precision == "int8" else 0

    def make(first: int, last: int) -> tuple[LowPrecision, Segment]:
        excluded = names[:first] + names[len(names) - last :]
        made = _converted(symbol, params, precision, network, images, excluded)
        return made, _runnable(_segment(network, symbol_block(*made)), precision)

    found = first_that_holds(make, count, _segment(network, network.inference), images, say)
    if found is None:
        return None
    return _publish(files, precision, *found, sizes)


def symbol_block(symbol: mx.sym.Symbol, params: dict[str, mx.nd.NDArray]) -> gluon.SymbolBlock:
    """Network of a symbol with one input, ``data``, and its parameters, on the CPU."""
    block = gluon.SymbolBlock(symbol, mx.sym.var("data", dtype="float32"))
    block.collect_params().load_dict(params, mx.cpu(), cast_dtype=True, dtype_source="saved")
    return block


def _converted(
    symbol: mx.sym.Symbol,
    params: dict[str, mx.nd.NDArray],
    precision: str,
    network: ExportedNetwork,
    images: CalibrationImages,
    excluded: list[str],
) -> LowPrecision:
    if precision == "bf16":
        return bf16_symbol(symbol, params)
    facts = _input_facts(network)
    batches = (whole_image(image, **facts) for image in images.one_size())
    return int8_symbol(symbol, params, batches, excluded)


def _input_facts(network: ExportedNetwork) -> dict[str, Any]:
    return {key: network.meta[key] for key in ("mean", "std")} | {
        key: getattr(network, key) for key in ("divisor", "min_size")
    }


def _segment(network: ExportedNetwork, block: gluon.SymbolBlock) -> Segment:
    return Predictor(block, EvalConfig(protocol="whole"), (1, 1), mx.cpu(), **_input_facts(network)).labels


def _runnable(segment: Segment, precision: str) -> Segment:
    """The same, with an explanation where the processor lacks what the precision needs."""

    def run(image: Any) -> Any:
        try:
            return segment(image)
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            needs = "bf16 needs AVX-512 (and is fast with AVX512-BF16)" if precision == "bf16" else "int8 by oneDNN"
            raise ConfigError(
                f"{precision} does not run on this processor ({cpu_name()}): {reason}", needs, "use another precision"
            ) from error

    return run


def _publish(
    files: ExportedFiles, precision: str, made: LowPrecision, judgement: Judgement, sizes: Sizes
) -> ExportedFiles:
    """Save, compare with what was judged, then move into place."""
    stem = f"{files['symbol'].name.removesuffix(SYMBOL_SUFFIX)}_{precision}"
    names = {"symbol": f"{stem}{SYMBOL_SUFFIX}", "params": f"{stem}-0000.params", "meta": f"{stem}-meta.json"}
    out = files["symbol"].parent
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-", suffix=".tmp") as folder:
        places = {kind: Path(folder) / name for kind, name in names.items()}
        symbol, params = made
        symbol.save(str(places["symbol"]), remove_amp_cast=False)
        states = set(symbol.list_auxiliary_states())
        mx.nd.save(str(places["params"]), {f"{'aux' if n in states else 'arg'}:{n}": v for n, v in params.items()})
        error = verify_symbol(SimpleNamespace(predict=symbol_block(*made)), places, sizes)
        meta = json.loads(files["meta"].read_text())
        digests = {places[k].name: hashlib.sha256(places[k].read_bytes()).hexdigest() for k in ("symbol", "params")}
        meta |= {"precision": {"name": precision, **judgement.as_dict()}, "files": digests, "max_relative_error": error}
        places["meta"].write_text(json.dumps(meta, indent=1))
        for place in places.values():
            os.replace(place, out / place.name)
    return {kind: out / name for kind, name in names.items()}


def _plain_names(saved: dict[str, mx.nd.NDArray]) -> dict[str, mx.nd.NDArray]:
    """Without ``arg:`` and ``aux:``."""
    return {name.partition(":")[2]: value for name, value in saved.items()}
