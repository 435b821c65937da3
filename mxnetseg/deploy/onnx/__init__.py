"""Networks as ONNX files."""

from .files import OnnxOptions, Parity, export_onnx
from .reduce import reduce_onnx

__all__ = ["OnnxOptions", "Parity", "export_onnx", "reduce_onnx"]
