"""Progressive refinement of MagNet (Huynh et al., CVPR 2021): a coarse view of the image, refined scale by scale."""

from .learner import RefinementLearner
from .modules import load_modules, load_refinement
from .predictor import LabelsAt, Observer, ProgressivePredictor
from .stage import Stage

__all__ = [
    "LabelsAt",
    "Observer",
    "ProgressivePredictor",
    "RefinementLearner",
    "Stage",
    "load_modules",
    "load_refinement",
]
