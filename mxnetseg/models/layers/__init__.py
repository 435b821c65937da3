"""Building bricks of the networks."""

from .activation import Activation, PReLU
from .context import ASPPModule, GlobalFlow, PPModule
from .conv import GCN, ConvModule2d, DepthwiseSeparableConv2d, FactorizedConv2d
from .fusion import LateralFusion
from .heads import AuxHead, FCNHead
from .norm import GroupNorm, NormLayer, make_norm
from .resize import resize_like
from .semantic_enhancement import SeEModule

__all__ = [
    "GCN",
    "ASPPModule",
    "Activation",
    "AuxHead",
    "ConvModule2d",
    "DepthwiseSeparableConv2d",
    "FCNHead",
    "FactorizedConv2d",
    "GlobalFlow",
    "GroupNorm",
    "LateralFusion",
    "NormLayer",
    "PPModule",
    "PReLU",
    "SeEModule",
    "make_norm",
    "resize_like",
]
