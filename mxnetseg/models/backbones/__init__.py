"""Backbones: each returns the feature maps c1, c2, c3, c4."""

from .base import Backbone, build_backbone

__all__ = ["Backbone", "build_backbone"]
