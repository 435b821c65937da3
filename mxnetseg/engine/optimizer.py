"""One update of the parameters: groups, all-reduce, clipping, and states that can be stored."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mxnet as mx
from mxnet import gluon, nd

from ..config import OptimizerConfig
from ..errors import CheckpointError

__all__ = ["AdamW", "Updater"]


@mx.optimizer.register
class AdamW(mx.optimizer.Optimizer):
    """Adam with decoupled weight decay: w -= lr (m' / (sqrt(v') + epsilon) + wd w).

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2; bias correction is
    folded into the learning rate, as MXNet's Adam does.

    Parameters
    ----------
    beta1, beta2 : float
        Decay of the first and second moment.
    epsilon : float
        Added to the root of the second moment.
    **common
        See ``mx.optimizer.Optimizer``.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, **common):  # noqa: ANN003
        super().__init__(**common)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def create_state(self, index: int, weight: nd.NDArray) -> tuple[nd.NDArray, nd.NDArray]:
        """First and second moment, zero."""
        return nd.zeros_like(weight), nd.zeros_like(weight)

    def update(self, index: int, weight: nd.NDArray, grad: nd.NDArray, state: tuple[nd.NDArray, nd.NDArray]) -> None:
        """Update one parameter in place."""
        self._update_count(index)
        count, lr = self._index_update_count[index], self._get_lr(index)
        rate = lr * math.sqrt(1 - self.beta2**count) / (1 - self.beta1**count)
        scale = nd.full((1,), self.rescale_grad, ctx=weight.context)
        settings = {"lr": rate, "eta": 1, "wd": lr * self._get_wd(index)}
        betas = {"beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon}
        nd.contrib.adamw_update(weight, grad, *state, scale, out=weight, **settings, **betas)


def _create(config: OptimizerConfig) -> mx.optimizer.Optimizer:
    common = {"learning_rate": config.lr, "wd": config.wd}
    if config.name in ("sgd", "nag"):
        return mx.optimizer.create(config.name, momentum=config.momentum, **common)
    return mx.optimizer.create(config.name, beta1=config.betas[0], beta2=config.betas[1], **common)


def _undecayed(name: str) -> bool:
    """Whether a structural name is that of a bias or of a normalisation's scale or shift."""
    return name.rsplit(".", 1)[-1] in ("gamma", "beta", "bias")


class Updater:
    """Applies gradients to parameters on one or several contexts.

    Parameters
    ----------
    params : dict of str to Parameter
        Parameters by structural name, initialised.
    config : OptimizerConfig
        Optimizer and its groups.
    head : iterable of Parameter
        Parameters whose learning rate is multiplied by `head_lr_mult`.
    kvstore : str or KVStore
        What reduces the gradients; a distributed one gives every worker the parameters of the first.
    """

    def __init__(
        self, params: dict[str, gluon.Parameter], config: OptimizerConfig, head: Iterable = (), kvstore: Any = "device"
    ):
        self.config = config
        self.params = {name: p for name, p in params.items() if p.grad_req != "null"}
        self._group(set(map(id, head)))
        # Gluon's own naming is by creation order; structural names keep states meaningful across processes.
        ordered = [self.params[name] for name in sorted(self.params)]
        self.names = sorted(self.params)
        self._trainer = gluon.Trainer(ordered, _create(config), kvstore=kvstore, update_on_kvstore=False)
        if kvstore != "device":
            self._spread()
        self.updates = 0

    def _spread(self) -> None:
        """Give every worker the parameters of the first.

        The first sum of gradients would do it, too, but the keys are the same: a worker whose parameters come late
        would get the other workers' sum instead.
        """
        self._trainer._init_kvstore()
        self._trainer._init_params()
        nd.waitall()

    def _group(self, head: set[int]) -> None:
        for name, param in self.params.items():
            param.lr_mult = self.config.head_lr_mult if id(param) in head else 1.0
            param.wd_mult = 0.0 if not self.config.wd_norm_bias and _undecayed(name) else 1.0
            param.grad_req = "add" if self.config.accumulate > 1 else "write"

    @property
    def optimizer(self) -> mx.optimizer.Optimizer:
        """The MXNet optimizer."""
        return self._trainer.optimizer

    @property
    def trainer(self) -> gluon.Trainer:
        """The Gluon trainer (AMP needs it)."""
        return self._trainer

    def step(self, lr: float, scale: float = 1.0) -> None:
        """Reduce gradients over contexts and update all parameters; nothing here waits for the device.

        Parameters
        ----------
        lr : float
            Learning rate of this update.
        scale : float
            Factor on the gradients (one over the number of accumulated batches).
        """
        self._trainer.set_learning_rate(lr)
        self._trainer.allreduce_grads()
        if self.config.clip_norm:
            self._clip(scale)
        self._trainer.update(1 / scale)
        if self.config.accumulate > 1:
            for param in self.params.values():
                param.zero_grad()
        self.updates += 1

    def _clip(self, scale: float) -> None:
        """Scale the gradients so that the norm of what is applied is at most `clip_norm`."""
        for i in range(len(self._trainer._contexts)):
            grads = [param.list_grad()[i] for param in self.params.values()]
            norm = nd.sqrt(nd.multi_sum_sq(*grads, num_arrays=len(grads)).sum()) * scale
            # A non-finite norm leaves its mark in the parameters, which the guard of the trainer finds.
            factor = nd.minimum(self.config.clip_norm / (norm + 1e-6), 1)
            for grad in grads:
                nd.broadcast_mul(grad, factor.reshape((1,) * grad.ndim), out=grad)

    def states(self) -> dict[str, nd.NDArray]:
        """Optimizer states of the first context, named ``<parameter>/<number>``."""
        result = {}
        for i, state in self._trainer._updaters[0].states.items():
            arrays = state if isinstance(state, tuple | list) else [state]
            result.update({f"{self.names[i]}/{k}": array for k, array in enumerate(arrays) if array is not None})
        return result

    def load_states(self, states: dict[str, nd.NDArray], updates: int) -> None:
        """Put stored states and the number of updates back, on every context.

        Raises
        ------
        CheckpointError
            If the states are not those of this optimizer and these parameters.
        """
        unused = set(states)
        for updater, ctx in zip(self._trainer._updaters, self._trainer._contexts, strict=True):
            for i, name in enumerate(self.names):
                state = self.optimizer.create_state_multi_precision(i, self.params[name].data(ctx))
                arrays = state if isinstance(state, tuple | list) else [state]
                for k, array in enumerate(arrays):
                    if array is not None:
                        self._copy(states, f"{name}/{k}", array)
                        unused.discard(f"{name}/{k}")
                if updates:
                    updater.states[i], updater.states_synced[i] = state, True
        if unused and updates:
            raise CheckpointError(
                f"stored optimizer state {min(unused)!r} has no place in {self.config.name}",
                "the optimizer and network that wrote the state",
            )
        self._count(updates)

    def _copy(self, states: dict[str, nd.NDArray], key: str, target: nd.NDArray) -> None:
        stored = states.get(key)
        if stored is None or stored.shape != target.shape:
            found = "is missing" if stored is None else f"has shape {stored.shape}, not {target.shape}"
            raise CheckpointError(f"stored optimizer state {key!r} {found}", "a state of this network and optimizer")
        stored.copyto(target)

    def _count(self, updates: int) -> None:
        optimizer, self.updates = self.optimizer, updates
        counts = dict.fromkeys(range(len(self.names)), updates) if updates else {}
        for device in range(len(self._trainer._contexts)):
            optimizer._all_index_update_counts[device] = dict(counts)
        optimizer._index_update_count = optimizer._all_index_update_counts[0]
        optimizer.num_update = updates
