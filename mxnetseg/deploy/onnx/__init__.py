"""Networks as ONNX files."""

from .files import OnnxOptions, Parity, export_onnx

__all__ = ["OnnxOptions", "Parity", "export_onnx"]
