"""Learning rate as a pure function of the update's number."""

from __future__ import annotations

import math

from ..config import ScheduleConfig

__all__ = ["Schedule"]


class Schedule:
    """Learning rate of every update of a run, for any optimizer.

    Update i (counted from 0) uses ``schedule(i)``. After a linear warm-up of W updates from `warmup_lr` to the base
    rate, the N - W updates that remain follow, with x = (i - W) / (N - W) in [0, 1],

    - ``poly``: target + (base - target) (1 - x)^power
    - ``linear``: the same with power 1
    - ``cosine``: target + (base - target) (1 + cos(pi x)) / 2
    - ``step``: base * factor^k, k = number of `step_epochs` that are over (counted from the start of training)
    - ``constant``: base

    so that ``schedule(N)`` is the target (never used by an update). GluonCV's scheduler is this one with N - 1 in
    place of N.

    Parameters
    ----------
    config : ScheduleConfig
        Which of them.
    base_lr : float
        Base learning rate.
    steps : int
        Number N of updates of the whole run.
    steps_per_epoch : float
        Updates per epoch, what `warmup_epochs` and `step_epochs` are counted in.
    """

    def __init__(self, config: ScheduleConfig, base_lr: float, steps: int, steps_per_epoch: float):
        self.config, self.base_lr, self.steps = config, base_lr, max(1, steps)
        self.warmup = min(round(config.warmup_epochs * steps_per_epoch), self.steps)
        self.boundaries = [epoch * steps_per_epoch for epoch in config.step_epochs]

    def __call__(self, step: int) -> float:
        """Learning rate of update `step`; constant outside of 0..N."""
        step = min(max(step, 0), self.steps)
        base, target = self.base_lr, self.config.target_lr
        if step < self.warmup:
            return self.config.warmup_lr + (base - self.config.warmup_lr) * step / self.warmup
        x = (step - self.warmup) / max(1, self.steps - self.warmup)
        match self.config.name:
            case "poly":
                return target + (base - target) * (1 - x) ** self.config.power
            case "linear":
                return target + (base - target) * (1 - x)
            case "cosine":
                return target + (base - target) * (1 + math.cos(math.pi * x)) / 2
            case "step":
                return base * self.config.step_factor ** sum(boundary <= step for boundary in self.boundaries)
        return base
