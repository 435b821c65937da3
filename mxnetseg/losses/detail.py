"""Guidance of shallow features by the borders of the label map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import nd

from ..errors import ConfigError
from ..registry import LOSSES
from .base import Target
from .ohem import OHEM

__all__ = ["DetailGuided", "detail_loss", "detail_map"]

# What unlabelled pixels count as, and with them the borders of unlabelled regions.
_VOID = 255.0


def detail_map(F: Any, label: Any, ignore: int = -1) -> Any:
    """Pixels that are larger than the mean of the 3x3 labels around them, at full or at half resolution.

    Fan et al., CVPR 2021, sec. 3.3: a Laplacian of the label map, zeros around it. Its response at a quarter of the
    resolution, which the paper adds with a weight of 0.1, never exceeds the threshold of 0.1.

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    label : array or symbol, (N, H, W)
        float32 classes, or the ignore label, which counts as 255.
    ignore : int
        Label of pixels without class.

    Returns
    -------
    array or symbol, (N, H, W)
        1 on details, else 0.
    """
    value = F.expand_dims(F.where(label == ignore, F.ones_like(label) * _VOID, label), axis=1)
    full, half = (_laplacian(F, value, stride) > 0 for stride in (1, 2))
    half = F.slice_like(F.UpSampling(half, scale=2, sample_type="nearest"), value, axes=(2, 3))
    return F.reshape_like(F.maximum(full, half), label)


def _laplacian(F: Any, value: Any, stride: int) -> Any:
    """8 times each pixel minus its neighbours; sums of whole numbers are exact."""
    strides = (stride, stride)
    total = F.Pooling(value, kernel=(3, 3), stride=strides, pad=(1, 1), pool_type="sum")
    return 9 * F.Pooling(value, kernel=(1, 1), stride=strides, pool_type="max") - total


def detail_loss(F: Any, logits: Any, detail: Any) -> Any:
    """Binary cross-entropy plus Dice loss (Fan et al., CVPR 2021, eq. 1, 2).

    Parameters
    ----------
    F : module
        ``mx.nd`` or ``mx.sym``.
    logits, detail : array or symbol, (N, H, W)
        Detail map of the network, and the wanted one.

    Returns
    -------
    array or symbol, (1,)
        Mean over the images.
    """
    entropy = F.relu(logits) - logits * detail + F.Activation(-F.abs(logits), act_type="softrelu")
    shares = F.sigmoid(logits)
    common, all_of_them = (F.sum(y, axis=0, exclude=True) for y in (shares * detail, shares + detail))
    dice = 1 - (2 * common + 1) / (all_of_them + 1)
    return F.reshape(F.mean(entropy) + F.mean(dice), (1,))


@LOSSES.register("DetailGuided")
class DetailGuided(OHEM):
    """Hard pixels of the scores, and the details of the label map for outputs of one channel.

    Fan et al., "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021, sec. 3.3. The network's outputs
    are scores, then any number of detail maps of one channel.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    detail_weight : float
        Of each detail map.
    **common
        See :class:`~mxnetseg.losses.ohem.OHEM`; auxiliary weights are those of the auxiliary scores.
    """

    def __init__(self, num_classes: int, detail_weight: float = 1.0, **common: Any):
        super().__init__(num_classes, **common)
        self.detail_weight, self._details = detail_weight, 0

    def check_outputs(self, outputs: Sequence[nd.NDArray]) -> None:
        """Count the detail maps, and refuse what does not fit."""
        details = sum(1 for y in outputs[1:] if y.shape[1] == 1) if self.num_classes > 1 else 0
        if details != self._details:
            self._details = details
            self._clear_cached_op()
        super().check_outputs(outputs[: len(outputs) - details])
        if any(y.shape[1] != 1 for y in outputs[len(outputs) - details :]):
            raise ConfigError(
                f"outputs of {', '.join(str(y.shape[1]) for y in outputs)} channels",
                "scores, then detail maps of 1 channel",
            )

    def combine(self, F: Any, outputs: Sequence[Any], target: Target) -> Any:
        """Scores, then detail maps."""
        scores, maps = outputs[: len(outputs) - self._details], outputs[len(outputs) - self._details :]
        total = super().combine(F, scores, target)
        if maps:
            detail = F.BlockGrad(detail_map(F, target.label, self.ignore))
            terms = (detail_loss(F, F.reshape_like(y, target.label), detail) for y in maps)
            total = total + self.detail_weight * sum(terms) * target.share(F)
        return total
