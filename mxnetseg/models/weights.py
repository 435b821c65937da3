"""Putting arrays into networks by name, and saying what happened to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mxnet import gluon, nd

__all__ = ["LoadReport", "load_arrays"]


@dataclass
class LoadReport:
    """What became of every tensor.

    Attributes
    ----------
    loaded : list of str
        Tensors that were copied into the network.
    missing : list of str
        Parameters of the network for which nothing was found; they keep their values.
    unused : list of str
        Tensors for which the network has no parameter.
    mismatched : list of (str, tuple, tuple)
        Name, shape found and shape expected of tensors that do not fit; the parameters keep their values.
    ignored : list of str
        Tensors that have no part in the network's output, such as PyTorch's counters of batches.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every parameter was loaded and every tensor was used, or is known to have no part in the output."""
        return not (self.missing or self.unused or self.mismatched)

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors loaded"]
        lines += [f"missing, keeps its initial value: {name}" for name in self.missing]
        lines += [f"unused, the network has no such parameter: {name}" for name in self.unused]
        lines += [
            f"mismatched, keeps its initial value: {name} is {found}, expected {expected}"
            for name, found, expected in self.mismatched
        ]
        lines += [f"ignored, has no part in the output: {name}" for name in self.ignored]
        return "\n".join(lines)


def load_arrays(
    net: gluon.Block, arrays: Mapping[str, Any], names: Mapping[str, str | None] | None = None
) -> LoadReport:
    """Copy arrays into the initialised parameters of a network.

    Parameters
    ----------
    net : Block
        Network with initialised parameters.
    arrays : mapping of str to array
        Values by name.
    names : mapping of str to str, optional
        Structural parameter name of each entry of `arrays`, None for those to ignore; the same name when not given.

    Returns
    -------
    LoadReport
        In the names of `arrays`; missing ones in those of the network.
    """
    parameters = net._collect_params_with_prefix()
    report, filled = LoadReport(), set()
    for name, value in arrays.items():
        target = names.get(name, name) if names else name
        if target is None:
            report.ignored.append(name)
        elif target not in parameters:
            report.unused.append(name)
        elif tuple(value.shape) != tuple(parameters[target].shape):
            report.mismatched.append((name, tuple(value.shape), tuple(parameters[target].shape)))
        else:
            parameters[target].set_data(value if isinstance(value, nd.NDArray) else nd.array(np.asarray(value)))
            report.loaded.append(name)
        filled.add(target)
    report.missing = [name for name in parameters if name not in filled]
    return report
