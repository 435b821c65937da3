"""Building bricks of the networks."""

from .activation import Activation, PReLU, relu
from .concat import concat
from .context import ASPPModule, GlobalFlow, PPModule
from .conv import GCN, ConvModule2d, ConvTransposeModule2d, DepthwiseSeparableConv2d, FactorizedConv2d
from .deformable import ModulatedDeformableConv2d
from .downsample import PooledDownsample
from .fusion import LateralFusion
from .heads import AuxHead, FCNHead
from .norm import GroupNorm, NormLayer, NormPReLU, make_norm, set_momentum
from .pool import adaptive_avg_pool_like, shrunken_size
from .resize import double_like, resize_like
from .semantic_enhancement import SeEModule
from .warp import warp

__all__ = [
    "GCN",
    "ASPPModule",
    "Activation",
    "AuxHead",
    "ConvModule2d",
    "ConvTransposeModule2d",
    "DepthwiseSeparableConv2d",
    "FCNHead",
    "FactorizedConv2d",
    "GlobalFlow",
    "GroupNorm",
    "LateralFusion",
    "ModulatedDeformableConv2d",
    "NormLayer",
    "NormPReLU",
    "PPModule",
    "PReLU",
    "PooledDownsample",
    "SeEModule",
    "adaptive_avg_pool_like",
    "concat",
    "double_like",
    "make_norm",
    "relu",
    "resize_like",
    "set_momentum",
    "shrunken_size",
    "warp",
]
