"""Raw mask values to training ids, with every value checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from ..errors import DataError

__all__ = ["IGNORE", "LabelMap", "class_names", "identity", "shifted"]

IGNORE = -1
_INVALID = -2


def class_names(text: str) -> tuple[str, ...]:
    """Names separated by semicolons; line breaks count as blanks."""
    return tuple(" ".join(text.split()).split("; "))


def identity(classes: int, *void: int) -> dict[int, int]:
    """Id map of masks that hold training ids; the values `void` are ignored."""
    return {**dict.fromkeys(void, IGNORE), **{i: i for i in range(classes)}}


def shifted(classes: int, *void: int) -> dict[int, int]:
    """Id map of masks whose classes start at 1; 0 and the values `void` are ignored."""
    return {0: IGNORE, **dict.fromkeys(void, IGNORE), **{i + 1: i for i in range(classes)}}


class LabelMap:
    """Table from the values of mask files to training ids.

    Parameters
    ----------
    table : mapping of int to int
        Raw value -> training id or ``IGNORE``. Values that are not in it are errors.
    num_classes : int
    """

    def __init__(self, table: Mapping[int, int], num_classes: int):
        self.table, self.num_classes = dict(table), num_classes
        size = 256 if max(self.table) < 256 else 65536
        self._lookup = np.full(size, _INVALID, np.int32)
        for raw, label in self.table.items():
            if raw >= 0:
                self._lookup[raw] = label
        self._compact = self._lookup.astype(np.int8 if num_classes < 128 else np.int16)

    def apply(self, raw: np.ndarray, source: object, *, compact: bool = False) -> np.ndarray:
        """Training ids of a mask.

        Parameters
        ----------
        raw : uint8 or uint16 array (H, W)
        source : object
            What to name in an error, usually the file.
        compact : bool
            Use the smallest type, for intermediate results.

        Returns
        -------
        int32 array (H, W), or int8 or int16 if `compact`

        Raises
        ------
        DataError
            If a value is not in the table; names the values and the likely reason.
        """
        lookup = self._compact if compact else self._lookup
        if raw.dtype == np.uint8 and len(lookup) == 256:
            label = cv2.LUT(raw, lookup)
        else:
            label = lookup[np.minimum(raw, len(lookup) - 1)]
            label[raw >= len(lookup)] = _INVALID
        if label.min(initial=0) == _INVALID:
            self._refuse(raw, label == _INVALID, source)
        return label

    def _refuse(self, raw: np.ndarray, invalid: np.ndarray, source: object) -> None:
        values, counts = np.unique(raw[invalid], return_counts=True)
        shown = ", ".join(f"{v} ({c} px)" for v, c in zip(values[:8], counts[:8], strict=True))
        more = f" and {len(values) - 8} further values" if len(values) > 8 else ""
        void = [v for v, label in self.table.items() if label == IGNORE and v >= 0]
        ids = [v for v, label in self.table.items() if label != IGNORE]
        raise DataError(
            f"{source}: label values outside the {self.num_classes} classes: {shown}{more}",
            f"class ids {_span(ids)}" + (f", void {_span(void)}" if void else ", no void value"),
            _likely_reason(set(np.unique(raw).tolist()), set(values.tolist()), self.num_classes, set(self.table)),
        )

    def inverse(self) -> np.ndarray:
        """uint8 or uint16 table (K,) from training id to the (smallest) raw id, as masks store it."""
        raw_of = {label: raw for raw, label in sorted(self.table.items(), reverse=True) if label != IGNORE}
        dtype = np.uint8 if max(raw_of.values()) < 256 else np.uint16
        return np.array([raw_of.get(label, 0) for label in range(self.num_classes)], dtype)


def _span(values: Iterable[int]) -> str:
    """``0-18, 255`` for a set of integers."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def _likely_reason(found: set[int], invalid: set[int], classes: int, known: set[int]) -> str:
    """What usually produces such values, and what to do about it."""
    return _stretched(found, classes) or _misnumbered(found, invalid, classes, known)


def _stretched(found: set[int], classes: int) -> str:
    """Remedy for ids that were multiplied to make them visible."""
    if classes > 2 and len(found) > 2:
        step = 255 // (classes - 1)
        if step > 1 and all(v % step == 0 and v // step < classes for v in found):
            return f"ids stretched to grey levels to make them visible: divide the masks by {step}"
    if max(found) > 255 and all(v % 257 == 0 for v in found):
        return "8-bit ids stretched to 16 bits: divide the masks by 257"
    return ""


def _misnumbered(found: set[int], invalid: set[int], classes: int, known: set[int]) -> str:
    """Remedy for other numbers than the classes'."""
    if found <= {0, 255} and classes <= 2:
        return "a 0/255 mask: write the foreground as 1, or map 255 to class 1"
    if invalid == {65535}:
        return "65535 is -1 in 16 bits, usually void: add it to the ignored values of the data set"
    if invalid == {255}:
        return "255 usually marks void: add it to the ignored values of the data set"
    if invalid == {classes} and 0 not in found:
        return "labels seem to start at 1: subtract 1, or give an id map (raw id -> class)"
    if invalid == {classes}:
        return f"{classes} may be the void value (ignore it), or one class is missing in the list of classes"
    if max(invalid) >= 1000 and all(v // 1000 in known for v in invalid if v >= 1000):
        return "instance ids (class * 1000 + number): use the masks of class ids, or divide by 1000"
    if len(found) > max(32, 2 * classes):
        return "so many values look like a photograph, a colour mask turned to grey, or a mask saved as JPEG"
    return "use masks of class ids (not colours or instances), or give an id map (raw id -> class)"
