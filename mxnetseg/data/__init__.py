"""Data sets, joint transforms and loaders; nothing here imports mxnet, so worker processes stay light."""

from .base import IGNORE, Sample, SegmentationDataset, build_dataset
from .loader import Batch, TrainLoader
from .presets import build_transform
from .reader import EvalLoader, Example
from .synthetic import generate_synthetic
from .transforms import TrainTransform, ValTransform, normalize

__all__ = [
    "IGNORE",
    "Batch",
    "EvalLoader",
    "Example",
    "Sample",
    "SegmentationDataset",
    "TrainLoader",
    "TrainTransform",
    "ValTransform",
    "build_dataset",
    "build_transform",
    "generate_synthetic",
    "normalize",
]
