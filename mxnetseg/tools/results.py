"""What an evaluation leaves behind: table, JSON, pictures, submissions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .. import visual
from ..engine.atomic import replace_file
from ..errors import DataError

if TYPE_CHECKING:
    from ..data import Example, SegmentationDataset
    from ..engine.evaluator import EvalResult

__all__ = ["PanelWriter", "PredictionWriter", "format_result", "format_table", "write_result"]


def format_table(result: EvalResult) -> str:
    """Per-class table and totals, for the terminal."""
    rows = result.per_class
    width = max(len("class"), *(len(r["class"]) for r in rows))
    columns = [c for c in ("IoU", "Acc", "precision", "BIoU", "BF") if c in rows[0]]
    lines = [f"{'class':{width}}  {'  '.join(c.rjust(max(7, len(c))) for c in columns)}  {'pixels':>12}"]
    for row in rows:
        cells = [("-" if row[c] is None else f"{100 * row[c]:.2f}").rjust(max(7, len(c))) for c in columns]
        lines.append(f"{row['class']:{width}}  {'  '.join(cells)}  {row['support']:>12}")
    m = result.metrics
    totals = f"PA {100 * m['PA']:.2f}   mIoU {100 * m['mIoU']:.2f}   mAcc {100 * m['mAcc']:.2f}"
    if m["mIoU_all"] != m["mIoU"]:
        totals += f"   mIoU with absent classes as 0: {100 * m['mIoU_all']:.2f}"
    if "mBIoU" in m:
        totals += f"   mBIoU {100 * m['mBIoU']:.2f}   mBF {100 * m['mBF']:.2f}"
    totals += f"   FWIoU {100 * m['FWIoU']:.2f}   mFscore {100 * m['mFscore']:.2f}   (percent)"
    return "\n".join([*lines, "", totals])


class PredictionWriter:
    """Writes the pictures of each prediction: ``color``, ``overlay`` (mode testval) and ``submission``.

    Parameters
    ----------
    dataset : SegmentationDataset
    folder : Path
        Receives the three sub-folders; sub-folders of the data set are kept below them.
    mode : {"test", "testval"}
    submission : bool
        Write label-id files too.
    """

    def __init__(self, dataset: SegmentationDataset, folder: Path, mode: str, submission: bool):
        self.dataset, self.folder, self.mode, self.submission = dataset, folder, mode, submission

    def __call__(self, example: Example, labels: np.ndarray) -> None:
        """Write one prediction, class indices (H, W).

        Raises
        ------
        DataError
            If a submission would have a size that the benchmark's server refuses.
        """
        palette = self.dataset.palette
        visual.write_image(self.folder / "color" / f"{example.name}.png", visual.colorize(labels, palette))
        if self.mode == "testval":
            blended = visual.overlay(example.image, labels, palette)
            picture = visual.with_legend(blended, labels, self.dataset.classes, palette)
            visual.write_image(self.folder / "overlay" / f"{example.name}.png", picture)
        if self.submission:
            self._write_submission(example, labels)

    def _write_submission(self, example: Example, labels: np.ndarray) -> None:
        encoded = self.dataset.encode_prediction(labels)
        size = self.dataset.submission_size
        if size and encoded.shape != size:
            raise DataError(
                f"{example.name}: the prediction is {encoded.shape[0]}x{encoded.shape[1]}",
                f"{size[0]}x{size[1]}, the size that the benchmark's server accepts",
                "evaluate the original images",
            )
        visual.write_image(self.folder / "submission" / self.dataset.submission_name(example.index), encoded)


class PanelWriter:
    """Writes, to the sub-folder ``panels``, each image beside its label, its coarse prediction and the final one.

    What there is not is left out. Ignored pixels are black in all of them.

    Parameters
    ----------
    dataset : SegmentationDataset
    folder : Path
    height : int
        Height of the pictures in pixels.
    """

    def __init__(self, dataset: SegmentationDataset, folder: Path, height: int = 512):
        self.dataset, self.folder, self.height = dataset, folder, height
        self._coarse: np.ndarray | None = None

    def keep_coarse(self, _: Example, labels: np.ndarray) -> None:
        """Take the coarse prediction, class indices (H, W), of the image whose final one comes next."""
        self._coarse = labels

    def __call__(self, example: Example, labels: np.ndarray) -> None:
        """Write one panel; the prediction is class indices (H, W)."""
        maps = [m for m in (example.label, self._coarse, labels) if m is not None]
        pictures = [example.image, *(visual.colorize(m, self.dataset.palette) for m in maps)]
        width = max(1, round(labels.shape[1] * self.height / labels.shape[0]))
        resized = [cv2.resize(p, (width, self.height), interpolation=cv2.INTER_AREA) for p in pictures]
        if example.label is not None:
            ignored = (example.label < 0).astype(np.uint8)
            hidden = cv2.resize(ignored, (width, self.height), interpolation=cv2.INTER_NEAREST)
            for picture in resized:
                picture[hidden > 0] = 0
        visual.write_image(self.folder / "panels" / f"{example.name}.png", visual.side_by_side(resized, gap=10))
        self._coarse = None


def write_result(folder: Path, record: dict[str, Any], result: EvalResult) -> None:
    """Write ``<mode>.json`` and, where labels were scored, ``<mode>_confusion.png`` and ``<mode>_classes.png``.

    Parameters
    ----------
    folder : Path
    record : dict
        Content of the JSON file; ``mode``, ``checkpoint``, ``data``, ``split`` are used in titles.
    result : EvalResult
    """
    folder.mkdir(parents=True, exist_ok=True)
    mode = record["mode"]
    replace_file(folder / f"{mode}.json", json.dumps(record, indent=1).encode())
    if result.confusion.pixels:
        names = [row["class"] for row in result.per_class]
        title = f"{record['checkpoint']}, {record['data']} {record['split']}"
        picture = visual.confusion_picture(result.confusion.counts, names, title)
        visual.write_image(folder / f"{mode}_confusion.png", picture)
        bars = visual.class_bars(result.per_class, mean=result.metrics["mIoU"], title="IoU per class, percent")
        visual.write_image(folder / f"{mode}_classes.png", bars)


def format_result(record: dict[str, Any], result: EvalResult, folder: Path) -> str:
    """Text for the terminal: table, number of images, protocol, what was skipped, where the files are."""
    lines = [format_table(result)] if result.confusion.pixels else []
    if result.coarse and result.coarse.confusion.pixels:
        before, after = result.coarse.summary(), result.metrics
        for name in ("mIoU", "mBIoU", "mBF"):
            if name in after:
                lines.append(
                    f"coarse {name} {100 * before[name]:.2f}, refined {name} {100 * after[name]:.2f} (percent)"
                )
    lines.append(f"{record['data']} {record['split']}: {result.images} images in {result.seconds:.1f} s")
    lines.append(f"protocol: {result.protocol}")
    lines += [f"skipped {file}: {reason}" for file, reason in result.skipped]
    return "\n".join([*lines, f"files in {folder}, page: {folder / 'report.html'}"])
