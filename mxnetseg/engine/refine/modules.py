"""Files of refinement modules."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx

from ...config import RefineConfig
from ...errors import CheckpointError
from ...models.refinement import RefinementModule
from ..checkpoint import load_checkpoint
from ..lookup import find_checkpoint
from ..weights import load_strictly

__all__ = ["load_modules", "load_refinement"]


def load_modules(config: RefineConfig, num_classes: int, ctx: mx.Context | None = None) -> list[RefinementModule]:
    """Refinement modules that a configuration names, none where there is nothing to refine.

    Raises
    ------
    CheckpointError
        If a file is missing, or is not one of a refinement module of that many classes.
    """
    files = config.weights if config.n_patches else []
    return [load_refinement(find_checkpoint(name), num_classes, ctx) for name in files]


def load_refinement(path: str | Path, num_classes: int, ctx: mx.Context | None = None) -> RefinementModule:
    """Refinement module of a file; its tensors tell how it is built.

    Parameters
    ----------
    path : path
        Parameters of a :class:`~mxnetseg.models.refinement.RefinementModule`.
    num_classes : int
        Classes of the segmentation network.
    ctx : Context, optional
        Where the module goes; the CPU when empty.

    Raises
    ------
    CheckpointError
        If the file is not one of a refinement module, or is for another number of classes.
    """
    params = load_checkpoint(path).params
    last = params.get("classifier.weight")
    if last is None or "conv1.conv.weight" not in params:
        raise CheckpointError(f"{path} holds no refinement module", "weights of a refinement module")
    if last.shape[0] != num_classes:
        raise CheckpointError(
            f"{path} refines {last.shape[0]} classes, the network has {num_classes}",
            "a refinement module trained on this network",
        )
    module = RefinementModule(num_classes, input_norm="bn0.gamma" in params)
    module.prepare()
    load_strictly(module, params, str(path), ctx or mx.cpu())
    return module
