"""The computation of one step on one or several contexts; nothing here waits for a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

__all__ = ["Batch", "ForwardBackward", "random_seed"]


class Batch(Protocol):
    """What a loader gives: float32 (N, 3, h, w) images, int32 (N, h, w) labels, names, count of labelled pixels."""

    image: np.ndarray
    label: np.ndarray
    names: list[str]
    valid: int


def random_seed(*key: int) -> int:
    """Seed for MXNet's generators as a pure function of integers."""
    return int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)


class ForwardBackward:
    """Forward, loss and backward of a batch, split by samples over the contexts.

    Parameters
    ----------
    net : HybridBlock
        Returns logits, or a tuple of main and auxiliary logits.
    loss : SegmentationLoss
        Criterion.
    contexts : sequence of Context
        Devices; each gets its share of the samples, the first ones one more where they do not divide.
    seed : int
        Seed of what is random in the network (dropout).
    trainer : gluon.Trainer, optional
        With it, losses are scaled for mixed precision.
    first_device : int
        Number of the first context among those of all workers: each draws its own random numbers.
    """

    def __init__(
        self,
        net: gluon.HybridBlock,
        loss: gluon.HybridBlock,
        contexts: Sequence[mx.Context],
        seed: int = 0,
        trainer: gluon.Trainer | None = None,
        first_device: int = 0,
    ):
        self.net, self.loss, self.contexts, self.seed, self.trainer = net, loss, list(contexts), seed, trainer
        self.first_device = first_device

    def __call__(self, batch: Batch, number: int, labelled: nd.NDArray | None = None) -> list[nd.NDArray]:
        """Accumulate or write the gradients of a batch.

        Parameters
        ----------
        batch : Batch
            Images and labels.
        number : int
            Number of the batch in the run: the generators are seeded with it, so that a resumed run draws the same.
        labelled : NDArray (1,), optional
            Labelled pixels of the batch over all workers; those of this batch when empty.

        Returns
        -------
        list of NDArray, each (1,)
            Loss per context; their sum over all workers is the mean over the labelled pixels of the batch.
        """
        shares = self._split(batch, nd.array([batch.valid]) if labelled is None else labelled)
        losses = []
        with autograd.record():
            for device, (ctx, image, label, normalizer) in enumerate(shares, self.first_device):
                mx.random.seed(random_seed(self.seed, number, device), ctx)
                outputs = self.net(image)
                outputs = outputs if isinstance(outputs, list | tuple) else (outputs,)
                losses.append(self.loss(outputs, label, normalizer))
        self._backward(losses)
        return losses

    def _split(self, batch: Batch, labelled: nd.NDArray) -> list[tuple[mx.Context, nd.NDArray, nd.NDArray, nd.NDArray]]:
        images = np.array_split(batch.image, len(self.contexts))
        labels = np.array_split(np.asarray(batch.label, np.float32), len(self.contexts))
        count = nd.maximum(labelled, 1)
        return [
            (
                ctx,
                nd.array(x, ctx=ctx, dtype="float32"),
                nd.array(y, ctx=ctx, dtype="float32"),
                count.as_in_context(ctx),
            )
            for ctx, x, y in zip(self.contexts, images, labels, strict=True)
        ]

    def _backward(self, losses: list[nd.NDArray]) -> None:
        if self.trainer is None:
            autograd.backward(losses)
            return
        from mxnet.contrib import amp

        with autograd.record(), amp.scale_loss(losses, self.trainer) as scaled:
            autograd.backward(scaled)

    def hybridize(self) -> None:
        """Compile network and loss with static memory; both may still see any size."""
        self.net.hybridize(static_alloc=True, static_shape=True)
        self.loss.hybridize(static_alloc=True, static_shape=True)


def scalars(pending: Sequence[Sequence[Any]]) -> list[float]:
    """Fetch the losses of several steps: this waits for the devices."""
    return [sum(float(loss.asscalar()) for loss in losses) for losses in pending]
