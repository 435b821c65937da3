"""Pretrained weights of backbones: GluonCV's ImageNet weights, or a file."""

from __future__ import annotations

from pathlib import Path

from mxnet import nd

from ...errors import CheckpointError
from ..params_file import read_params_file
from ..weights import load_arrays
from .base import Backbone

__all__ = ["load_pretrained"]


def load_pretrained(backbone: Backbone, source: bool | str) -> None:
    """Fill an initialised backbone with pretrained weights.

    Parameters
    ----------
    backbone : Backbone
        Backbone whose parameters are initialised.
    source : bool or str
        True: GluonCV's ImageNet weights, downloaded when they are not in its cache. A path: a ``.params`` file
        with the classifier's, the backbone's or a whole segmentation network's parameters. False: nothing.

    Raises
    ------
    CheckpointError
        If the weights cannot be had, or do not fill every parameter of the backbone.
    """
    if source is False:
        return
    arrays = backbone.own_arrays(_imagenet(backbone) if source is True else read_params_file(Path(source))[0])
    names = {name: _own_name(backbone, name) for name in arrays}
    report = load_arrays(backbone, arrays, names)
    wrong = report.missing + [name for name, _, _ in report.mismatched]
    if wrong:
        raise CheckpointError(
            f"{'ImageNet weights' if source is True else source} do not fit the backbone: {len(wrong)} tensors are "
            f"missing or differ in shape, e.g. {', '.join(wrong[:3])}",
            "weights of the same backbone",
            "choose the backbone that they belong to, or leave model.pretrained=false",
        )


def _own_name(backbone: Backbone, name: str) -> str:
    """Name inside the backbone of a tensor of a segmentation network or of a classifier."""
    return name.removeprefix("backbone.") if name.startswith("backbone.") else backbone.own_name(name)


def _imagenet(backbone: Backbone) -> dict[str, nd.NDArray]:
    """Tensors of GluonCV's ImageNet classifier by structural name."""
    if backbone.imagenet is None:
        raise CheckpointError(
            "there are no downloadable ImageNet weights for this backbone",
            "a file",
            "give one: model.pretrained=FILE.params",
        )
    from gluoncv.model_zoo import get_model

    try:
        classifier = get_model(backbone.imagenet, pretrained=True)
    except Exception as error:
        raise CheckpointError(
            f"cannot get the ImageNet weights {backbone.imagenet!r}: {str(error).splitlines()[0][:200]}",
            f"network access, or {_cached_file(backbone.imagenet)} in place",
            "copy the file there, give another with model.pretrained=FILE.params, or train without: "
            "model.pretrained=false",
        ) from error
    return {name: parameter.data() for name, parameter in classifier._collect_params_with_prefix().items()}


def _cached_file(name: str) -> str:
    """Where GluonCV keeps downloaded weights."""
    from gluoncv.model_zoo.model_store import short_hash

    return f"$MXNET_HOME/models (default ~/.mxnet/models)/{name}-{short_hash(name)}.params"
