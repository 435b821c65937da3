"""What all losses share: auxiliary outputs, ignored pixels, class weights, averaging over the global batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from mxnet import gluon, nd

from ..errors import ConfigError
from .distance import distance_maps

__all__ = ["SegmentationLoss", "Target", "average_images", "class_sum", "cross_entropy_map", "pixels_last"]


@dataclass(frozen=True)
class Target:
    """What the scores of a batch are compared with: arrays or symbols.

    Attributes
    ----------
    label : (N, H, W)
        float32 classes, or the ignore label.
    mask : (N, H, W)
        1 where a pixel is labelled, else 0.
    weight : (N, H, W)
        Mask times the class weight of the pixel's label.
    normalizer : (1,)
        Number of labelled pixels over all devices.
    class_weights : (K,), optional
        Factor per class, where the loss has any.
    distance : (N, K, H, W), optional
        Signed distances (see :func:`.distance.distance_maps`), where the loss asks for them.
    """

    label: Any
    mask: Any
    weight: Any
    normalizer: Any
    class_weights: Any = None
    distance: Any = None

    def share(self, F: Any) -> Any:
        """Part (1,) of the labelled pixels of all devices that is on this one."""
        return F.broadcast_div(F.reshape(F.sum(self.mask), (1,)), self.normalizer)


def pixels_last(F: Any, logits: Any) -> Any:
    """Logits (N, K, H, W) as (N, H*W, K): softmax over the last axis is faster by more than the transposition."""
    return F.transpose(F.reshape(logits, (0, 0, -1)), (0, 2, 1))


def cross_entropy_map(F: Any, logits: Any, label: Any) -> Any:
    """Cross-entropy -log softmax(logits)[label] of every pixel.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    logits : array or symbol, (N, K, H, W)
    label : array or symbol, (N, H, W)
        float32; labels outside of 0..K-1 are read as the nearest class and must be masked by the caller.

    Returns
    -------
    array or symbol, (N, H, W)
    """
    log_softmax = F.log_softmax(pixels_last(F, logits), axis=-1)
    return F.reshape_like(-F.pick(log_softmax, F.reshape(label, (0, -1)), axis=-1), label)


def average_images(F: Any, losses: Any, target: Target) -> Any:
    """Average (1,) of one loss per image (N,), each weighted by its share of the labelled pixels of all devices.

    This average does not depend on the split of the images over devices, and images without labels count nowhere.
    """
    labelled = F.sum(F.reshape(target.mask, (0, -1)), axis=1)
    return F.broadcast_div(F.reshape(F.sum(losses * labelled), (1,)), target.normalizer)


def class_sum(F: Any, values: Any, target: Target) -> Any:
    """Sum of (..., K) over the classes, each times its weight where there are any."""
    weights = target.class_weights
    return F.sum(values if weights is None else F.broadcast_mul(values, weights), axis=-1)


class SegmentationLoss(gluon.HybridBlock):
    """Base of all losses: sum of the main term and of the weighted auxiliary terms.

    Written from plain operators, so that every factor (auxiliary weight, class weight, loss scaling)
    reaches the gradients; MXNet's ``SoftmaxOutput`` ignores them.

    Parameters
    ----------
    num_classes : int
        Number of classes K.
    aux_weight : float or sequence of float
        Weight of the auxiliary outputs: one for all, or one each.
    class_weights : sequence of float, optional
        Factor per class on the pixels that are labelled with it; the average is still over pixels, not over weights.
    ignore : int
        Label of pixels without class.
    reduction : {"valid", "pixels", "weights"}
        ``valid``: one number, the sum over labelled pixels divided by `normalizer`. ``pixels``: one number
        per sample, the mean over all its pixels, ignored ones included (MXNetSeg's convention). ``weights``: one
        number, the sum over a device's labelled pixels divided by the sum of their class weights (PyTorch's
        convention), times the device's share of the labelled pixels.

    Attributes
    ----------
    needs_distance : bool
        Whether the distance maps of the labels are computed.

    Raises
    ------
    ConfigError
        If the number of class weights is not K, or one is negative.
    """

    needs_distance = False

    def __init__(
        self,
        num_classes: int,
        aux_weight: float | Sequence[float] = 0.4,
        class_weights: Sequence[float] | None = None,
        ignore: int = -1,
        reduction: Literal["valid", "pixels", "weights"] = "valid",
    ):
        super().__init__()
        self.num_classes, self.ignore, self.reduction, self.aux_weight = num_classes, ignore, reduction, aux_weight
        self.weighted = class_weights is not None
        if class_weights is not None:
            if len(class_weights) != num_classes:
                raise ConfigError(
                    f"loss.class_weights has {len(class_weights)} values", f"{num_classes}, one per class of the data"
                )
            if not all(0 <= weight < np.inf for weight in class_weights):
                raise ConfigError(f"loss.class_weights = {list(class_weights)}", "finite numbers of 0 or more")
            with self.name_scope():
                self.class_weights = self.params.get_constant("class_weights", np.asarray(class_weights, np.float32))

    def __call__(self, outputs: Sequence[nd.NDArray], label: nd.NDArray, normalizer: float | nd.NDArray | None = None):
        """Loss of one device's share of a batch.

        Parameters
        ----------
        outputs : sequence of NDArray, each (N, K, H, W)
            Logits: main output first, auxiliary ones after it.
        label : NDArray, (N, H, W)
            Classes 0..K-1, or the ignore label.
        normalizer : float or NDArray (1,), optional
            Number of labelled pixels in the whole batch over all devices, at least 1; this share's own when empty.
            With it the sum over devices is the mean over the labelled pixels of the whole batch.

        Returns
        -------
        NDArray, (1,), or (N,) with ``reduction="pixels"``
            What to call ``backward`` on. Exactly 0 with zero gradients where no pixel is labelled.

        Raises
        ------
        ConfigError
            If there is not one auxiliary weight per auxiliary output, or an output has another number of channels.
        """
        self.check_outputs(outputs)
        label = label.astype("float32", copy=False)
        if normalizer is None:
            normalizer = nd.maximum((label != self.ignore).sum(), 1)
        elif not isinstance(normalizer, nd.NDArray):
            normalizer = nd.array([max(float(normalizer), 1.0)], ctx=label.context)
        if self.needs_distance:
            maps = distance_maps(label.asnumpy(), self.num_classes, self.ignore)
            outputs = (nd.array(maps, ctx=label.context), *outputs)
        return super().__call__(label, normalizer, *outputs)

    def hybrid_forward(self, F: Any, label: Any, normalizer: Any, *outputs: Any, class_weights: Any = None) -> Any:
        """Sum the terms of all outputs; the distance maps come before them where they are needed."""
        distance, *outputs = outputs if self.needs_distance else (None, *outputs)
        mask = label != self.ignore
        weight = mask * F.take(class_weights, label, mode="clip") if self.weighted else mask
        target = Target(label, mask, weight, normalizer, class_weights, distance)
        return self.combine(F, outputs, target)

    def check_outputs(self, outputs: Sequence[nd.NDArray]) -> None:
        """Refuse outputs that this loss cannot use (see :meth:`__call__`)."""
        self._weights(len(outputs) - 1)
        for number, output in enumerate(outputs):
            if output.shape[1] != self.num_classes:
                raise ConfigError(
                    f"output {number} of the network has {output.shape[1]} channels",
                    f"{self.num_classes}, one per class",
                    "switch boundary maps off (model.options.boundary=false), or use a loss for them (JointEdge)",
                )

    def combine(self, F: Any, outputs: Sequence[Any], target: Target) -> Any:
        """Sum of the terms of all outputs."""
        total = self.term(F, outputs[0], target)
        for factor, output in zip(self._weights(len(outputs) - 1), outputs[1:], strict=True):
            total = total + factor * self.term(F, output, target)
        return total

    def term(self, F: Any, logits: Any, target: Target) -> Any:
        """Contribution of one output; averages :meth:`pixel_map` unless a loss is not a mean over pixels."""
        values = self.pixel_map(F, logits, target.label) * target.weight
        if self.reduction == "pixels":
            return F.mean(values, axis=0, exclude=True)
        total = F.reshape(F.sum(values), (1,))
        if self.reduction == "weights":
            labelled, weights = (F.reshape(F.sum(m), (1,)) for m in (target.mask, target.weight))
            total = total * labelled / F.maximum(weights, 1e-12)
        return F.broadcast_div(total, target.normalizer)

    def pixel_map(self, F: Any, logits: Any, label: Any) -> Any:
        """Loss of every pixel, (N, H, W), before masking."""
        raise NotImplementedError

    def _weights(self, count: int) -> list[float]:
        if isinstance(self.aux_weight, int | float):
            return [float(self.aux_weight)] * count
        if len(self.aux_weight) != count:
            raise ConfigError(
                f"loss.aux_weight has {len(self.aux_weight)} values, the network {count} auxiliary outputs",
                "one number for all of them, or one each",
            )
        return [float(w) for w in self.aux_weight]
