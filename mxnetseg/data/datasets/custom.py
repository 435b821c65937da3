"""Own images and masks, described in the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import ConfigError, DataError, suggest
from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, images_below, list_entries, list_fields, pair_folders, require, require_files
from ..images import read_rgb
from ..labels import IGNORE, identity
from ..palettes import ids_of_colors, voc_palette

_OTHER = 255


@DATASETS.register("Custom", aliases=("own",), classes=None, folder="Custom", splits={})
class Custom(SegmentationDataset):
    """Own images and masks: folders or a list, class names, colours, id map, ignored values.

    A whole description::

        data:
          name: Custom
          root: my_data
          options:
            classes: [background, crack, rust]

    reads ``my_data/images/<split>/`` and ``my_data/masks/<split>/``, pairs files of one stem and takes the
    mask values as class ids.

    Parameters
    ----------
    root, split
        See the base class; any split whose folder or list exists.
    classes : list of str
        Names, in the order of the class ids.
    images, masks : str
        Folders relative to the root; ``{split}`` is replaced. Without masks, the split ``test`` is predicted only.
    list : str, optional
        List file relative to the root, ``{split}`` replaced; lines ``image mask`` (or ``image``), relative to it,
        with a tab between them where names hold blanks.
    mask_suffix : str
        What follows the image's stem in the mask's, e.g. ``_mask``.
    palette : list of [r, g, b], optional
        Colours of the classes; those of PASCAL VOC by default.
    ids : mapping, optional
        Mask value -> class id or name (or ``ignore``), where masks do not hold class ids, e.g. ``{255: crack}``.
    ignore : list of int
        Mask values to leave out.
    color_masks : bool
        Masks are pictures in the colours of the palette.
    ignore_colors : list of [r, g, b]
        Colours to leave out, with ``color_masks``.

    Raises
    ------
    ConfigError
        If the description contradicts itself.
    DataError
        If files are missing.
    """

    layout = "images/<split>/ and masks/<split>/ with files of the same stems (or data.options.list)"

    def __init__(
        self,
        root: str | Path,
        split: str,
        classes: Sequence[str] = (),
        images: str = "images/{split}",
        masks: str = "masks/{split}",
        list: str | None = None,
        mask_suffix: str = "",
        palette: Sequence[Sequence[int]] | None = None,
        ids: Mapping[int, int | str] | None = None,
        ignore: Sequence[int] = (),
        color_masks: bool = False,
        ignore_colors: Sequence[Sequence[int]] = (),
    ):
        if not classes:
            raise ConfigError("data.options.classes is empty", "names of the classes, e.g. [background, crack]")
        self.classes = tuple(str(c) for c in classes)
        self.palette = _colors(palette, len(self.classes))
        self.id_map = (
            {**identity(len(classes)), **dict.fromkeys(ignore, IGNORE)} if ids is None else self._ids(ids, ignore)
        )
        self._color_masks = color_masks
        self._colors = np.vstack([self.palette, np.array(ignore_colors, np.uint8).reshape(-1, 3)])
        if color_masks:
            self._check_colors(palette, ids, ignore)
            extra = range(len(self.classes), len(self._colors))
            self.id_map = {**identity(len(self.classes)), **dict.fromkeys(extra, IGNORE)}
        elif len(ignore_colors):
            raise ConfigError("data.options.ignore_colors with masks of class ids", "color_masks: true, or ignore")
        self._images, self._masks, self._list, self._suffix = images, masks, list, mask_suffix
        super().__init__(root, split)

    def _ids(self, ids: Mapping[int, int | str], ignore: Sequence[int]) -> dict[int, int]:
        table = dict.fromkeys(ignore, IGNORE)
        for raw, target in ids.items():
            if target == "ignore":
                table[int(raw)] = IGNORE
            elif target in self.classes:
                table[int(raw)] = self.classes.index(target)
            elif isinstance(target, int) and IGNORE <= target < len(self.classes):
                table[int(raw)] = target
            else:
                expected = f"a class id 0-{len(self.classes) - 1}, a class name or 'ignore'"
                raise ConfigError(f"data.options.ids: {raw}: {target!r}", expected, suggest(str(target), self.classes))
        return table

    def _check_colors(self, palette: object, ids: object, ignore: Sequence[int]) -> None:
        if palette is None or ids is not None or len(ignore):
            raise ConfigError(
                "data.options.color_masks without palette, or with ids or ignore",
                "the colour of every class in data.options.palette, colours to leave out in ignore_colors",
            )
        if len(self._colors) > _OTHER or len(np.unique(self._colors, axis=0)) != len(self._colors):
            raise ConfigError("data.options.palette and ignore_colors repeat a colour", "at most 255 different colours")

    def _mask(self, index: int) -> tuple[np.ndarray, Path]:
        """Ids of the mask, or of its colours."""
        path = self.samples[index].mask
        if path is None or not self._color_masks:
            return super()._mask(index)
        image = read_rgb(path)
        ids = ids_of_colors(image, self._colors, _OTHER)
        if (other := ids == _OTHER).any():
            color = image[other][0].tolist()
            raise DataError(
                f"{path}: {int(other.sum())} pixels of a colour that is no class, the first one {color}",
                "the colours of data.options.palette",
                "save masks without loss (PNG) and without smoothing; or name it in data.options.ignore_colors",
            )
        return ids, path

    def find(self, split: str) -> list[Sample]:
        """Samples of the list in its order, or of the folders sorted by name."""
        if self._list:
            return self._from_list(self.root / self._list.format(split=split))
        images, masks = self.root / self._images.format(split=split), self.root / self._masks.format(split=split)
        if split == "test" and not masks.is_dir():
            return [Sample(p, None) for p in images_below(require(images, "folder of images", self.remedy))]
        return pair_folders(images, masks, self.remedy, mask_ending=self._suffix)

    def _from_list(self, path: Path) -> list[Sample]:
        samples = []
        for entry in list_entries(path, self.remedy):
            image, *mask = list_fields(entry)
            samples.append(Sample(self.root / image, self.root / mask[0] if mask else None))
        return require_files(samples, self.remedy)


def _colors(palette: Sequence[Sequence[int]] | None, classes: int) -> np.ndarray:
    if palette is None:
        return voc_palette(classes)
    colors = np.array(palette)
    if colors.shape != (classes, 3) or colors.min() < 0 or colors.max() > 255:
        raise ConfigError(f"data.options.palette has shape {colors.shape}", f"{classes} colours [r, g, b] of 0-255")
    return colors.astype(np.uint8)
