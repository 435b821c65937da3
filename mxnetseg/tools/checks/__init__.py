"""What can be wrong with a data set, found without training on it."""

from .balance import WEIGHTINGS, class_weights
from .findings import KINDS, Finding
from .report import Report
from .whole import check_splits

__all__ = ["KINDS", "WEIGHTINGS", "Finding", "Report", "check_splits", "class_weights"]
