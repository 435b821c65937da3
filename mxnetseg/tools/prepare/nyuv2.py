"""NYU Depth v2's MATLAB files to images, masks of 40 classes and lists."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ...errors import DataError
from .matlab import read_mat
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Write ``images/<i>.png``, ``labels40/<i>.png`` and the lists, ``i`` from 0.

    The 40 classes are those of ``labels40.mat`` (variable ``labels40``, H x W x N), or are made from the 894
    labels by ``classMapping40.mat`` (variable ``mapClass``, Gupta et al., CVPR 2013).
    """
    data = work.find("nyu_depth_v2_labeled.mat", "NYU Depth v2's labelled data")
    splits = work.find("splits.mat", "NYU Depth v2's splits")
    lists = {s: read_mat(splits, v).astype(int).ravel() - 1 for s, v in (("train", "trainNdxs"), ("val", "testNdxs"))}
    try:
        with h5py.File(data) as file:
            images, labels = file["images"], file["labels"]
            ids = _ids_of_40(work, labels)
            count = range(len(images))
            work.convert("images", ((f"images/{i}.png", partial(_image, images, i)) for i in count))
            work.convert("masks", ((f"labels40/{i}.png", partial(ids, i)) for i in count))
    except (OSError, KeyError) as error:
        raise DataError(f"{data}: {error}", "an HDF5 file with images and labels", "download it again") from error
    for split, numbers in lists.items():
        work.write_list(f"{split}.txt", map(str, numbers))


def _image(images: h5py.Dataset, index: int) -> np.ndarray:
    """RGB (H, W, 3); HDF5 shows the axes of MATLAB in reverse: channel, column, row."""
    return np.ascontiguousarray(images[index].transpose(2, 1, 0))


def _ids_of_40(work: Workspace, labels: h5py.Dataset) -> Callable[[int], np.ndarray]:
    """Function from the number of an image to its uint8 mask."""
    ready = next(iter(work.look_for("labels40.mat")), None)
    if ready is not None:
        masks = read_mat(ready, "labels40")
        return lambda i: masks[..., i].astype(np.uint8)
    table = _table(work.find("classMapping40.mat", "neither labels40.mat nor the table of Gupta et al."))
    return lambda i: table[labels[i].T]


def _table(path: Path) -> np.ndarray:
    """uint8 table from the 894 labels (0: unlabelled) to the 40 classes."""
    return np.concatenate([[0], read_mat(path, "mapClass").ravel()]).astype(np.uint8)
