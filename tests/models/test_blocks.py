"""Building blocks against recorded outputs."""

import json

import numpy as np
import pytest
from mxnet import gluon, nd

from mxnetseg.models import layers
from mxnetseg.models.backbones import build_backbone
from mxnetseg.models.bisenet import ARModule, FFModule, SpatialPath
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
    "ChannelAttention__none__c64": lambda in_channels: ChannelAttention(),
    "DenseASPPModule__none__c256": DenseASPPModule,
    "SelfAttentionModule__none__c64": SelfAttentionModule,
    "Xception39__none__cls1000": Xception39,
}


def own_name(block, name):
    if isinstance(block, Xception39) and not name.startswith("fc."):
        return "backbone." + block.backbone.own_name(name)
    return name


@pytest.mark.parametrize("case", BLOCKS)
def test_recorded_output(shared, oracle, case):
    path = shared / "oracle" / f"mxnetseg__block_{case}"
    meta, recorded = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    arguments = {k: v for k, v in meta["kwargs"].items() if not k.startswith("_")}
    if "nclass" in arguments:
        arguments["num_classes"] = arguments.pop("nclass")
    block = BLOCKS[case](**arguments)
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
