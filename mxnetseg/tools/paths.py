"""Ways to run a network, for measurements: each is one function that makes a :class:`Runner`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError

__all__ = ["PATHS", "RUNTIMES", "Runner", "bf16", "folded", "hybridized", "int8", "plain"]


@dataclass(frozen=True)
class Runner:
    """A network with its input in place.

    Attributes
    ----------
    start : callable
        Begins one pass; may return before it is done.
    wait : callable
        Returns when all passes that were begun are done.
    """

    start: Callable[[], Any]
    wait: Callable[[], None]


def plain(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """MXNet, operator by operator.

    Raises
    ------
    ConfigError
        If the network is an exported symbol, which has no such form.
    """
    from mxnet import gluon

    if isinstance(model.inference, gluon.SymbolBlock):
        raise ConfigError("path plain for an exported symbol, which is one graph", "path hybridized")
    network = _network(model, aux)
    network.hybridize(False)
    return _mxnet_runner(network, batch, ctx)


def hybridized(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """MXNet, one graph with static memory."""
    network = _network(model, aux)
    network.hybridize(static_alloc=True, static_shape=True)
    return _mxnet_runner(network, batch, ctx)


def folded(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """The same with batch normalisation inside the convolutions, as `predict` runs it.

    Raises
    ------
    ConfigError
        If auxiliary heads are asked for, or the network is an exported symbol.
    """
    from ..deploy.fold import folded_network

    _check_exportable(model, aux, "folded")
    network = folded_network(model, ctx)
    network.hybridize(static_alloc=True, static_shape=True)
    return _mxnet_runner(network, batch, ctx)


def int8(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """MXNet, convolutions in 8-bit integers (oneDNN), scaled by this input alone: for speed, not for accuracy.

    Raises
    ------
    ConfigError
        As for :func:`folded`, and if MXNet cannot quantize the network.
    """
    from ..deploy.low_precision import int8_symbol

    return _low_precision(model, batch, ctx, aux, "int8", lambda *graph: int8_symbol(*graph, batch[:, None]))


def bf16(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
    """MXNet, convolutions in bfloat16 (oneDNN).

    Raises
    ------
    ConfigError
        As for :func:`folded`, and if MXNet cannot convert the network or the processor cannot run it.
    """
    from ..deploy.low_precision import bf16_symbol

    return _low_precision(model, batch, ctx, aux, "bf16", bf16_symbol)


def _low_precision(model: Any, batch: np.ndarray, ctx: Any, aux: bool, name: str, convert: Callable) -> Runner:
    import mxnet as mx

    from ..deploy.fold import model_graph
    from ..deploy.reduce import symbol_block

    _check_exportable(model, aux, name)
    if ctx.device_type != "cpu":
        raise ConfigError(f"path {name} on {ctx}", "a CPU (--ctx cpu)")
    graph = model_graph(model)
    network = symbol_block(*convert(graph.symbol(), {n: mx.nd.array(v) for n, v in graph.params.items()}))
    network.hybridize(static_alloc=True, static_shape=True)
    runner = _mxnet_runner(network, batch, ctx)
    try:
        runner.start().wait_to_read()
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConfigError(f"{name} does not run on this processor: {reason}", "another path") from error
    return runner


def _onnx(precision: str) -> Callable[[Any, np.ndarray, Any, bool], Runner]:
    """ONNX Runtime."""

    def run(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
        from .foreign import onnx_file, onnx_runtime_pass

        _check_exportable(model, aux, "onnxruntime")
        return Runner(onnx_runtime_pass(onnx_file(model, batch, precision), batch), _nothing_to_wait_for)

    return run


def _openvino(precision: str) -> Callable[[Any, np.ndarray, Any, bool], Runner]:
    """OpenVINO on ONNX files; bf16 is its own, of the file in float32."""

    def run(model: Any, batch: np.ndarray, ctx: Any, aux: bool) -> Runner:
        from .foreign import onnx_file, openvino_pass

        _check_exportable(model, aux, "openvino")
        file = onnx_file(model, batch, "int8" if precision == "int8" else "fp32")
        return Runner(openvino_pass(file, batch, precision), _nothing_to_wait_for)

    return run


# Each takes a model, images (N, 3, H, W) of float32, a context, and whether auxiliary heads are run.
PATHS: dict[str, Callable[[Any, np.ndarray, Any, bool], Runner]] = {
    "plain": plain,
    "hybridized": hybridized,
    "folded": folded,
    "bf16": bf16,
    "int8": int8,
    "onnxruntime": _onnx("fp32"),
    "onnxruntime-int8": _onnx("int8"),
    "openvino": _openvino("fp32"),
    "openvino-bf16": _openvino("bf16"),
    "openvino-int8": _openvino("int8"),
}

# Packages that the paths beginning with their names need beside MXNet.
RUNTIMES = ("onnxruntime", "openvino")


def _nothing_to_wait_for() -> None:
    """Passes of other runtimes return when they are done."""


def _network(model: Any, aux: bool) -> Any:
    """Network with all heads, or with what inference needs."""
    return model if aux else model.inference


def _check_exportable(model: Any, aux: bool, path: str) -> None:
    from mxnet import gluon

    if aux:
        raise ConfigError(f"--aux with path {path}", "the main scores, which alone are exported", "leave --aux away")
    if isinstance(model.inference, gluon.SymbolBlock):
        raise ConfigError(f"path {path} for an exported symbol", "a model or a checkpoint")


def _mxnet_runner(network: Any, batch: np.ndarray, ctx: Any) -> Runner:
    import mxnet as mx

    x = mx.nd.array(batch, ctx=ctx)
    return Runner(lambda: network(x), mx.nd.waitall)
