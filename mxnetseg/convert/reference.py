"""Networks whose output has a size fixed at construction, as the official ones have."""

from __future__ import annotations

from typing import Any

from mxnet import gluon, nd

from ..models.base import SegmentationModel

__all__ = ["FixedSizeNet"]


class FixedSizeNet(gluon.HybridBlock):
    """A network of ours that returns its maps at one size, whatever the input's.

    Parameters
    ----------
    model : SegmentationModel
        Network.
    size : (int, int)
        Height and width of all outputs.

    Inputs: (N, 3, H, W). Outputs: tuple of (N, num_classes, *size).
    """

    def __init__(self, model: SegmentationModel, size: tuple[int, int]):
        super().__init__()
        self.model, self.size = model, tuple(size)

    def forward(self, x: Any, *args: Any) -> Any:
        """Run the network itself where the sizes agree, otherwise resize its maps to the fixed size."""
        if isinstance(x, nd.NDArray) and x.shape[2:] == self.size:
            return self.model(x)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        """Resize the network's maps to the fixed size."""
        height, width = self.size
        return tuple(
            F.contrib.BilinearResize2D(y, height=height, width=width, align_corners=self.model.align_corners)
            for y in self.model.wanted_maps(F, x)
        )
