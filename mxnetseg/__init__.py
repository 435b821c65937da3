"""Semantic segmentation on MXNet Gluon: models, data, training, evaluation and deployment."""

from . import compat

__version__ = "0.1.0"

compat.prepare()
