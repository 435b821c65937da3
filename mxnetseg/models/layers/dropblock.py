"""DropBlock (Ghiasi et al., NeurIPS 2018) for any input size."""

from __future__ import annotations

from typing import Any

from mxnet import gluon

from .mode import building_for_inference

__all__ = ["DropBlock"]


class DropBlock(gluon.HybridBlock):
    """Zero square blocks of the map in training; identity in inference.

    Block centres are drawn with probability drop_prob / block_size^2 (eq. 1, without the border factor, which
    tends to 1 for large maps and would need the size), the same for all images of the batch; what remains is
    scaled by the inverse of its share. Centres come from a dropout operator, which distinguishes training from
    inference when the graph runs; GluonCV's layer decides when the graph is built, and only for one size.

    Parameters
    ----------
    drop_prob : float
        Share of the map to drop.
    block_size : int
        Side of a block, odd.

    Inputs: (N, C, H, W). Outputs: the same shape.
    """

    def __init__(self, drop_prob: float = 0.1, block_size: int = 3):
        super().__init__()
        self._drop_prob, self._block_size = drop_prob, block_size

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        if building_for_inference():
            return x
        size, half = self._block_size, self._block_size // 2
        ones = F.BlockGrad(F.ones_like(F.slice_axis(x, axis=0, begin=0, end=1)))
        centres = F.Dropout(ones, p=self._drop_prob / size**2) == 0
        dropped = F.Pooling(centres, pool_type="max", kernel=(size, size), pad=(half, half), stride=(1, 1))
        kept = 1 - dropped
        scale = 1 / F.maximum(F.mean(kept, keepdims=True), 1e-6)
        return F.broadcast_mul(x, F.BlockGrad(F.broadcast_mul(kept, scale)))
