"""From an image to scores and labels, under any protocol of :mod:`mxnetseg.engine.protocols`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import mxnet as mx
import numpy as np

from ..config import EvalConfig
from ..errors import DataError
from .canvas import Canvas
from .forward import MEAN, STD, Forward, Span, Steps, host_view
from .protocols import Protocol, Windows, protocol_of
from .scores import add_exp, add_resized, add_softmax, argmax_classes, label_dtype

__all__ = ["Prediction", "Predictor", "run_together"]

# exp() of float32 overflows at 88 and vanishes at -88; sums of exps are tried again with these taken off the logits.
_SHIFTS = (0.0, 60.0, 120.0, 240.0, -60.0, -120.0)

TakeRows = Callable[[np.ndarray], None]


@dataclass(frozen=True)
class Prediction:
    """What is predicted of an image.

    Attributes
    ----------
    labels : ndarray of uint8 (uint16 beyond 256 classes), (H, W)
        Most probable class per pixel.
    coarse : ndarray, (H, W), optional
        The same before refinement, where there is one.
    """

    labels: np.ndarray
    coarse: np.ndarray | None = None


def run_together(steps: Sequence[Steps]) -> list[Any]:
    """Advance several predictions in turn, so that their devices compute at the same time; results in order."""
    results: list[Any] = [None] * len(steps)
    running = dict(enumerate(steps))
    while running:
        for i, generator in list(running.items()):
            try:
                next(generator)
            except StopIteration as stop:
                results[i] = stop.value
                del running[i]
    return results


class Predictor:
    """Scores and labels of whole images, by one network on one device.

    Parameters
    ----------
    network : HybridBlock or callable
        Maps (N, 3, h, w) to logits (N, K, h, w), e.g. ``model.inference``; hybridized here if it is not.
    config : EvalConfig
        Protocol, scales, mirroring.
    crop : (int, int)
        Window (height, width); ``config.crop_size`` has precedence.
    ctx : mx.Context, optional
        Device of the network; the CPU by default.
    mean, std : sequence of float
        Normalisation of RGB / 255.
    divisor, min_size : int
        The network's sizes must be multiples of the one and at least the other; images are filled up with the mean
        colour and the scores cut back.
    batch : int
        Windows per forward.
    protocol : Protocol, optional
        Instead of the configuration's, e.g. ``PROTOCOLS["hrnet"]``.

    Notes
    -----
    Windows are streamed. Memory holds one (K, h, w) float32 map at the size of the scale, one more at the image's
    size when they differ or there are several scales, and what the network needs for one batch of windows.
    `labels` at a single scale of the image's size needs a map of one row of windows only.
    """

    def __init__(
        self,
        network: Any,
        config: EvalConfig,
        crop: tuple[int, int],
        ctx: mx.Context | None = None,
        *,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        divisor: int = 1,
        min_size: int = 1,
        batch: int = 1,
        protocol: Protocol | None = None,
    ):
        size = config.crop_size or crop
        self.crop = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.config, self.ctx, self.batch = config, ctx or mx.cpu(), batch
        self.protocol = protocol or protocol_of(config)
        self._forward = Forward(network, self.ctx, mean, std, divisor, min_size)

    def scores(self, image: np.ndarray, name: str = "image") -> np.ndarray:
        """Scores of every class.

        Parameters
        ----------
        image : ndarray of uint8 (or float32 in 0..255), (H, W, 3)
            RGB.
        name : str
            Named in errors.

        Returns
        -------
        ndarray of float32, (K, H, W)
            Mean probabilities; for ``exp`` protocols sums of exponentials, which carry a common factor
            where they would overflow or vanish.

        Raises
        ------
        DataError
            If scores are not finite, or overflow even so.
        """
        return run_together([self.scores_steps(image, name)])[0]

    def labels(self, image: np.ndarray, name: str = "image") -> np.ndarray:
        """Most probable class per pixel, uint8 (uint16 beyond 256 classes) (H, W); arguments as for `scores`."""
        return run_together([self.labels_steps(image, name)])[0]

    def labels_steps(self, image: np.ndarray, name: str = "image") -> Steps:
        """Generator form of `labels`: yields while its device computes, returns the labels."""
        return (yield from self._attempts(self._labels_once, image, name))

    def prediction_steps(self, image: np.ndarray, name: str = "image") -> Steps:
        """Generator form of `labels` that returns a :class:`Prediction`."""
        return Prediction((yield from self.labels_steps(image, name)))

    def forwards(self, height: int, width: int) -> int:
        """Forwards that an image of this size takes (more where sums of exponentials must be tried again)."""
        count = 0
        for scale in self.config.scales:
            rows, columns = self._grid(*self.protocol.scaled(height, width, self.config.base_size, scale), scale)
            count += len(rows.starts) * -(-len(columns.starts) // self.batch)
        return count * (2 if self.config.flip else 1)

    def scores_steps(self, image: np.ndarray, name: str = "image") -> Steps:
        """Generator form of `scores`."""
        return (yield from self._attempts(self._scores_once, image, name))

    def _attempts(self, once: Callable[[np.ndarray, float], Steps], image: np.ndarray, name: str) -> Steps:
        """Result of the first attempt whose best scores are numbers; sums of exps are moved until they are."""
        for shift in _SHIFTS if self.protocol.merge == "exp" else (0.0,):
            result, lowest = yield from once(image, shift)
            # A best score that underflowed would turn the argmax into a guess.
            if lowest >= np.finfo(np.float32).tiny or (self.protocol.merge != "exp" and np.isfinite(lowest)):
                return result
        raise self._not_finite(name)

    def _scores_once(self, image: np.ndarray, shift: float) -> Steps:
        scores = yield from self._all_scales(image, shift)
        return scores, argmax_classes(scores)[1]

    def _labels_once(self, image: np.ndarray, shift: float) -> Steps:
        if not self._keeps_size(image) or (self.config.flip and self.protocol.merge == "logits"):
            scores = yield from self._all_scales(image, shift)
            return argmax_classes(scores)
        if self.config.scales[0] <= self.protocol.whole_up_to and not self.config.flip:
            return (yield from self._direct_labels(image))
        labels: list[np.ndarray] = []
        lowest: list[float] = []

        def take(rows: np.ndarray) -> None:
            for results, value in zip((labels, lowest), argmax_classes(rows), strict=True):
                results.append(value)

        yield from self._one_scale(image, self.config.scales[0], shift, take)
        return np.concatenate(labels), float(np.min(lowest))

    def _not_finite(self, name: str) -> DataError:
        if self.protocol.merge == "exp":
            return DataError(
                f"{name}: scores overflow or are not numbers (protocol {self.protocol.name} sums exp of raw logits)",
                "finite logits of moderate size",
                "use the protocol whole or slide, which average probabilities; if that fails too, the weights are bad",
            )
        return DataError(f"{name}: the network's scores are not finite", "finite numbers", "check the weights")

    def _keeps_size(self, image: np.ndarray) -> bool:
        """Whether there is one scale, at which the image keeps its size."""
        height, width = image.shape[:2]
        scales = self.config.scales
        same = self.protocol.scaled(height, width, self.config.base_size, scales[0]) == (height, width)
        return len(scales) == 1 and same

    def _direct_labels(self, image: np.ndarray) -> Steps:
        height, width = image.shape[:2]
        (rows, columns) = self._grid(height, width, self.config.scales[0])
        batch = self._forward.windows(image, [(rows.spans()[0], columns.spans()[0])], (height, width))
        output = self._forward.start(batch)
        if self.ctx.device_type == "cpu":
            yield
            return argmax_classes(host_view(output)[0, :, :height, :width])
        output = output.slice_axis(2, 0, height).slice_axis(3, 0, width)
        labels, best = output.argmax(axis=1), output.max(axis=1)
        yield
        labels, best = labels.asnumpy()[0].astype(label_dtype(output.shape[1])), best.asnumpy()
        return labels, float(best.min()) if np.isfinite(best).all() else np.nan

    def _all_scales(self, image: np.ndarray, shift: float) -> Steps:
        """Join the scales: their sum or mean at the image's own size."""
        if self.protocol.merge == "logits":
            return (yield from self._all_views(image))
        height, width = image.shape[:2]
        scales = self.config.scales
        weight = 1.0 / len(scales) if self.protocol.total == "mean" else 1.0
        total = None
        for scale in scales:
            size = self.protocol.scaled(height, width, self.config.base_size, scale)
            part = yield from self._one_scale(self._resize_image(image, size), scale, shift)
            if len(scales) == 1 and size == (height, width):
                return part
            if total is None:
                total = np.zeros((part.shape[0], height, width), np.float32)
            self._add_resized(total, part, weight)
        return total

    def _all_views(self, image: np.ndarray) -> Steps:
        """Mean probabilities over the scales, of the image and of its mirror image."""
        size, total = image.shape[:2], None
        views = [(scale, flip) for scale in self.config.scales for flip in (False, True)[: 1 + self.config.flip]]
        for scale, flip in views:
            scaled = self._resize_image(image, self.protocol.scaled(*size, self.config.base_size, scale))
            total = yield from self.add_view(total, scaled, size, scale, flip)
        total /= len(views)
        return total

    def add_view(
        self, total: np.ndarray | None, image: np.ndarray, size: tuple[int, int], scale: float, flip: bool
    ) -> Steps:
        """Generator that adds the probabilities of one view to `total`, zero when None, and returns it.

        Parameters
        ----------
        total : ndarray of float32, (K, H, W), optional
        image : ndarray, (h, w, 3)
            Already at its scale.
        size : (int, int)
            Size (H, W) that the logits are resized to.
        scale : float
            The image's scale.
        flip : bool
            Look at the mirror image, and mirror the logits back.
        """
        logits = yield from self._one_scale(image[:, ::-1] if flip else image, scale, 0.0)
        resized = np.zeros((logits.shape[0], *size), np.float32)
        self._add_resized(resized, np.ascontiguousarray(logits[..., ::-1]) if flip else logits, 1.0)
        total = np.zeros_like(resized) if total is None else total
        add_softmax(total, resized)
        return total

    def _one_scale(self, image: np.ndarray, scale: float, shift: float, take: TakeRows | None = None) -> Steps:
        """Scores (K, h, w) of an image already at its scale; or None, its rows handed to `take` as they are done."""
        rows, columns = self._grid(*image.shape[:2], scale)
        passes = 2 if self.config.flip and self.protocol.merge == "softmax" else 1
        canvas = Canvas(rows, columns, passes, min(rows.size, rows.crop) if take else rows.size)
        spans = rows.spans()
        stops = [y[0].start for y in spans[1:]] + [rows.size]
        for y, stop in zip(spans, stops, strict=True):
            yield from self._window_row(image, canvas, y, shift)
            if take:
                take(canvas.take(stop))
                canvas.forget(stop)
        return None if take else canvas.take(rows.size)

    def _window_row(self, image: np.ndarray, canvas: Canvas, y: Span, shift: float) -> Steps:
        """Add one row of windows to the canvas."""
        crop = (canvas.rows.crop, canvas.columns.crop)
        spans = canvas.columns.spans()
        for start in range(0, len(spans), self.batch):
            chosen = [(y, x) for x in spans[start : start + self.batch]]
            batch = self._forward.windows(image, chosen, crop, self.protocol.fill)
            logits = yield from self._forward.logits(batch)
            mirrored = None
            if self.config.flip and self.protocol.merge != "logits":
                mirrored = yield from self._forward.logits(self._forward.mirror(batch, crop[1]))
                mirrored = mirrored[..., crop[1] - 1 :: -1]
            for n, (_, x) in enumerate(chosen):
                target = canvas.target(logits.shape[1], y, x)
                theirs = None if mirrored is None else mirrored[n, :, y[1], x[1]]
                self._merge(target, logits[n, :, y[1], x[1]], theirs, shift)

    def _grid(self, height: int, width: int, scale: float) -> tuple[Windows, Windows]:
        if scale <= self.protocol.whole_up_to:
            return Windows(height, height, (0,)), Windows(width, width, (0,))
        overlap = self.config.overlap
        return self.protocol.windows(height, self.crop[0], overlap), self.protocol.windows(width, self.crop[1], overlap)

    def _merge(self, total: np.ndarray, logits: np.ndarray, mirrored: np.ndarray | None, shift: float) -> None:
        if self.protocol.merge == "softmax":
            add_softmax(total, logits)
            if mirrored is not None:
                add_softmax(total, mirrored)
            return
        if self.protocol.merge == "logits":
            total += logits
            return
        if mirrored is not None:
            logits = logits + mirrored
            if self.protocol.flip == "mean":
                logits *= np.float32(0.5)
        add_exp(total, logits, shift)

    def _resize_image(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Image (h, w, 3) at `size`; float32 when it had to be resized, unless it keeps whole grey levels."""
        if image.shape[:2] == size:
            return image
        if self.protocol.whole_grey:
            return cv2.resize(image, (size[1], size[0]))
        image = image.astype(np.float32)
        if self.protocol.align_corners_in:
            planes = np.empty((3, *size), np.float32)
            self._align_corners(image.transpose(2, 0, 1), planes, add=False)
            return planes.transpose(1, 2, 0)
        return cv2.resize(image, (size[1], size[0]))

    def _add_resized(self, total: np.ndarray, part: np.ndarray, weight: float) -> None:
        if self.protocol.align_corners_out and part.shape != total.shape:
            part *= np.float32(weight)
            self._align_corners(part, total, add=True)
        else:
            add_resized(total, part, weight)

    def _align_corners(self, source: np.ndarray, target: np.ndarray, add: bool) -> None:
        """Corner-aligned bilinear resize of every plane of `source` into `target`, both (C, h, w)."""
        height, width = target.shape[1:]
        for plane, out in zip(source, target, strict=True):
            array = mx.nd.array(plane[None, None], ctx=self.ctx)
            resized = host_view(mx.nd.contrib.BilinearResize2D(array, height=height, width=width))[0, 0]
            np.add(out, resized, out=out) if add else np.copyto(out, resized)
