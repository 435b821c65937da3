"""Segmentation metrics from one integer confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from .errors import DataError

__all__ = ["ConfusionMatrix"]

# cv2.calcHist returns float32 counts, exact up to 2**24; larger images are counted in pieces.
_PIECE = 1 << 20


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b as float64, NaN where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) != 0)


class ConfusionMatrix:
    """Counts of (label, prediction) pairs and every metric derived from them.

    Pixels labelled -1 are ignored, whatever is predicted there. Counting is exact (int64), so the result
    does not depend on the order of the images nor on how they were dealt to devices.

    Parameters
    ----------
    num_classes : int
        Number of classes K, at most 32767.
    left_out : sequence of int
        Classes that the means over classes do not count; their pixels still count in every other class's figures.

    Attributes
    ----------
    counts : ndarray of int64, (K, K)
        Row = label, column = prediction.

    Notes
    -----
    Present classes are those that occur in the labels or in the predictions (union > 0), as in mmsegmentation.
    GluonCV, and hence MXNetSeg, averages over all classes and lets absent ones count 0: `miou_all`.
    """

    def __init__(self, num_classes: int, left_out: Sequence[int] = ()):
        self.num_classes = int(num_classes)
        self.left_out = tuple(left_out)
        self.counts = np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, label: np.ndarray, prediction: np.ndarray) -> None:
        """Count one image or a batch.

        Parameters
        ----------
        label : ndarray of int, (H, W) or (N, H, W)
            Classes 0..K-1, or -1 where unlabelled.
        prediction : ndarray of int, same shape
            Classes 0..K-1.

        Raises
        ------
        DataError
            If the shapes differ, or a value is out of range (nothing is counted then).
        """
        label, prediction = np.asarray(label), np.asarray(prediction)
        if label.shape != prediction.shape:
            raise DataError(f"label {label.shape} and prediction {prediction.shape} differ in shape", "equal shapes")
        if not label.size:
            return
        self._check("label", label, -1)
        self._check("prediction", prediction, 0)
        self.counts += self._count(label.ravel(), prediction.ravel())

    def _check(self, what: str, values: np.ndarray, low: int) -> None:
        if values.dtype.kind not in "iu":
            raise DataError(f"{what} holds {values.dtype} values", "integers")
        if int(values.min()) < low or int(values.max()) >= self.num_classes:
            wrong = np.unique(values[(values < low) | (values >= self.num_classes)])
            listed = ", ".join(map(str, wrong[:8])) + (", ..." if len(wrong) > 8 else "")
            raise DataError(
                f"{what} holds {listed}",
                f"classes 0..{self.num_classes - 1}" + (" or -1 (ignored)" if low < 0 else ""),
                "check the number of classes and the label map of the data set",
            )

    def _count(self, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Histogram of the fused codes (label + 1) * K + prediction without the row of ignored pixels."""
        k = self.num_classes
        bins = (k + 1) * k
        if bins > 1 << 16:
            codes = (label.astype(np.int64) + 1) * k + prediction
            return np.bincount(codes, minlength=bins).reshape(k + 1, k)[1:]
        tables = 2 if 2 * bins <= 1 << 16 else 1
        total = np.zeros(tables * bins, np.int64)
        for start in range(0, label.size, _PIECE):
            codes = label[start : start + _PIECE].astype(np.uint16)
            codes += np.uint16(1)
            codes *= np.uint16(k)
            codes += prediction[start : start + _PIECE].astype(np.uint16, copy=False)
            if tables == 2:
                # Neighbours, mostly equal, go to two tables: a counter just written keeps the next one waiting.
                pairs = codes[: codes.size // 2 * 2].view(np.uint32)
                pairs += np.uint32(bins << 16)
            # 16-bit codes and OpenCV's counting: a third of the time of np.bincount on int64.
            counts = cv2.calcHist([codes.reshape(1, -1)], [0], None, [total.size], [0, total.size])
            total += counts.ravel().astype(np.int64)
        return total.reshape(tables, k + 1, k).sum(axis=0)[1:]

    def merge(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Add the counts of another matrix (in place) and return self.

        Raises
        ------
        DataError
            If the numbers of classes differ.
        """
        if other.num_classes != self.num_classes:
            raise DataError(f"cannot merge matrices of {self.num_classes} and {other.num_classes} classes")
        self.counts += other.counts
        return self

    @property
    def pixels(self) -> int:
        """Labelled pixels counted so far."""
        return int(self.counts.sum())

    @property
    def intersection(self) -> np.ndarray:
        """Correct pixels per class, int64 (K,)."""
        return self.counts.diagonal().copy()

    @property
    def union(self) -> np.ndarray:
        """Pixels that carry the class in label or prediction, int64 (K,)."""
        return self.support + self.predicted - self.intersection

    @property
    def support(self) -> np.ndarray:
        """Labelled pixels per class, int64 (K,)."""
        return self.counts.sum(axis=1)

    @property
    def predicted(self) -> np.ndarray:
        """Predicted pixels per class (where labelled), int64 (K,)."""
        return self.counts.sum(axis=0)

    @property
    def pixel_accuracy(self) -> float:
        """Correct share of the labelled pixels; NaN before any was counted."""
        return float(_divide(self.intersection.sum(), self.pixels))

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union per class (K,); NaN for a class absent from labels and predictions."""
        return _divide(self.intersection, self.union)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes present in labels or predictions."""
        return self._mean(self.iou)

    @property
    def miou_all(self) -> float:
        """Mean IoU over all classes, absent ones counting 0 (GluonCV, MXNetSeg, semseg, MagNet)."""
        return self._mean(np.nan_to_num(self.iou)) if self.pixels else float("nan")

    @property
    def class_accuracy(self) -> np.ndarray:
        """Recall per class (K,); NaN for a class without labelled pixels."""
        return _divide(self.intersection, self.support)

    @property
    def mean_accuracy(self) -> float:
        """Mean of `class_accuracy` over the labelled classes."""
        return self._mean(self.class_accuracy)

    @property
    def precision(self) -> np.ndarray:
        """Correct share of the pixels predicted as the class (K,); NaN for a class never predicted."""
        return _divide(self.intersection, self.predicted)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall per class (K,); NaN where one of them is, or both are 0 (mmseg)."""
        precision, recall = self.precision, self.class_accuracy
        return _divide(2 * precision * recall, precision + recall)

    @property
    def dice(self) -> np.ndarray:
        """2 * intersection / (support + predicted) per class (K,); NaN for a class absent from both."""
        return _divide(2 * self.intersection, self.support + self.predicted)

    @property
    def fwiou(self) -> float:
        """IoU weighted by the frequency of the class in the labels."""
        return float(_divide((np.nan_to_num(self.iou) * self.support).sum(), self.pixels))

    def _mean(self, values: np.ndarray) -> float:
        """Mean over the classes whose value is known and that are not left out; NaN when there are none."""
        kept = np.delete(values, self.left_out)
        known = kept[~np.isnan(kept)]
        return float(known.mean()) if known.size else float("nan")

    def summary(self) -> dict[str, float]:
        """Scalar metrics by their usual names: PA, mIoU, mIoU_all, mAcc, FWIoU, mDice, mFscore, mPrecision."""
        return {
            "PA": self.pixel_accuracy,
            "mIoU": self.miou,
            "mIoU_all": self.miou_all,
            "mAcc": self.mean_accuracy,
            "FWIoU": self.fwiou,
            "mDice": self._mean(self.dice),
            "mFscore": self._mean(self.f1),
            "mPrecision": self._mean(self.precision),
        }

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """One row per class: name, IoU, accuracy (= recall), precision, Dice (None: undefined), support in pixels."""
        columns = {"IoU": self.iou, "Acc": self.class_accuracy, "precision": self.precision, "Dice": self.dice}
        rows = []
        for i, name in enumerate(class_names):
            values = {key: None if np.isnan(v[i]) else float(v[i]) for key, v in columns.items()}
            rows.append({"class": name, **values, "support": int(self.support[i])})
        return rows

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Everything, ready for JSON: scalars, rows per class, pixels and counts (undefined values are None).

        Raises
        ------
        DataError
            If the number of names is not the number of classes.
        """
        if len(class_names) != self.num_classes:
            raise DataError(f"{len(class_names)} class names for {self.num_classes} classes")
        scalars = {key: None if np.isnan(v) else v for key, v in self.summary().items()}
        return {
            **scalars,
            "pixels": self.pixels,
            "per_class": self.per_class(class_names),
            "confusion": self.counts.tolist(),
        }
