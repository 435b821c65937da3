"""From an image to refined probabilities and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import mxnet as mx
import numpy as np

from ...config import RefineConfig
from ...data.pictures import ArrayPicture, Picture, resized_picture
from ...errors import ConfigError, DataError
from ..forward import MEAN, STD, Forward, Steps, host_view
from ..inference import Prediction, run_together
from ..scores import argmax_classes, label_dtype
from .grid import Box
from .maps import crop, probabilities
from .mosaic import Mosaic
from .stage import Stage, begin, complete
from .views import Fixed, Index, Size, Uncertainty, View, assemble, resized

__all__ = ["LabelsAt", "Observer", "ProgressivePredictor"]

Observer = Callable[[str, Picture, int, Stage], None]
LabelsAt = Callable[[Index, Index], np.ndarray]


class ProgressivePredictor:
    """Segments images of any size: the whole image in a coarse view, then patches of every finer scale.

    Parameters
    ----------
    network : HybridBlock or callable
        Maps (N, 3, h, w) to logits (N, K, h, w), e.g. ``model.inference``.
    modules : sequence of HybridBlock
        Refinement modules: one for all scales, or one for each but the first.
    config : RefineConfig
        Scales, patches and points.
    ctx : mx.Context, optional
        Device of network and modules; the CPU by default.
    mean, std : sequence of float
        Normalisation of RGB / 255.
    divisor, min_size : int
        The network's sizes must be multiples of the one and at least the other.
    scratch : path, optional
        Folder for temporary files; the system's when None. Refined patches beyond 16 MiB per scale are kept there.
    observe : callable, optional
        Called with the name, the picture, the number of the scale (0 is the coarse view) and its :class:`Stage`, as
        soon as that is complete.

    Raises
    ------
    ConfigError
        If the number of modules does not fit the scales.

    Notes
    -----
    Probabilities are resized bilinearly in the half-pixel convention from the last scale to the image's own size,
    where they differ.

    No map of a whole scale is kept, but only what determines it: the refined patches and the choice of points. Memory
    grows with patch, classes and batch, not with the picture.
    """

    def __init__(
        self,
        network: Any,
        modules: Sequence[Any],
        config: RefineConfig,
        ctx: mx.Context | None = None,
        *,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        divisor: int = 1,
        min_size: int = 1,
        scratch: str | Path | None = None,
        observe: Observer | None = None,
    ):
        self.config, self.ctx, self.modules, self._observe = config, ctx or mx.cpu(), list(modules), observe
        self._scratch = scratch
        finer = len(config.scales) - 1
        if config.n_patches and len(self.modules) not in {1, finer}:
            raise ConfigError(
                f"{len(self.modules)} refinement modules for {finer} scales",
                f"one for all, or {finer}" if finer > 1 else "one",
                "name their files with --refinement, or use --n-patches 0 for the coarse view alone",
            )
        for module in self.modules:
            if not module._active:
                module.hybridize()
        self._forward = Forward(network, self.ctx, mean, std, divisor, min_size)

    def scores(self, image: np.ndarray, name: str = "image") -> np.ndarray:
        """Probabilities, float32 (K, H, W), of an RGB image, uint8 (H, W, 3)."""
        picture = ArrayPicture(image)
        return resized(run_together([self._steps(picture, name)])[0], picture.size).whole()

    def labels(self, image: np.ndarray, name: str = "image") -> np.ndarray:
        """Most probable class per pixel, uint8 (uint16 beyond 256 classes) (H, W).

        Raises
        ------
        DataError
            If probabilities are not finite.
        """
        picture = ArrayPicture(image)
        return _labels(run_together([self._steps(picture, name)])[0], picture.size)

    def prediction_steps(self, image: np.ndarray, name: str = "image") -> Steps:
        """Generator that yields while its device computes and returns the labels, and those of the coarse view."""
        coarse: list[np.ndarray] = []
        picture = ArrayPicture(image)
        maps = yield from self._steps(picture, name, lambda view: coarse.append(_labels(view, picture.size)))
        return Prediction(_labels(maps, picture.size), coarse[0])

    def refine(self, picture: Picture, name: str = "image") -> LabelsAt:
        """Segment a picture of any size.

        Parameters
        ----------
        picture : Picture
        name : str
            Named in errors.

        Returns
        -------
        callable
            Gives the labels, uint8 (uint16 beyond 256 classes), at the crossings of some rows and columns of the
            picture, ascending.

        Raises
        ------
        DataError
            If probabilities are not finite, or refined patches find no room.
        """
        return _labels_at(run_together([self._steps(picture, name)])[0], picture.size)

    def _steps(self, picture: Picture, name: str, take_coarse: Callable[[View], None] | None = None) -> Steps:
        """Probabilities of the last scale."""
        first, *finer = self.config.scales
        whole = Box(0, 0, *first)
        maps = Fixed((yield from self._network(resized_picture(picture, first), [whole], name))[0])
        if take_coarse:
            take_coarse(maps)
        mean = Uncertainty(maps).whole().mean()
        stage = Stage(first, maps, self.config, [whole], np.array([mean]), [0])
        self._report(name, picture, 0, stage)
        for number, size in enumerate(finer if self.config.n_patches else (), start=1):
            stage = begin(stage, size, self.config)
            yield from self._refine(stage, resized_picture(picture, size), number, name)
            self._report(name, picture, number, stage)
        return stage

    def _report(self, name: str, picture: Picture, number: int, stage: Stage) -> None:
        if self._observe:
            self._observe(name, picture, number, stage)

    def _refine(self, stage: Stage, picture: Picture, number: int, name: str) -> Steps:
        """Refine the selected patches of a scale, whose picture is given."""
        module = self.modules[min(len(self.modules), number) - 1]
        boxes = [stage.boxes[i] for i in stage.selected]
        stage.refined = Mosaic(stage.scale, boxes, self.config.selection == "fixed", self._scratch)
        for chosen in self._batches(boxes):
            fine = yield from self._network(picture, chosen, name)
            coarse = np.stack([crop(stage.before, box, self.config.input_size) for box in chosen])
            with mx.autograd.pause(train_mode=False):
                output = module(*(mx.nd.array(maps, ctx=self.ctx) for maps in (fine, coarse)))
            yield
            for patch in _probabilities(host_view(output), name):
                stage.refined.add(patch)
        complete(stage)

    def _batches(self, boxes: Sequence[Box]) -> Iterator[Sequence[Box]]:
        step = self.config.sub_batch_size
        return (boxes[start : start + step] for start in range(0, len(boxes), step))

    def _network(self, picture: Picture, boxes: Sequence[Box], name: str) -> Steps:
        """The segmentation network's probabilities (N, K, *input_size) of some patches of a picture."""
        height, width = size = self.config.input_size
        place = [((slice(0, height),) * 2, (slice(0, width),) * 2)]
        patches = (_resize(picture.take(*box.pixels), size) for box in boxes)
        batch = np.concatenate([self._forward.windows(patch, place, size) for patch in patches])
        logits = yield from self._forward.logits(batch)
        return _probabilities(logits[:, :, :height, :width], name)


def _probabilities(logits: np.ndarray, name: str) -> np.ndarray:
    maps = probabilities(logits)
    if not np.isfinite(maps).all():
        raise DataError(f"{name}: the network's scores are not finite", "finite numbers", "check the weights")
    return maps


def _labels_at(maps: View, size: Size) -> LabelsAt:
    maps = resized(maps, size)
    return lambda rows, columns: argmax_classes(maps.take(rows, columns))[0]


def _labels(maps: View, size: Size) -> np.ndarray:
    return assemble(np.empty(size, label_dtype(maps.classes)), _labels_at(maps, size))


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Image uint8 (h, w, 3) at a size, bilinear."""
    return image if image.shape[:2] == tuple(size) else cv2.resize(image, size[::-1])
