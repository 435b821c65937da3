"""Names of the tensors of ImageNet classifiers in the backbones that were cut out of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable

from ..models.backbones.base import Backbone
from ..models.backbones.hrnet import HRNetBackbone
from ..models.backbones.mobilenetv3 import MobileNetV3Backbone
from .pytorch import own_names

__all__ = ["backbone_names"]

_PREFIX = "backbone."
# Parts of the published classifiers behind the features.
_CLASSIFIERS = (
    r"(fc|classifier|output|head|linear|last_linear|incre_modules|incre_blocks|downsamp_modules|downsamp_blocks|final_layer|bn|conv|conv_last"
    r"|stage1\.4|x\d+)\."
)
_DEEP_STEM = {"conv1.": "conv1.0.", "bn1.": "conv1.1.", "conv2.": "conv1.3.", "bn2.": "conv1.4."}


def backbone_names(backbone: Backbone, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each tensor of a classifier.

    Knows ResNet as torchvision names it (7x7 stem), with the deep stem as ``conv1.0 ... conv1.6``, ``conv1 ... conv3``
    or ``stem.0 ... stem.7``; MobileNetV3 as ``features.N.conv``; HRNet's published files; STDC, DFNet and GluonCV's.

    Parameters
    ----------
    backbone : Backbone
        Backbone with complete parameter shapes.
    official : iterable of str
        Tensor names, of the classifier alone or of a network that has the classifier's features as ``backbone``.

    Returns
    -------
    dict
        None where a tensor belongs to the classifier that the backbone does not have.
    """
    names = list(official)
    inside = any(name.startswith(_PREFIX) for name in names)
    rename = _renaming(backbone, [name.removeprefix(_PREFIX) for name in names])
    last = max(map(_number, backbone.renamed), default=sys.maxsize)
    layers = {name.rpartition(".")[0] for name in backbone._collect_params_with_prefix()}

    def own(name: str) -> str | None:
        if inside and not name.startswith(_PREFIX):
            return None
        name = name.removeprefix(_PREFIX)
        target = backbone.own_name(rename(name))
        known = target.rpartition(".")[0] in layers
        return None if not known and (re.match(_CLASSIFIERS, name) or _number(name) > last) else target

    return own_names(backbone, names, own)


def _renaming(backbone: Backbone, names: Iterable[str]) -> Callable[[str], str]:
    """Rule for the names that differ from ours by more than a prefix."""
    if isinstance(backbone, HRNetBackbone):
        return _hrnet
    if isinstance(backbone, MobileNetV3Backbone):
        return _mobilenet(backbone)
    if "conv3.weight" in names and "conv1.6.weight" in backbone._collect_params_with_prefix():
        return _three_convolutions
    return _stem


def _number(name: str) -> int:
    """Place of a layer in the classifier's ``features``, those behind the backbone's being the classifier's; or -1."""
    match = re.match(r"features\.(\d+)\.", name)
    return int(match[1]) if match else -1


def _stem(name: str) -> str:
    """Deep stem of mmsegmentation's ResNetV1c: the normalisation of its last convolution is the backbone's bn1."""
    return re.sub(r"^stem\.", "conv1.", re.sub(r"^stem\.7\.", "bn1.", name))


def _three_convolutions(name: str) -> str:
    """Deep stem whose convolutions are children of the network."""
    head, dot, rest = name.partition(".")
    return {"conv3": "conv1.6.", "bn3": "bn1."}.get(head, _DEEP_STEM.get(head + dot, head + dot)) + rest


def _mobilenet(backbone: MobileNetV3Backbone) -> Callable[[str], str]:
    """``features.0`` is the stem, the others follow each other through the stages."""
    places = ["layer0.0"]
    for number in range(1, 5):
        places += [f"layer{number}.{i}" for i in range(len(getattr(backbone, f"layer{number}")))]

    def rename(name: str) -> str:
        match = re.fullmatch(r"features\.(\d+)\.(.*)", name)
        return f"{places[int(match[1])]}.{match[2]}" if match and int(match[1]) < len(places) else name

    return rename


def _hrnet(name: str) -> str:
    """Layers of a residual block, and the steps of a fusion, follow each other in ours: convolution, norm, ReLU."""
    block = re.fullmatch(r"(layer1\.\d+|stage\d\.\d+\.branches\.\d\.\d+)\.(conv|bn)(\d)\.(\w+)", name)
    if block:
        place, kind, number, rest = block.groups()
        return f"{place}.body.{3 * (int(number) - 1) + (kind == 'bn')}.{rest}"
    step = re.fullmatch(r"(stage.*\.fuse_layers\.\d\.\d)\.(\d)\.([01])\.(\w+)", name)
    return f"{step[1]}.{3 * int(step[2]) + int(step[3])}.{step[4]}" if step else name
