"""Networks as the tests use them: small backbones, no dropout."""

from __future__ import annotations

import inspect

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.config import ModelConfig
from mxnetseg.models import build_model
from mxnetseg.models.base import usable_backbones
from mxnetseg.models.layers import ModulatedDeformableConv2d
from mxnetseg.registry import MODELS

CLASSES = 5
# Options that make the tests of the heaviest models affordable. ContextNet and MiniNetV2 normalise their scores, so
# that the mean square, of which the tests take gradients, hardly depends on anything.
OPTIONS = {
    "CANetv2": {"dilate": False},
    "ContextNet": {"linear_scores": True},
    "DFN": {"width": 16},
    "DeepLabv3": {"dilate": False},
    "DeepLabv3PlusR": {"dilate": False},
    "DeepLabv3PlusX": {"output_stride": 32},
    "MiniNetV2": {"linear_scores": True},
    "RefineNet": {"width": 16},
    "SETR": {"crop_size": 48},
}
# Deep enough to be tested at leisure only (the references of conversion cover its values).
HEAVY = (
    "ACFNet",
    "AGLNet",
    "AlignSeg",
    "AttaNet",
    "AttentionToScale",
    "BiSeNetV1",
    "CANetv1",
    "CANetv2",
    "CGNet",
    "CIFReNet",
    "ContextNet",
    "DANet",
    "DeepLabV2",
    "DeepLabv3bPlus",
    "DeepLabv3PlusX",
    "DenseASPP",
    "DFANet",
    "DFN",
    "EDANet",
    "ENet",
    "ERFNet",
    "ESPNet",
    "ESPNetC",
    "FaPN",
    "GFFNet",
    "HRNet",
    "HRNetOCR",
    "ICNet",
    "ICNetImages",
    "LadderDenseNet",
    "MagNetFPN",
    "MagNetPSP",
    "MFARANet",
    "MFARANetAblation",
    "MiniNetV2",
    "MLCRNet",
    "MLMSBaseline",
    "MLMSNet",
    "MLMSNetv2",
    "PSPNetSemseg",
    "RefineNet",
    "SeENet",
    "SemanticFPN",
    "SETR",
    "SFNet",
    "SGCPNet",
    "ShelfNet",
    "STDCSeg",
    "SwiftNetPreAct",
    "SwiftResNetPr",
)
# Relative difference of gradients in two modes, where not 1e-3: a displaced pixel's gradient jumps where rounding moves
# it across the border of another (relative noise of 1e-6 in the image changes AlignSeg's by 7e-3); normalisation over a
# dozen values multiplies rounding (noise of 1e-7: DeepLabv3bPlus' by 3e-3, SwiftNetPreAct's by 6e-3, SGCPNet's by 0.2).
GRADIENT_TOLERANCE = {
    "AlignSeg": 5e-2,
    "DeepLabv3bPlus": 1e-2,
    "MiniNetV2": 1e-1,
    "SGCPNet": 5e-1,
    "SwiftNetPreAct": 1e-2,
}
# Relative difference of outputs in two modes, where not 1e-5: softmax over scores of hundreds multiplies rounding.
OUTPUT_TOLERANCE = {"HRNetOCR": 2e-4}
# Relative step along the gradient, where not 1e-3: in larger ones, ENet's maxima move to other pixels.
GRADIENT_STEP = {"ENet": 1e-4}
# At random weights, MiniNetV2's thirty normalised layers without shortcuts amplify rounding until no difference of its
# outputs tells a derivative: relative noise of 1e-6 in the image changes its gradient by half.
CHAOTIC = ("MiniNetV2",)
# Norm with which a network is smooth, where not group normalisation: over DFANet's more than a hundred layers, that
# multiplies rounding by ten thousand. Statistics are frozen.
SMOOTH_NORM = {"DFANet": "bn"}
EACH = [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in MODELS.names()]


SMALL_BACKBONES = (
    "resnet18_half",
    "resnet18",
    "vit_tiny_16",
    "hrnet_w18_small_v1",
    "wideresnet16",
    "mobilenet_v3_small_0_75",
    "stdc1",
    "deepstem_resnet18",
)


def small_backbone(model: str) -> str | None:
    """The first small backbone that the model takes, otherwise its default; None for a network without one."""
    usable = usable_backbones(model)
    return next((b for b in SMALL_BACKBONES if b in usable), MODELS.entry(model).meta.get("default_backbone"))


def small_model(model: str, dropout: bool = True, **settings):
    """Registered model on its small backbone, initialised from a fixed seed."""
    mx.random.seed(0)
    settings.setdefault("backbone", small_backbone(model))
    settings.setdefault("options", OPTIONS.get(model, {}))
    net = build_model(ModelConfig(name=model, **settings), CLASSES)
    net.apply(off_kinks)
    if not dropout:
        net.apply(without_dropout)
    return net


def bare_model(model: str):
    """The same network without parameter values."""
    backbone = {"backbone": small_backbone(model)} if small_backbone(model) else {}
    return MODELS.get(model)(CLASSES, **backbone, **with_aux(model), **OPTIONS.get(model, {}))


def with_aux(model: str) -> dict:
    """Constructor arguments that ask for the auxiliary heads, where the model can have them."""
    return {"aux": True} if "aux" in inspect.signature(MODELS.get(model)).parameters else {}


def without_dropout(block: gluon.Block) -> None:
    """Switch a dropout layer off."""
    if isinstance(block, gluon.nn.Dropout):
        block._rate = 0


def off_kinks(block: gluon.Block) -> None:
    """Shift deformable convolutions: at whole pixels, where they start, they have no derivative."""
    if isinstance(block, ModulatedDeformableConv2d):
        block.offset_bias.set_data(nd.random.uniform(0.3, 0.7, block.offset_bias.shape))


def image(height: int, width: int, batch: int = 1, seed: int = 0) -> nd.NDArray:
    """Generated input batch."""
    return nd.array(np.random.RandomState(seed).standard_normal((batch, 3, height, width)))


def inference_scores(net, outputs) -> np.ndarray:
    """What inference makes of all outputs: some networks average an auxiliary map in."""
    mix = net.mix if net.aux else 0
    return (outputs[0].asnumpy() + mix * outputs[1].asnumpy()) / (1 + mix) if mix else outputs[0].asnumpy()


def gradients(net, x) -> dict:
    """Gradient of a fixed function of all outputs with respect to every learnable parameter, by structural name."""
    with autograd.record():
        loss = sum((y * y).mean() for y in net(x))
    loss.backward()
    parameters = net._collect_params_with_prefix()
    return {name: p.grad().asnumpy() for name, p in parameters.items() if p.grad_req != "null"}
