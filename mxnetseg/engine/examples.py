"""The best and the worst images of an evaluation, kept small, as files beside a run's log."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..metrics import ConfusionMatrix
from .atomic import replace_file

if TYPE_CHECKING:
    from ..data import Example

__all__ = ["ExampleKeeper", "Kept", "read_examples"]

SIDE = 640  # longest side of what is kept, in pixels
_INDEX = "examples.json"


@dataclass(frozen=True)
class Kept:
    """One image.

    Attributes
    ----------
    name : str
    kind : {"worst", "best", "some"}
        ``some`` where there are no labels to score with.
    score : float or None
        mIoU over the classes in its label or prediction.
    image : ndarray of uint8, (h, w, 3)
    label : ndarray of int32, (h, w), optional
        -1 where nothing is labelled.
    prediction : ndarray of int32, (h, w)
    """

    name: str
    kind: str
    score: float | None
    image: np.ndarray
    label: np.ndarray | None
    prediction: np.ndarray


class ExampleKeeper:
    """Looks at every image of an evaluation and keeps the best and the worst ones.

    Parameters
    ----------
    classes : sequence of str
    palette : ndarray of uint8, (K, 3)
    count : int
        Images of either kind.
    """

    def __init__(self, classes: Sequence[str], palette: np.ndarray, count: int = 3):
        self.classes, self.palette, self.count = list(classes), np.asarray(palette), count
        self._kept: dict[str, list[Kept]] = {"worst": [], "best": [], "some": []}

    def __call__(self, example: Example, labels: np.ndarray) -> None:
        """Take an example and its prediction, class indices (H, W)."""
        score = self._score(example, labels)
        places = ["some"] if score is None else [kind for kind in ("worst", "best") if self._wanted(kind, score)]
        for kind in places:
            self._kept[kind].append(_shrunk(example, kind, score, labels))
            self._kept[kind].sort(key=lambda kept: (kept.score or 0) * (1 if kind == "worst" else -1))
            del self._kept[kind][self.count :]

    def _score(self, example: Example, labels: np.ndarray) -> float | None:
        if example.label is None:
            return None
        counts = ConfusionMatrix(len(self.classes))
        counts.update(example.label, labels)
        return None if math.isnan(counts.miou) else counts.miou

    def _wanted(self, kind: str, score: float) -> bool:
        kept = self._kept[kind]
        return len(kept) < self.count or (score < kept[-1].score if kind == "worst" else score > kept[-1].score)

    def chosen(self) -> list[Kept]:
        """The worst first, then the best; none twice."""
        worst = {kept.name for kept in self._kept["worst"]}
        best = [kept for kept in self._kept["best"] if kept.name not in worst]
        return [*self._kept["worst"], *best, *self._kept["some"]]

    def write(self, folder: Path) -> None:
        """Replace the content of a folder by what was kept."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        entries = []
        for number, kept in enumerate(self.chosen()):
            _write(folder / f"{number}_image.jpg", kept.image[..., ::-1])
            _write(folder / f"{number}_prediction.png", kept.prediction.astype(np.uint16))
            if kept.label is not None:
                _write(folder / f"{number}_label.png", (kept.label + 1).astype(np.uint16))
            entries.append({"name": kept.name, "kind": kept.kind, "mIoU": kept.score})
        index = {"classes": self.classes, "palette": self.palette.tolist(), "images": entries}
        replace_file(folder / _INDEX, json.dumps(index).encode())


def _shrunk(example: Example, kind: str, score: float | None, labels: np.ndarray) -> Kept:
    height, width = labels.shape
    factor = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    label = None if example.label is None else _nearest(example.label, size)
    image = cv2.resize(example.image, size, interpolation=cv2.INTER_AREA)
    return Kept(example.name, kind, score, image, label, _nearest(labels, size))


def _nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)


def _write(path: Path, picture: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


def read_examples(folder: Path) -> tuple[list[Kept], list[tuple[str, tuple[int, int, int]]]]:
    """What :meth:`ExampleKeeper.write` wrote: images, and (name, colour) of the classes; empty without such files."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except OSError:
        return [], []
    return list(_read(folder, index["images"])), list(zip(index["classes"], map(tuple, index["palette"]), strict=True))


def _read(folder: Path, entries: Sequence[dict]) -> Iterator[Kept]:
    for number, entry in enumerate(entries):
        image = cv2.imread(str(folder / f"{number}_image.jpg"))[..., ::-1]
        path = folder / f"{number}_label.png"
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int32) - 1 if path.is_file() else None
        prediction = cv2.imread(str(folder / f"{number}_prediction.png"), cv2.IMREAD_UNCHANGED).astype(np.int32)
        yield Kept(entry["name"], entry["kind"], entry["mIoU"], image, label, prediction)
