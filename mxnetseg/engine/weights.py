"""Moving parameter values between networks, files and averages."""

from __future__ import annotations

from collections.abc import Iterable

import mxnet as mx
from mxnet import gluon, nd

from ..errors import CheckpointError

__all__ = ["load_strictly", "parameters", "values"]


def parameters(net: gluon.Block) -> dict[str, gluon.Parameter]:
    """Parameters by structural name (``backbone.conv1.weight``), as ``save_parameters`` names them."""
    return net._collect_params_with_prefix()


def values(net: gluon.Block) -> dict[str, nd.NDArray]:
    """Values of all parameters on their first context, by structural name."""
    return {name: param.list_data()[0] for name, param in parameters(net).items()}


def _first(names: Iterable[str], limit: int = 5) -> str:
    listed = sorted(names)
    return ", ".join(listed[:limit]) + (f", ... ({len(listed)} in all)" if len(listed) > limit else "")


def load_strictly(
    net: gluon.Block, arrays: dict[str, nd.NDArray], source: str, ctx: mx.Context | list[mx.Context]
) -> None:
    """Give every parameter its value from `arrays`; names and shapes must agree exactly.

    Raises
    ------
    CheckpointError
        With the tensors that are missing, superfluous or of another shape.
    """
    params = parameters(net)
    missing, unused = params.keys() - arrays.keys(), arrays.keys() - params.keys()
    shapes = [n for n in params.keys() & arrays.keys() if not _fits(params[n], arrays[n])]
    if missing or unused or shapes:
        lists = {"missing": missing, "superfluous": unused, "differently_shaped": shapes}
        found = "; ".join(f"{kind.replace('_', ' ')}: {_first(names)}" for kind, names in lists.items() if names)
        raise CheckpointError(
            f"{source} does not fit the network; {found}",
            "exactly the tensors of the network",
            "to start from parts of a checkpoint, use model.init=FILE",
        )
    _assign(params, arrays, ctx)


def _fits(param: gluon.Parameter, array: nd.NDArray) -> bool:
    shape = param.shape
    return shape is None or (
        len(shape) == array.ndim and all(a in (b, 0) for a, b in zip(shape, array.shape, strict=True))
    )


def _assign(
    params: dict[str, gluon.Parameter], arrays: dict[str, nd.NDArray], ctx: mx.Context | list[mx.Context]
) -> None:
    contexts = [ctx] if isinstance(ctx, mx.Context) else list(ctx)
    for name, param in params.items():
        param.shape = arrays[name].shape
        if param._data is None:
            param.initialize(mx.init.Zero(), ctx=contexts)
        elif param.list_ctx() != contexts:
            param.reset_ctx(contexts)
        param.set_data(arrays[name])
