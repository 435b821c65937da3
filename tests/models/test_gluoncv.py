"""Networks of GluonCV's families give what GluonCV's own give with the same weights."""

from functools import reduce

import numpy as np
import pytest
from gluoncv.model_zoo.deeplabv3b_plus import DeepLabWV3Plus
from gluoncv.model_zoo.fastscnn import FastSCNN
from gluoncv.model_zoo.hrnet import get_hrnet
from gluoncv.model_zoo.icnet import ICNet
from mxnet import nd

from models.networks import image
from mxnetseg.config import ModelConfig
from mxnetseg.models import build_model

CLASSES, SIZE = 7, (64, 96)
FIXED = {"height": SIZE[0], "width": SIZE[1], "pretrained_base": False}

# Blocks of GluonCV and of ours that hold the same layers in the same order.
ICNET = {
    **{part: f"backbone.{part}" for part in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")},
    **{part: part for part in ("conv_sub1", "conv_sub2", "conv_sub4", "head.conv_cls")},
    "psp_head.psp": "psp_head.0",
    "psp_head.block": "psp_head.1",
    **{f"head.{cff}.conv_low": f"head.{cff}.conv_low" for cff in ("cff_12", "cff_24")},
    **{f"head.{cff}.conv_hign": f"head.{cff}.conv_high" for cff in ("cff_12", "cff_24")},
    "head.cff_12.conv_low_cls": "aux_head.0",
    "head.cff_24.conv_low_cls": "aux_head.1",
}
FASTSCNN = {
    **{f"learning_to_downsample.{part}": f"backbone.{part}" for part in ("conv", "dsconv1", "dsconv2")},
    **{f"global_feature_extractor.bottleneck{i}": f"backbone.bottleneck{i}" for i in (1, 2, 3)},
    **{f"global_feature_extractor.ppm.conv{i}": f"head.ppm.conv{i}" for i in (1, 2, 3, 4)},
    "global_feature_extractor.ppm.out": "head.out",
    "feature_fusion.dwconv": "head.feature_fusion.dwconv",
    "feature_fusion.conv_lower_res": "head.feature_fusion.conv_lower_res.conv",
    "feature_fusion.bn": "head.feature_fusion.conv_lower_res.bn",
    "feature_fusion.conv_higher_res": "head.feature_fusion.conv_higher_res.conv",
    "feature_fusion.bn_high": "head.feature_fusion.conv_higher_res.bn",
    **{f"classifier.{part}": f"head.{part}" for part in ("dsconv1", "dsconv2", "conv")},
    "auxlayer": "aux_head",
}
_BRANCHES = ("conv1", "bn1", "conv2", "bn2", "layer1", "transition1", "transition2", "transition3")
HRNET = {
    **{part: f"backbone.{part}" for part in (*_BRANCHES, "stage2", "stage3", "stage4")},
    "last_layer": "head",
}
WIDE = {
    **{f"mod{i}": f"backbone.mod{i}" for i in range(1, 8)},
    **{f"head.aspp.b{i}": f"head.aspp.branches.{i}" for i in range(5)},
    "head.aspp.project": "head.aspp.projection",
    "head.c1_block": "head.c1_block",
    **{f"head.block.{i}": f"head.conv{path}" for i, path in ((0, "1.conv"), (1, "1.bn"), (3, "2.conv"), (4, "2.bn"))},
    "head.block.6": "head.conv3",
}


def hrnet(width):
    return get_hrnet(width, purpose="seg", stage_interp_type="bilinear_like", num_classes=CLASSES)


NETWORKS = {
    "fastscnn": ("FastSCNN", "fastscnn", lambda: FastSCNN(CLASSES, **FIXED), FASTSCNN),
    "icnet": ("ICNet", "resnet50", lambda: ICNet(CLASSES, "resnet50", **FIXED), ICNET),
    "hrnet_small_v1": ("HRNet", "hrnet_w18_small_v1", lambda: hrnet("w18_small_v1"), HRNET),
    "hrnet_small_v2": ("HRNet", "hrnet_w18_small_v2", lambda: hrnet("w18_small_v2"), HRNET),
    "hrnet_w18": ("HRNet", "hrnet_w18", lambda: hrnet("w18"), HRNET),
    "hrnet_w48": ("HRNet", "hrnet_w48", lambda: hrnet("w48"), HRNET),
    "deeplabv3b+": ("DeepLabv3b+", "wideresnet38", lambda: DeepLabWV3Plus(CLASSES, **FIXED), WIDE),
}
SLOW = ("icnet", "hrnet_small_v2", "hrnet_w18", "hrnet_w48", "deeplabv3b+")


def child(block, path):
    return reduce(lambda b, name: b[int(name)] if name.isdigit() else getattr(b, name), path.split("."), block)


def fill(net, seed):
    """Weights that keep the signal alive, and statistics that matter."""
    rng = np.random.default_rng(seed)
    net.initialize(force_reinit=True)
    net(nd.zeros((1, 3, *SIZE)))
    for name, parameter in net._collect_params_with_prefix().items():
        shape = parameter.shape
        if name.endswith(("gamma", "running_var")):
            value = rng.uniform(0.6, 1.6, shape)
        elif name.endswith("weight"):
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            value = 0.2 * rng.standard_normal(shape)
        parameter.set_data(nd.array(value))


def _pool_last(weight):
    """GluonCV puts the pooled branch of the pyramid before the others."""
    return nd.concat(weight[:, 256:], weight[:, :256], dim=1)


def copy(theirs, ours, blocks):
    """Copy all parameters; none of ours may be left."""
    filled = []
    for source, target in blocks.items():
        pair = [list(child(net, path).collect_params().values()) for net, path in ((theirs, source), (ours, target))]
        for a, b in zip(*pair, strict=True):
            assert a.shape == b.shape, (a.name, b.name)
            b.set_data(_pool_last(a.data()) if target == "head.aspp.projection" else a.data())
            filled.append(b.name)
    assert sorted(filled) == sorted(ours.collect_params())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NETWORKS]
)
def test_outputs_equal(name):
    model, backbone, reference, blocks = NETWORKS[name]
    theirs, ours = reference(), build_model(ModelConfig(name=model, backbone=backbone), CLASSES)
    for seed in range(2):
        fill(theirs, seed)
        copy(theirs, ours, blocks)
        x = image(*SIZE, batch=2, seed=seed)
        wanted, got = theirs(x), ours(x)
        if model == "ICNet":
            # GluonCV gives the main scores at a quarter of the image as well.
            wanted = [wanted[0], *wanted[2:]]
        wanted = wanted if isinstance(wanted, list | tuple) else [wanted]
        assert len(wanted) == len(got)
        for a, b in zip(wanted, got, strict=True):
            a = nd.contrib.BilinearResize2D(a, height=SIZE[0], width=SIZE[1], align_corners=ours.align_corners)
            assert a.asnumpy().std() > 0.1
            np.testing.assert_allclose(b.asnumpy(), a.asnumpy(), rtol=1e-3, atol=1e-4 * float(a.abs().max().asscalar()))
