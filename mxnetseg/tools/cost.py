"""Multiply-accumulates and parameters of a network, counted on its symbol, and as publications count them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ..models.graph import operators

__all__ = ["CONVENTIONS", "Convention", "Cost", "network_cost"]

_NORMS = ("BatchNorm", "_contrib_SyncBatchNorm")
_POOLS = ("Pooling", "_contrib_AdaptiveAvgPooling2D", "mean")


@dataclass(frozen=True)
class Cost:
    """Cost of one image.

    Attributes
    ----------
    macs : int
        Multiply-accumulates of convolutions and dense layers, without biases.
    biases : int
        Additions of convolutions' biases.
    normalized, pooled : int
        Elements that go through batch normalisation, and through pooling or a global mean (its results count, too).
    parameters, statistics : int
        Learnable scalars, and running means and variances, of what is run.
    """

    macs: int
    biases: int
    normalized: int
    pooled: int
    parameters: int
    statistics: int

    def as_dict(self) -> dict[str, Any]:
        """All counts, and ``conventions``: cost (in 1e9, but see there) and parameters by each of them."""
        conventions = {
            name: {"operations": convention.operations(self), "parameters": convention.parameters(self)}
            for name, convention in CONVENTIONS.items()
        }
        return asdict(self) | {"flops": 2 * self.macs, "conventions": conventions}


@dataclass(frozen=True)
class Convention:
    """How a publication counts.

    Attributes
    ----------
    text : str
        In words.
    operations : callable
        Its number of operations, in the unit that it prints with a G.
    parameters : callable
        Its number of parameters.
    """

    text: str
    operations: Callable[[Cost], float]
    parameters: Callable[[Cost], int] = lambda cost: cost.parameters


CONVENTIONS = {
    "macs": Convention("multiply-accumulates / 1e9", lambda cost: cost.macs / 1e9),
    "mxnetseg": Convention(
        "multiply-accumulates / 1e9; parameters with running statistics",
        lambda cost: cost.macs / 1e9,
        lambda cost: cost.parameters + cost.statistics,
    ),
    "mfaranet": Convention("multiply-accumulates / 1024^3, called GFLOPs", lambda cost: cost.macs / 2**30),
    "mlmsnet": Convention(
        "(multiply-accumulates + biases of convolutions + 2 per normalised + 1 per pooled element) / 1e9, called FLOPs",
        lambda cost: (cost.macs + cost.biases + 2 * cost.normalized + cost.pooled) / 1e9,
    ),
}


def network_cost(model: Any, height: int, width: int, aux: bool = False) -> Cost:
    """Cost of a network.

    Parameters
    ----------
    model : SegmentationModel or ExportedNetwork
        Its parameters may still be without shapes.
    height, width : int
        Size of the input.
    aux : bool
        Whether the auxiliary heads count.
    """
    symbol, known, data = model.symbol(aux), model.collect_params(), (1, 3, height, width)
    counted = list(operators(symbol, data=data))
    arguments, _, statistics = symbol.infer_shape(data=data)
    learnable = zip(symbol.list_arguments(), arguments, strict=True)
    return Cost(
        macs=sum(o.macs for o in counted),
        biases=sum(math.prod(o.output) for o in counted if o.kind == "Convolution" and len(o.inputs) == 3),
        normalized=sum(math.prod(o.output) for o in counted if o.kind in _NORMS),
        pooled=sum(math.prod(o.inputs[0]) + math.prod(o.output) for o in counted if o.kind in _POOLS),
        parameters=sum(math.prod(s) for name, s in learnable if name in known and known[name].grad_req != "null"),
        statistics=sum(map(math.prod, statistics)),
    )
