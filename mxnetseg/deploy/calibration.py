"""Real images to calibrate low precision with, and others to judge it by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mxnet as mx
import numpy as np

from ..config import load_config
from ..data import SegmentationDataset, build_dataset
from ..engine.forward import Forward
from ..engine.lookup import refuse_other_classes
from ..errors import DataError
from ..registry import DATASETS
from ..tools.media import collect, read_picture

__all__ = ["LIMIT", "CalibrationImages", "calibration_images", "whole_image"]

# At most so many images to calibrate with, and so many to judge by.
LIMIT = 64
_MAX_PIXELS = 60_000_000

Example = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class CalibrationImages:
    """Images that are read when they are needed.

    Attributes
    ----------
    calibrate : sequence of callable
        Each returns an image to calibrate with, RGB, uint8 (H, W, 3).
    held_out : sequence of callable
        Each returns an image to judge by, and its label, int (H, W), -1 where unlabelled, or None.
    classes : int
        Number of classes of the labels.
    source : str
        Where the images to judge by come from, in words.
    """

    calibrate: Sequence[Callable[[], np.ndarray]]
    held_out: Sequence[Callable[[], Example]]
    classes: int
    source: str

    def one_size(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """Images to calibrate with, at this height and width, or those of the first one."""
        for read in self.calibrate:
            image = read()
            size = size or image.shape[:2]
            same = image.shape[:2] == size
            yield image if same else cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def calibration_images(
    source: str, meta: dict[str, Any], root: str | None = None, limit: int = LIMIT
) -> CalibrationImages:
    """Images of a folder, every fourth held out; or of a data set: training part, and validation part with labels.

    Parameters
    ----------
    source : str
        Folder, or name of a data set.
    meta : dict
        Metadata of the checkpoint: its classes, and the configuration of its data.
    root : str, optional
        Folder of the data set; the checkpoint's own, or the usual one, when empty.
    limit : int
        Largest number of images of either kind, evenly spread.

    Raises
    ------
    DataError
        If there are too few images.
    ConfigError
        If the data set has other classes than the checkpoint.
    NameNotFoundError
        If there is neither such a folder nor such a data set.
    """
    if Path(source).is_dir():
        return _of_folder(Path(source), len(meta.get("classes") or ()), limit)
    values = dict((meta.get("config") or {}).get("data") or {})
    name = DATASETS.entry(source).name
    if values.get("name") != name:
        values = {"name": name}
    config = load_config({"data": values | ({"root": root} if root else {})}).data
    train, val = (build_dataset(config, split) for split in (config.train_split, config.val_split))
    refuse_other_classes("the checkpoint", meta, val)
    return CalibrationImages(
        [_reader(train, index) for index in _spread(range(len(train)), limit)],
        [_pair(val, index) for index in _spread(range(len(val)), limit)],
        val.num_classes,
        f"{val.name} {val.split}",
    )


def whole_image(image: np.ndarray, mean: Sequence[float], std: Sequence[float], **sizes: int) -> np.ndarray:
    """Normalised float32 batch (1, 3, H, W) of one image; `sizes` are ``divisor`` and ``min_size`` of the network."""
    height, width = image.shape[:2]
    rows, columns = slice(0, height), slice(0, width)
    forward = Forward(None, mx.cpu(), mean, std, **sizes)
    return forward.windows(image, [((rows, rows), (columns, columns))], (height, width))


def _of_folder(folder: Path, classes: int, limit: int) -> CalibrationImages:
    files = [item.path for item in collect([folder]) if not item.is_video]
    if len(files) < 4:
        raise DataError(f"{len(files)} images in {folder}", "4 or more: three of four calibrate, the fourth judges")
    calibrate = [path for i, path in enumerate(files) if i % 4 != 3]
    return CalibrationImages(
        [_picture(path) for path in _spread(calibrate, limit)],
        [_unlabelled(path) for path in _spread(files[3::4], limit)],
        classes,
        f"{folder}, every fourth",
    )


def _spread(items: Sequence[Any], limit: int) -> list[Any]:
    """At most `limit` items, evenly spread."""
    count = min(len(items), limit)
    return [items[i * len(items) // count] for i in range(count)]


def _reader(dataset: SegmentationDataset, index: int) -> Callable[[], np.ndarray]:
    return lambda: dataset.read_image(index)


def _pair(dataset: SegmentationDataset, index: int) -> Callable[[], Example]:
    return lambda: dataset.read(index)


def _picture(path: Path) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        try:
            return read_picture(path, _MAX_PIXELS)
        except DataError as error:
            raise DataError(f"{path}: {error.found}", error.expected or "images only", error.remedy) from error

    return read


def _unlabelled(path: Path) -> Callable[[], Example]:
    read = _picture(path)
    return lambda: (read(), None)
