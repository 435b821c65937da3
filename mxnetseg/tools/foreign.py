"""Networks in other runtimes, for measurements: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from .machine import threads

__all__ = ["onnx_file", "onnx_runtime_pass", "openvino_pass"]

Pass = Callable[[], np.ndarray]


def onnx_file(model: Any, batch: np.ndarray, precision: str) -> bytes:
    """Scores of a network for the size of a batch, as the content of an ONNX file.

    Parameters
    ----------
    model : SegmentationModel
        Network.
    batch : ndarray of float32, (N, 3, H, W)
        Normalised images; int8 is scaled by them alone: for speed, not for accuracy.
    precision : {"fp32", "int8"}
        Of its convolutions.

    Raises
    ------
    ConfigError
        If the network has no ONNX form, or cannot be quantized.
    """
    from ..deploy.onnx.files import OnnxOptions, onnx_model
    from ..deploy.onnx.int8 import quantize_onnx

    built, _, _ = onnx_model(model, OnnxOptions(size=batch.shape[2:]), {})
    if precision == "int8":
        with tempfile.TemporaryDirectory() as folder:
            built = quantize_onnx(built, [batch], Path(folder))
    return built.SerializeToString()


def onnx_runtime_pass(file: bytes, batch: np.ndarray) -> Pass:
    """Function that returns ONNX Runtime's scores of a batch, on as many threads as MXNet would use."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads()
    session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: batch}
    return lambda: session.run(None, feed)[0]


def openvino_pass(file: bytes, batch: np.ndarray, precision: str = "fp32") -> Pass:
    """Function that returns OpenVINO's scores of a batch, on as many threads as MXNet would use.

    Parameters
    ----------
    file : bytes
        Content of an ONNX file.
    batch : ndarray of float32, (N, 3, H, W)
        Normalised images.
    precision : {"fp32", "bf16", "int8"}
        bf16: what the file has in float32 is computed in it.

    Raises
    ------
    ConfigError
        If OpenVINO is not installed or refuses the network, or the processor has no bfloat16 (OpenVINO would take
        float32 without a word).
    """
    if importlib.util.find_spec("openvino") is None:
        raise ConfigError("OpenVINO is not installed", "the package openvino", "pip install openvino")
    import openvino

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        name = core.get_property("CPU", "FULL_DEVICE_NAME")
        raise ConfigError(f"OpenVINO computes in bf16 on no processor like this ({name})", "AVX512-BF16 or AMX")
    hint = "bf16" if precision == "bf16" else "f32"
    settings = {"INFERENCE_NUM_THREADS": threads(), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    try:
        compiled = core.compile_model(core.read_model(file), "CPU", settings)
    except RuntimeError as error:  # such as for DepthToSpace after a quantized concatenation, in 2026.4
        reason = next((line for line in str(error).splitlines() if "Exception from" not in line), "unknown")
        raise ConfigError(f"OpenVINO cannot run this network in {precision}: {reason}", "another path") from error
    request = compiled.create_infer_request()
    return lambda: request.infer([batch])[compiled.output(0)]
