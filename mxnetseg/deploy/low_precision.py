"""MXNet symbols of lower precision: convolutions of oneDNN in 8-bit integers, or in bfloat16."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import mxnet as mx
import numpy as np
from mxnet.contrib import amp, quantization

from ..errors import ConfigError

__all__ = ["LowPrecision", "bf16_symbol", "fused_convolutions", "int8_symbol"]

# Symbol, and its parameters by name.
LowPrecision = tuple[mx.sym.Symbol, dict[str, mx.nd.NDArray]]

_CONVOLUTION = "_sg_mkldnn_conv"
# What bfloat16 is used for; everything else follows its inputs, or stays in float32.
_BF16 = ("Convolution", "FullyConnected")


class _Images(mx.io.DataIter):
    """One image (1, 3, H, W) at a time, all of one size."""

    def __init__(self, batches: Iterable[np.ndarray]):
        super().__init__(batch_size=1)
        self._batches: Iterator[np.ndarray] = iter(batches)
        self._first = next(self._batches)
        self.provide_data = [mx.io.DataDesc("data", self._first.shape)]
        self.provide_label: list[mx.io.DataDesc] = []

    def next(self) -> mx.io.DataBatch:
        """The next image."""
        batch, self._first = self._first, None
        if batch is None:
            batch = next(self._batches, None)
        if batch is None:
            raise StopIteration
        return mx.io.DataBatch(data=[mx.nd.array(batch)], label=[])


def fused_convolutions(symbol: mx.sym.Symbol) -> list[str]:
    """Names of the convolutions, in their order, after oneDNN has taken over what follows them."""
    nodes = json.loads(symbol.get_backend_symbol("MKLDNN_QUANTIZE").tojson())["nodes"]
    return [node["name"] for node in nodes if node["op"] == _CONVOLUTION]


def int8_symbol(
    symbol: mx.sym.Symbol,
    params: dict[str, mx.nd.NDArray],
    batches: Iterable[np.ndarray],
    excluded: Iterable[str] = (),
) -> LowPrecision:
    """Symbol whose convolutions compute in 8-bit integers, weights per channel.

    Parameters
    ----------
    symbol : Symbol
        Network with one input, ``data``, and no auxiliary states (batch normalisation folded).
    params : dict of str to NDArray
        Its parameters.
    batches : iterable of ndarray
        Normalised images (1, 3, H, W) of one size, to calibrate with: smallest and largest values are taken.
    excluded : iterable of str
        Names of :func:`fused_convolutions` that stay in float32.

    Raises
    ------
    ConfigError
        If MXNet cannot quantize the network.
    """
    arguments = {name: params[name] for name in symbol.list_arguments() if name != "data"}
    states = {name: params[name] for name in symbol.list_auxiliary_states()}
    try:
        made, arguments, states = quantization.quantize_model(
            symbol.get_backend_symbol("MKLDNN_QUANTIZE"),
            arguments,
            states,
            label_names=None,
            ctx=mx.cpu(),
            excluded_sym_names=list(excluded),
            excluded_op_names=["elemwise_mul"],  # in 8 bits it refuses a map with signs by one without
            calib_mode="naive",
            calib_data=_Images(batches),
            quantized_dtype="auto",
            quantize_mode="smart",
            quantize_granularity="channel-wise",
            logger=None,
        )
        return made.get_backend_symbol("MKLDNN_QUANTIZE"), arguments | states
    except (mx.MXNetError, ValueError, KeyError) as error:
        raise ConfigError(f"MXNet cannot quantize the network: {_reason(error)}", "one that it can") from error


def bf16_symbol(symbol: mx.sym.Symbol, params: dict[str, mx.nd.NDArray]) -> LowPrecision:
    """Symbol whose convolutions and dense layers compute in bfloat16; parameters stay in float32.

    Raises
    ------
    ConfigError
        If MXNet cannot convert the network.
    """
    from mxnet.contrib.amp.amp import bfloat16

    used = {node["op"] for node in json.loads(symbol.tojson())["nodes"]}
    known = {*amp.list_lp16_ops(bfloat16), *amp.list_fp32_ops(bfloat16), *amp.list_lp16_fp32_ops(bfloat16)}
    try:
        made = amp.convert_symbol(
            symbol,
            target_dtype="bfloat16",
            target_dtype_ops=[op for op in _BF16 if op in used],
            fp32_ops=sorted(used & known - set(_BF16)),
            conditional_fp32_ops=[],
            data_names=["data"],
        )
        return made.get_backend_symbol("MKLDNN"), params
    except (mx.MXNetError, AssertionError) as error:
        raise ConfigError(f"MXNet cannot convert the network to bf16: {_reason(error)}", "one that it can") from error


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
