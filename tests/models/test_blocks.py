"""Building blocks against recorded outputs."""

import json
from functools import partial

import numpy as np
import pytest
from mxnet import gluon, nd

from mxnetseg.models import layers
from mxnetseg.models.acfnet import ACFModule
from mxnetseg.models.alignseg import AlignBlock, AlignCM, AlignFA, RCBlock
from mxnetseg.models.attanet import AttentionFusionModule, StripAttentionModule
from mxnetseg.models.attentiontoscale import AttentionHead
from mxnetseg.models.backbones import build_backbone
from mxnetseg.models.bisenet import ARModule, FFModule, SpatialPath
from mxnetseg.models.canetv1 import CANetv1Head, ContextFlow, ContextFlowShuffle, FeatureSelection
from mxnetseg.models.canetv2 import CANetv2Bottleneck, EncoderDecoder
from mxnetseg.models.danet import ChannelAttention, SelfAttentionModule
from mxnetseg.models.denseaspp import DenseASPPModule
from mxnetseg.models.weights import load_arrays


class Xception39(gluon.HybridBlock):
    """The classifier around our backbone."""

    def __init__(self):
        super().__init__()
        self.backbone = build_backbone("xception39")
        self.pool, self.fc = gluon.nn.GlobalAvgPool2D(), gluon.nn.Dense(1000, in_units=256)

    def hybrid_forward(self, F, x):
        return self.fc(self.pool(self.backbone(x)[3]))


BLOCKS = {
    "ConvModule2d__none__k3_nonorm_hswish": layers.ConvModule2d,
    "ConvModule2d__none__k5s2p4d2g4_b": layers.ConvModule2d,
    "DepthwiseSeparableConv2d__none__mobilenet": layers.DepthwiseSeparableConv2d,
    "DepthwiseSeparableConv2d__none__xception": layers.DepthwiseSeparableConv2d,
    "FactorizedConv2d__none__k5s2": layers.FactorizedConv2d,
    "FCNHead__none__in64": layers.FCNHead,
    "FCNHead__none__in320": layers.FCNHead,
    "AuxHead__none__in128": layers.AuxHead,
    "GlobalFlow__none__c48": layers.GlobalFlow,
    "PPModule__none__in64": layers.PPModule,
    "GCN__none__k7": layers.GCN,
    "ASPPModule__none__c64_pool": layers.ASPPModule,
    "ASPPModule__none__c64_nopool": layers.ASPPModule,
    "LateralFusion__none__c32": layers.LateralFusion,
    "SeEModule__none__c32": layers.SeEModule,
    "SeEModule__none__c32_full": layers.SeEModule,
    "ARModule__none__c64": ARModule,
    "FFModule__none__c64": FFModule,
    "SpatialPath__none__c128": SpatialPath,
    "ACFModule__none__c64k19": ACFModule,
    "AlignBlock__none__c64": AlignBlock,
    "AlignCM__none__c64": AlignCM,
    "AlignFA__none__c64": AlignFA,
    "RCBlock__none__c64": RCBlock,
    "AttentionHead__none__sigmoid": AttentionHead,
    "AttentionHead__none__softmax": AttentionHead,
    "AttentionFusionModule__none__c64": AttentionFusionModule,
    "StripAttentionModule__none__c64": StripAttentionModule,
    "CANetv1Head__none__attention": partial(CANetv1Head, c1=256, c4=2048),
    "ContextFlow__none__c64s4": partial(ContextFlow, in_channels=2112),
    "ContextFlowShuffle__none__c64s2g4": partial(ContextFlowShuffle, in_channels=160),
    "FeatureSelection__none__c64": FeatureSelection,
    "CANetv2Bottleneck__none__c64": CANetv2Bottleneck,
    "EncoderDecoder__none__s4c64": EncoderDecoder,
    "ChannelAttention__none__c64": lambda in_channels: ChannelAttention(),
    "DenseASPPModule__none__c256": DenseASPPModule,
    "SelfAttentionModule__none__c64": SelfAttentionModule,
    "Xception39__none__cls1000": Xception39,
}


def arguments(kwargs):
    """Ours for the recorded ones: sizes are not fixed at construction, batch normalisation is the default."""
    renamed = {"nclass": "num_classes"}
    dropped = {k for k, v in kwargs.items() if k.startswith("_") or k in ("height", "width") or v == "BatchNorm"}
    return {renamed.get(k, k): v for k, v in kwargs.items() if k not in dropped}


def own_name(block, name):
    if isinstance(block, Xception39) and not name.startswith("fc."):
        return "backbone." + block.backbone.own_name(name)
    return name


@pytest.mark.parametrize("case", BLOCKS)
def test_recorded_output(shared, oracle, case):
    path = shared / "oracle" / f"mxnetseg__block_{case}"
    meta, recorded = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    block = BLOCKS[case](**arguments(meta["kwargs"]))
    block.initialize()
    inputs = [nd.array(oracle.image(shape, seed)) for shape, seed in meta["kwargs"]["_inputs"]]
    block(*inputs)
    state = {name: oracle.tensor(name, shape) for name, shape in meta["tensors"]}
    report = load_arrays(block, state, {name: own_name(block, name) for name in state})
    assert report.complete, report
    got = block(*inputs).asnumpy()
    assert oracle.compare(recorded["logits"], meta["outputs"]["logits"], got, meta["stride"]) < 1e-5
    learnable = [p for p in block.collect_params().values() if p.grad_req != "null"]
    assert sum(p.data().size for p in learnable) == meta["params"]
