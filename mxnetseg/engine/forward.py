"""Windows of an image through a network on one device."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import mxnet as mx
import numpy as np

from ..data.transforms import MEAN, STD

__all__ = ["MEAN", "STD", "Forward", "Span", "Steps", "host_view"]

Steps = Generator[None, None, Any]
Span = tuple[slice, slice]


class _Capsule:
    """What NumPy needs to take over an MXNet array's memory."""

    def __init__(self, array: mx.nd.NDArray):
        self._capsule = array.to_dlpack_for_read()

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def host_view(array: mx.nd.NDArray) -> np.ndarray:
    """NumPy array of an NDArray's values: its own memory (read only) where that is possible on a CPU, else a copy."""
    if array.context.device_type != "cpu":
        return array.asnumpy()
    array.wait_to_read()
    try:
        return np.from_dlpack(_Capsule(array))
    except mx.MXNetError:
        # oneDNN leaves the output of a convolution of 8 or 16 channels in an order of its own: only a copy undoes it.
        return array.asnumpy()


class Forward:
    """Feeds windows to a network.

    Parameters
    ----------
    network : HybridBlock or callable
        Maps (N, 3, h, w) to logits (N, K, h, w); hybridized here if it is a block and is not.
    ctx : mx.Context
        Device of the network.
    mean, std : sequence of float
        Normalisation of RGB / 255.
    divisor, min_size : int
        The network's sizes must be multiples of the one and at least the other.
    """

    def __init__(
        self,
        network: Any,
        ctx: mx.Context,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        divisor: int = 1,
        min_size: int = 1,
    ):
        self.network, self.ctx, self.divisor, self.min_size = network, ctx, divisor, min_size
        self._mean = [np.float32(m) for m in mean]
        self._factor = [np.float32(1 / (255 * s)) for s in std]
        self._offset = [np.float32(-m / s) for m, s in zip(mean, std, strict=True)]
        if isinstance(network, mx.gluon.HybridBlock) and not network._active:
            # On a CPU static buffers cost memory (1.2 instead of 1.1 GiB at 2048x1024) and save no time.
            network.hybridize(static_alloc=ctx.device_type != "cpu")

    def windows(
        self, image: np.ndarray, places: Sequence[tuple[Span, Span]], crop: tuple[int, int], fill: str = "mean"
    ) -> np.ndarray:
        """Normalised windows of an image.

        Parameters
        ----------
        image : ndarray of uint8 or float32 in 0..255, (H, W, 3)
        places : sequence of (Span, Span)
            Rows and columns of each window: its part of the image, and where this part lies in the window.
        crop : (int, int)
            Size of a window.
        fill : {"mean", "black", "raw_mean"}
            What lies outside of the image: the mean colour, black, or after normalisation the mean before it.

        Returns
        -------
        ndarray of float32, (N, 3, h, w)
            h and w are the crop's, or what the network takes at least.
        """
        height, width = (-(-max(c, self.min_size) // self.divisor) * self.divisor for c in crop)
        batch = np.empty((len(places), 3, height, width), np.float32)
        for window, (y, x) in zip(batch, places, strict=True):
            part = image[y[0], x[0]]
            whole = part.shape[:2] == (height, width)
            for c in range(3):
                if not whole:
                    window[c] = {"mean": 0.0, "black": self._offset[c], "raw_mean": self._mean[c]}[fill]
                target = window[c, y[1], x[1]]
                np.multiply(part[..., c], self._factor[c], out=target, dtype=np.float32)
                target += self._offset[c]
        return batch

    @staticmethod
    def mirror(batch: np.ndarray, width: int) -> np.ndarray:
        """Windows mirrored left-right within their own width (filling up to the divisor stays at the right)."""
        mirrored = batch.copy()
        mirrored[..., :width] = batch[..., :width][..., ::-1]
        return mirrored

    def start(self, batch: np.ndarray) -> mx.nd.NDArray:
        """Logits (N, K, h, w) of a batch, perhaps still being computed."""
        with mx.autograd.pause(train_mode=False):
            output = self.network(mx.nd.array(batch, ctx=self.ctx))
        return output[0] if isinstance(output, (list, tuple)) else output

    def logits(self, batch: np.ndarray) -> Steps:
        """Generator that yields while the device computes and returns the logits as a NumPy array."""
        output = self.start(batch)
        yield
        return host_view(output)
