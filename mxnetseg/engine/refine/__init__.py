"""Progressive refinement of MagNet (Huynh et al., CVPR 2021): a coarse view of the image, refined scale by scale."""

from .modules import load_refinement
from .predictor import ProgressivePredictor
from .stage import Stage

__all__ = ["ProgressivePredictor", "Stage", "load_refinement"]
