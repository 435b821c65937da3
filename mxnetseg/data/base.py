"""The base class of data sets, and how a configuration becomes one."""

from __future__ import annotations

import inspect
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, DataError, suggest
from ..registry import DATASETS
from .files import Sample, list_pairs, require_files
from .images import DamagedSampleError, read_mask, read_rgb
from .labels import IGNORE, LabelMap

if TYPE_CHECKING:
    from ..config import DataConfig

__all__ = ["IGNORE", "Sample", "SegmentationDataset", "build_dataset", "dataset_root", "datasets_folder"]


class SegmentationDataset:
    """Pairs of images and masks with the names and colours of their classes.

    A data set declares the class attributes below, the splits with their official sizes in its registry
    entry, and how files are found (:meth:`find`). Reading, mapping and checking are done here.

    Parameters
    ----------
    root : str or Path
        Folder that holds the data.
    split : str
        One of :attr:`splits`.

    Attributes
    ----------
    classes : tuple of str
        Names in the order of the training ids.
    palette : uint8 array (K, 3)
        RGB colours.
    id_map : dict
        Value in the mask files -> training id, or ``IGNORE``.
    submission_size : (int, int) or None
        Height and width of the predictions that the benchmark's server accepts; None for any.
    layout, source : str
        Expected folders, and where to get the data; shown when something is missing.

    Raises
    ------
    DataError
        If the split, a folder, a list or a file is missing, or the split is empty.
    """

    IGNORE = IGNORE
    classes: tuple[str, ...] = ()
    palette: np.ndarray
    id_map: dict[int, int]
    submission_size: tuple[int, int] | None = None
    layout = ""
    source = ""
    datalist: Path | None = None

    def __init__(self, root: str | Path, split: str):
        self.root, self.split = Path(root).expanduser(), split
        if self.splits and split not in self.splits:
            known = ", ".join(self.splits)
            raise DataError(f"{self.name} has no split {split!r}", f"one of {known}", suggest(split, self.splits))
        if not self.root.is_dir():
            raise DataError(f"folder of {self.name} not found: {self.root.absolute()}", self.layout, self.remedy)
        self.samples = self._listed(self.datalist) if self.datalist else self.find(split)
        self._labels = LabelMap(self.id_map, self.num_classes)
        self._check_count()
        self._names = self._unique_names()

    def find(self, split: str) -> list[Sample]:
        """Samples of a split, in an order that does not depend on the file system."""
        raise NotImplementedError

    def _listed(self, path: Path) -> list[Sample]:
        """Samples of a list file, by paths relative to the root."""
        remedy = f"correct {path}"
        return require_files([Sample(self.root / i, self.root / m) for i, m in list_pairs(path, remedy)], remedy)

    @classmethod
    def prepare(cls, root: Path, **options: Any) -> None:
        """Create the data below `root` where that is possible; nothing for downloaded data."""

    @property
    def name(self) -> str:
        """Official name."""
        return self.registered_name

    @property
    def splits(self) -> dict[str, int | None]:
        """Official splits and their numbers of images (None: not fixed)."""
        return dict(DATASETS.entry(self.name).meta.get("splits", {}))

    @property
    def remedy(self) -> str:
        """What to do when files are missing."""
        return f"{self.source}; give its folder with data.root=FOLDER" if self.source else "give data.root=FOLDER"

    @property
    def num_classes(self) -> int:
        """Number of classes, void not counted."""
        return len(self.classes)

    def __len__(self) -> int:
        return len(self.samples)

    def sample_name(self, index: int) -> str:
        """Unique name of a sample: its path below the root without suffix, sub-folders kept."""
        return self._names[index]

    def read_image(self, index: int) -> np.ndarray:
        """uint8 RGB image (H, W, 3).

        Raises
        ------
        DamagedSampleError
            If the file cannot be decoded.
        """
        return read_rgb(self.samples[index].image)

    def read_label(self, index: int) -> np.ndarray:
        """int32 training ids (H, W), ``IGNORE`` where void.

        Raises
        ------
        DataError
            If the split has no masks, the file is damaged, or it holds values outside the classes.
        """
        return self._labels.apply(*self._mask(index))

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Image and training ids of a sample (None where the split has no masks).

        Raises
        ------
        DataError
            As :meth:`read_image` and :meth:`read_label`, and if their sizes differ.
        """
        label = None if self.samples[index].mask is None else self.read_label(index)
        return self._joined(index, self.read_image(index), label)

    def read_compact(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and label as :meth:`read`, the label int8 (int16 from 128 classes on).

        Raises
        ------
        DataError
            As :meth:`read`, and if the split has no masks.
        """
        return self._joined(index, self.read_image(index), self._labels.apply(*self._mask(index), compact=True))

    def _mask(self, index: int) -> tuple[np.ndarray, Path]:
        mask = self.samples[index].mask
        if mask is None:
            raise DataError(f"split {self.split!r} of {self.name} has no masks", "a split with masks, e.g. val")
        return read_mask(mask), mask

    def _joined(self, index: int, image: np.ndarray, label: np.ndarray | None) -> tuple:
        """Both, if their sizes agree."""
        if label is not None and label.shape != image.shape[:2]:
            sizes = f"mask of {label.shape[1]}x{label.shape[0]} for an image of {image.shape[1]}x{image.shape[0]}"
            raise DamagedSampleError(
                f"{self.samples[index].mask}: {sizes}",
                "a mask as large as its image",
            )
        return image, label

    def encode_prediction(self, prediction: np.ndarray) -> np.ndarray:
        """Ids as the data set's own mask files store them, for submissions.

        Parameters
        ----------
        prediction : int array (H, W)
            Training ids.

        Returns
        -------
        uint8 or uint16 array (H, W)
        """
        return self._labels.inverse()[prediction]

    def submission_name(self, index: int) -> str:
        """Name of the file that a benchmark server expects for a sample."""
        return f"{self.samples[index].image.stem}.png"

    def _check_count(self) -> None:
        expected = self.splits.get(self.split)
        if not self.samples:
            raise DataError(f"no images of split {self.split!r} below {self.root.absolute()}", self.layout, self.remedy)
        if expected is not None and not self.datalist and len(self.samples) != expected:
            warnings.warn(
                f"{self.name} {self.split}: {len(self.samples)} images found, the official split has {expected}; "
                f"results are not comparable with published ones.\n  looked for: {self.layout}\n"
                f"  below:      {self.root.absolute()}\n"
                f"  remedy:     {self.source}",
                stacklevel=3,
            )

    def _unique_names(self) -> list[str]:
        paths = [_below(s.image, self.root) for s in self.samples]
        count = Counter(p.with_suffix("") for p in paths)
        return [(p.with_suffix("") if count[p.with_suffix("")] == 1 else p).as_posix() for p in paths]


def _below(path: Path, root: Path) -> Path:
    """`path` relative to `root`, or without its anchor when it lies elsewhere."""
    return path.relative_to(root) if path.is_relative_to(root) else path.relative_to(path.anchor)


def datasets_folder() -> Path:
    """Folder of all data sets: environment variable ``MXNETSEG_DATA``, or ``dataset``."""
    return Path(os.environ.get("MXNETSEG_DATA") or "dataset").expanduser()


def build_dataset(config: DataConfig, split: str) -> SegmentationDataset:
    """Open a split of the configured data set.

    Parameters
    ----------
    config : DataConfig
        ``name``, ``root``, ``options`` and ``datalist`` are used. Without a root the data are looked for below
        :func:`datasets_folder`, in the usual folder of the data set.
    split : str
        Name of the split.

    Returns
    -------
    SegmentationDataset

    Raises
    ------
    DataError
        If data are missing: what was looked for, the expected layout, where to get them.
    ConfigError
        If an option is unknown to the data set.
    """
    entry = DATASETS.entry(config.name)
    cls = entry.load()
    known = [p for p in inspect.signature(cls.__init__).parameters if p not in ("self", "root", "split")]
    for option in config.options:
        if option not in known:
            expected = f"options of {entry.name}: {', '.join(known) or 'none'}"
            raise ConfigError(f"unknown option data.options.{option}", expected, suggest(option, known))
    root = dataset_root(config)
    cls.prepare(root, **config.options)
    dataset = cls.__new__(cls)
    if config.datalist:
        dataset.datalist = Path(config.datalist.replace("{split}", split)).expanduser()
    dataset.__init__(root, split, **config.options)
    return dataset


def dataset_root(config: DataConfig) -> Path:
    """Configured folder of a data set, or the first of its usual folders that exists (the first one when none does)."""
    if config.root:
        return Path(config.root).expanduser()
    folders = DATASETS.entry(config.name).meta["folder"]
    places = [datasets_folder() / f for f in ((folders,) if isinstance(folders, str) else folders)]
    return next((p for p in places if p.is_dir()), places[0])
