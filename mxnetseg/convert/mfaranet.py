"""MFARANet: PyTorch networks of the main model, of scale choice on all backbones, of the speed form and ablations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mxnet import gluon, nd

from ..errors import ConfigError, NameNotFoundError, suggest
from ..models.base import SegmentationModel
from ..registry import MODELS
from .pytorch import own_names

__all__ = ["PrunedNet", "build", "names"]

# Official class (and, in brackets, file or state) -> our model and its options.
_MODELS = {
    "MFARANet": ("MFARANet", {}),
    "MFARANet (pruned)": ("MFARANet", {"pruned": True}),
    "MFARANet (Speed: decoder without BN)": ("MFARANet", {"decoder_norm": False}),
    "MFARANet_Scale_Choice": ("MFARANet", {}),
    "MFARANet_Scale_Choice_STDC": ("MFARANet", {}),
    "MFARANet_Scale_Choice_DFNet": ("MFARANet", {}),
    "FPN_Bottom_up_Scales_fuse (Bi_linear_up_Speed)": ("MFARANetAblation", {"kind": "bilinear"}),
    "FPN_Bottom_up_Scales_fuse (Direct_multi_level_feature_Speed)": ("MFARANetAblation", {"kind": "direct"}),
    "FPN_Bottom_up_Scales_fuse (RAM_Concat_Speed)": ("MFARANetAblation", {"kind": "concat"}),
}
_DROPOUT = {
    "MFARANet_Scale_Choice_STDC": (0, 0.05, 0.05, 0.05, 0.05),
    "MFARANet_Scale_Choice_DFNet": (0, 0.01, 0.01, 0.01, 0.01),
}
_BACKBONES = {
    "resnet18_deep_stem": "deepstem_resnet18",
    "resnet50_deep_stem": "deepstem_resnet50",
    "STDC_V1": "stdc1",
    "STDC_V2": "stdc2",
    "DFNet_V1": "dfnet_v1",
    "DFNet_V2": "dfnet_v2",
}
_ARGUMENTS = {
    "ASFM_stage_choose": "branches",
    "Branch_Choose": "branches",
    "Dropout_Rate_CNN": "dropout",
    "if_use_boundary_loss": "boundary",
    "use_aux_loss": "aux_head",
    "if_stage1_4_repeat_fuse": "repeat_fuse",
}
# The weights come from elsewhere, as does the loss. `use_PPM` makes modules that the network never runs.
_WITHOUT_EFFECT = ("criterion", "pretrained", "pretrain_model", "zoom_factor", "use_Multi_loss", "aux_weight")
_LISTS = "channel_changes|feature_fuses_up|feature_fuses_down|stage_fuses|stages_offset|multi_loss_head|boundary_heads"
_DECODER = (
    (r"^(HMSA|ASFM)_attentions\.(\d)\.", r"attentions\2."),
    (rf"^({_LISTS})\.(\d)\.", r"\1\2."),
    (r"^(channel_changes\d|feature_fuses_\w+\d|stage_fuses\d)\.0\.", r"\1.conv."),
    (r"^(channel_changes\d|feature_fuses_\w+\d|stage_fuses\d)\.1\.", r"\1.bn."),
    (r"^(multi_loss_head\d|boundary_heads\d)\.0\.", r"\1."),
    (r"^(attentions\d)\.0\.", r"\1.0.conv."),
    (r"^(attentions\d)\.1\.", r"\1.0.bn."),
    (r"^(attentions\d)\.[34]\.", r"\1.2."),
    (r"^score_head\.0\.", "score_head.0.conv."),
    (r"^score_head\.2\.", "score_head.1."),
)
_ENCODER = {
    "DeepStemResNet": (
        (r"^layer0\.0\.", "backbone.conv1."),
        (r"^layer0\.1\.", "backbone.bn1."),
        (r"^layer([1-4])\.(?:0\.(?=\d))?", r"backbone.layer\1."),
    ),
    "STDC": ((r"^layer\d\.0\.0\.(\d+)\.", r"backbone.features.\1."),),
    "DFNet": ((r"^layer", "backbone.layer"),),
}


class PrunedNet(gluon.Block):
    """A network that returns what its inference view does.

    Parameters
    ----------
    model : SegmentationModel
        Network of ours.

    Inputs: (N, 3, H, W). Outputs: tuple of the class scores alone.
    """

    def __init__(self, model: SegmentationModel):
        super().__init__()
        self.model = model

    def forward(self, x: nd.NDArray) -> tuple[nd.NDArray, ...]:
        """Run the network."""
        return (self.model.predict(x),)


def build(
    model: str, classes: int = 2, backbone_name: str = "resnet18_deep_stem", use_dilation: bool = True, **kwargs: Any
) -> gluon.Block:
    """Build our network for an official class name (see :func:`..build_reference`)."""
    if model not in _MODELS:
        raise NameNotFoundError(f"MFARANet has no network {model!r}", f"one of {', '.join(_MODELS)}")
    if backbone_name not in _BACKBONES:
        raise ConfigError(f"backbone {backbone_name!r}", f"one of {', '.join(_BACKBONES)}")
    if kwargs.pop("use_PPM", False):
        raise ConfigError("use_PPM=True", "False", "the official network makes these modules, but never runs them")
    name, options = _MODELS[model]
    official = _official(model, name, kwargs)
    options = {"dropout": _DROPOUT.get(model, (0, 0, 0, 0, 0)), **options}
    options |= {_ARGUMENTS[key]: value for key, value in official.items() if key in _ARGUMENTS}
    backbone = _BACKBONES[backbone_name]
    if backbone.startswith("deepstem"):
        options["backbone_options"] = {"dilation": use_dilation}
    net = MODELS.get(name)(classes, backbone=backbone, **options)
    net.prepare()
    return PrunedNet(net) if options.get("pruned") else net


def _official(model: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Official arguments that matter, checked; the ablations have none that could be true."""
    known = [*_ARGUMENTS, *_WITHOUT_EFFECT]
    for key, value in arguments.items():
        if key not in known or (value and key in _ARGUMENTS and name == "MFARANetAblation"):
            raise ConfigError(f"{model} has no argument {key}={value!r}", remedy=suggest(key, known))
    if name == "MFARANetAblation":
        return {}
    return {"if_use_boundary_loss": "Speed" not in model, **arguments}


def names(net: gluon.Block, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each official name; None for parts of the decoder that the network was built without."""
    model, prefix = (net.model, "model.") if isinstance(net, PrunedNet) else (net, "")
    rules = (*_ENCODER[type(model.backbone).__name__], *_DECODER)

    def rename(name: str) -> str | None:
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        part = name.partition(".")[0]
        optional = re.match(rf"({_LISTS}|attentions)\d$|aux_head$", part)
        return None if optional and part not in model._children else prefix + name

    return own_names(net, official, rename)
