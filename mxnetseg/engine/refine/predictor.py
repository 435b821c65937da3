"""From an image to refined probabilities and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import mxnet as mx
import numpy as np

from ...config import RefineConfig
from ...errors import ConfigError, DataError
from ..forward import MEAN, STD, Forward, Steps, host_view
from ..inference import Prediction, run_together
from ..scores import argmax_classes
from .grid import Box
from .maps import certainty, crop, probabilities, resize_bilinear
from .mosaic import Mosaic
from .stage import Stage, begin, complete

__all__ = ["Observer", "ProgressivePredictor"]

Observer = Callable[[str, np.ndarray, int, Stage], None]


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
    observe : callable, optional
        Called with the name, the image, the number of the scale (0 is the coarse view) and its :class:`Stage`, as
        soon as that is complete.

    Raises
    ------
    ConfigError
        If the number of modules does not fit the scales.

    Notes
    -----
    Probabilities are resized bilinearly in the half-pixel convention from the last scale to the image's own size,
    where they differ.
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
        observe: Observer | None = None,
    ):
        self.config, self.ctx, self.modules, self._observe = config, ctx or mx.cpu(), list(modules), observe
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
        return run_together([self._scores_steps(image, name)])[0]

    def labels(self, image: np.ndarray, name: str = "image") -> np.ndarray:
        """Most probable class per pixel, uint8 (uint16 beyond 256 classes) (H, W).

        Raises
        ------
        DataError
            If probabilities are not finite.
        """
        return self._labels_of(run_together([self._steps(image, name)])[0], image, name)

    def prediction_steps(self, image: np.ndarray, name: str = "image") -> Steps:
        """Generator that yields while its device computes and returns the labels, and those of the coarse view."""
        coarse: list[np.ndarray] = []

        def keep(maps: np.ndarray) -> None:
            coarse.append(self._labels_of(maps, image, name))

        maps = yield from self._steps(image, name, keep)
        return Prediction(self._labels_of(maps, image, name), coarse[0])

    def _scores_steps(self, image: np.ndarray, name: str) -> Steps:
        return resize_bilinear((yield from self._steps(image, name)), image.shape[:2])

    @staticmethod
    def _labels_of(maps: np.ndarray, image: np.ndarray, name: str) -> np.ndarray:
        labels, lowest = argmax_classes(resize_bilinear(maps, image.shape[:2]))
        if not np.isfinite(lowest):
            raise DataError(f"{name}: the network's scores are not finite", "finite numbers", "check the weights")
        return labels

    def _steps(self, image: np.ndarray, name: str, take_coarse: Callable[[np.ndarray], None] | None = None) -> Steps:
        """Probabilities (K, h, w) of the last scale."""
        first, *finer = self.config.scales
        whole = Box(0, 0, *first)
        maps = (yield from self._network(_resize(image, first), [whole]))[0]
        if take_coarse:
            take_coarse(maps)
        uncertainty = 1 - certainty(maps)
        self._report(name, image, 0, Stage(first, maps, uncertainty, [whole], np.array([uncertainty.mean()]), [0]))
        if self.config.n_patches:
            for number, size in enumerate(finer, start=1):
                stage = begin(maps, size, self.config)
                yield from self._refine(stage, _resize(image, size), number)
                self._report(name, image, number, stage)
                maps = stage.probabilities
        return maps

    def _report(self, name: str, image: np.ndarray, number: int, stage: Stage) -> None:
        if self._observe:
            self._observe(name, image, number, stage)

    def _refine(self, stage: Stage, image: np.ndarray, number: int) -> Steps:
        """Refine the selected patches of a scale, whose image is given."""
        module = self.modules[min(len(self.modules), number) - 1]
        mosaic = Mosaic(stage.scale, len(stage.probabilities), self.config.selection == "fixed")
        for chosen in self._batches(stage):
            fine = yield from self._network(image, chosen)
            coarse = np.stack([crop(stage.probabilities, box, self.config.input_size) for box in chosen])
            with mx.autograd.pause(train_mode=False):
                output = module(*(mx.nd.array(maps, ctx=self.ctx) for maps in (fine, coarse)))
            yield
            for box, patch in zip(chosen, probabilities(host_view(output)), strict=True):
                mosaic.add(box, patch)
        complete(stage, mosaic, self.config)

    def _batches(self, stage: Stage) -> Iterator[list[Box]]:
        step = self.config.sub_batch_size
        for start in range(0, len(stage.selected), step):
            yield [stage.boxes[i] for i in stage.selected[start : start + step]]

    def _network(self, image: np.ndarray, boxes: Sequence[Box]) -> Steps:
        """The segmentation network's probabilities (N, K, *input_size) of some patches of an image."""
        height, width = size = self.config.input_size
        place = [((slice(0, height),) * 2, (slice(0, width),) * 2)]
        batch = np.concatenate([self._forward.windows(_resize(image[b.slices], size), place, size) for b in boxes])
        logits = yield from self._forward.logits(batch)
        return probabilities(logits[:, :, :height, :width])


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Image uint8 (h, w, 3) at a size, bilinear."""
    return image if image.shape[:2] == tuple(size) else cv2.resize(image, size[::-1])
