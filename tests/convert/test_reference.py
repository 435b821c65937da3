"""Official networks with generated weights give the recorded outputs."""

import numpy as np
import pytest
from mxnet import nd

from mxnetseg.convert import build_reference, load_reference, systems
from mxnetseg.errors import ConfigError, NameNotFoundError

QUICK = [
    "EPRNetCls__eprnet_cls__c1000_128x128_g220",
    "EPRNet__eprnet_cls__nc19_128x128_g220",
    "ACFNet__resnet18__nc19_128x128_b2_g170",
    "AlignSeg__resnet18__nc19_128x128_g150",
    "AttaNet__resnet18__nc19_128x128_b2_g170",
    "AttentionToScale__resnet18__nc19_128x128_g170",
    "CANetv2__resnet18__nc19_128x128_b2_g170",
    "BiSeNetR__resnet18__nc19_128x128_g170",
    "BiSeNetX__xception39__nc19_128x128_g140",
    "DANet__resnet18__nc19_128x128_b2_g170",
    "DeepLabv3__resnet18__nc19_128x128_g170",
    "FCNMobileNet__mobilenet_v2_0_5__nc19_128x128_noaux_g220",
    "FCNMobileNet__mobilenet_v2_1_0__nc19_128x128_aux",
    "FCNResNet__resnest14__nc19_96x96_aux_g170",
    "FCNResNet__resnet18__nc19_96x96_aux_g170",
    "FCNResNet__resnet18__nc19_96x96_os32_noaux",
    "FaPN__resnet18__nc19_96x96_noaux_g170",
    "SwiftResNetPr__resnet18__nc19_128x128_aux_g170",
    "SemanticFPN__resnet50__nc19_96x96_g170",
    "SwiftResNet__resnet18__nc19_128x128_aux_g170",
    "VisionTransformer__tiny__cls_c10_64x64_b2_g170",
    "VisionTransformer__tiny__mean_c10_64x64_b2_g170",
]
SLOW = [
    "EPRNetCls__eprnet_cls_light__c1000_128x128_g170",
    "EPRNet__eprnet_cls_light__nc19_128x128_g170",
    "CANetv1__resnet50__nc19_128x128_g170",
    "DeepLabv3PlusR__resnet50__nc19_96x96_g170",
    "DeepLabv3PlusX__xception65__nc19_96x96_g170",
    "DeepLabv3__resnet50__nc19_96x128_os32_g170",
    "DenseASPP__resnet50__nc19_96x96_g170",
    "FCNMobileNet__mobilenet_v2_0_5__nc19_128x128_noaux_g300",
    "FCNResNet__resnest101__nc19_96x96_aux_g170",
    "FCNResNet__resnest26__nc19_96x96_aux_g170",
    "FCNResNet__resnest50__nc19_96x96_aux_g170",
    "FCNResNet__resnet101__nc19_96x96_aux_g170",
    "FCNResNet__resnet34__nc19_96x96_aux_g170",
    "FCNResNet__resnet50__nc19_96x96_os32_noaux_g170",
    "GFFNet__resnet50__nc19_96x96_aux_g170",
    "PSPNet__resnet50__nc19_96x96_aux_g170",
    "FaPN__resnet50__nc19_96x96_aux_g170",
    "SETR__vit_large_16__mla_nc19_96x96_aux_g170",
    "SETR__vit_large_16__naive_nc19_96x96_aux_g170",
    "SETR__vit_large_16__pup_nc19_96x96_aux_g170",
    "LadderDenseNet__densenet121__nc19_96x96_aux_g220",
    "LadderDenseNet__densenet201__nc19_96x96_noaux_g220",
    "SeENet__resnet50__nc19_96x96_aux_g170",
]


@pytest.mark.parametrize("name", QUICK + [pytest.param(name, marks=pytest.mark.slow) for name in SLOW])
def test_recorded_output(harness, shared, name):
    case = harness.load_case(shared / "oracle" / f"mxnetseg__{name}")
    errors, learnable, report = harness.check(case)
    assert report.complete, report
    assert max(errors.values()) <= case.tolerance
    assert learnable == case.params


@pytest.fixture(scope="module")
def small(harness, shared):
    return harness.load_case(shared / "oracle" / "mxnetseg__FCNMobileNet__mobilenet_v2_0_5__nc19_128x128_noaux")


def test_outputs_have_the_official_size(small):
    """Height and width as given, otherwise the crop size, whatever the input's size; the maps are the same."""
    full = build_reference("mxnetseg", small.model, **small.kwargs)
    fixed = build_reference("mxnetseg", small.model, **{**small.kwargs, "height": 60, "width": None, "crop_size": 90})
    for net in (full, fixed):
        load_reference(net, small.state, "mxnetseg")
    x = nd.array(small.image)
    assert fixed(x)[0].shape == (1, 19, 60, 90)
    fixed.hybridize()
    corners = fixed(x)[0].asnumpy()[..., ::59, ::89]
    np.testing.assert_allclose(corners, full(x)[0].asnumpy()[..., ::127, ::127], rtol=1e-4)


def test_official_arguments_are_accepted():
    net = build_reference(
        "mxnetseg",
        "MXNetSeg.PSPNet",
        nclass=3,
        backbone="ResNet18",
        aux=False,
        height=32,
        width=48,
        base_size=520,
        crop_size=480,
        pretrained_base=True,
        dilate=False,
        symbolize=False,
        norm_layer="BatchNorm",
        norm_kwargs={"momentum": 0.8},
        _bn_gain=1.7,
    )
    assert net(nd.zeros((1, 3, 32, 48)))[0].shape == (1, 3, 32, 48)
    assert net.model.output_stride == 8 and net.model.backbone.bn1._kwargs["momentum"] == 0.8


def test_report_explains_every_tensor(small):
    net = build_reference("mxnetseg", small.model, **small.kwargs)
    state = dict(small.state)
    state["fc.weight"] = state.pop("head.conv2.bias")
    state["layer1.0.weight"] = np.zeros((1, 2, 3, 4), np.float32)
    before = net.model.backbone.layer1[0].weight.data().asnumpy()
    report = load_reference(net, state, "mxnetseg")
    assert report.missing == ["head.conv2.bias"]
    assert report.unused == ["fc.weight"]
    assert report.mismatched == [("layer1.0.weight", (1, 2, 3, 4), (16, 3, 3, 3))]
    assert len(report.loaded) == len(state) - 2
    assert (net.model.backbone.layer1[0].weight.data().asnumpy() == before).all()
    assert all(name in str(report) for name in ("head.conv2.bias", "fc.weight", "layer1.0.weight"))


def test_unknown_names_are_refused():
    assert "mxnetseg" in systems()
    with pytest.raises(NameNotFoundError, match="did you mean"):
        build_reference("mxnetsegg", "MXNetSeg.FCNResNet", nclass=3)
    with pytest.raises(NameNotFoundError, match="did you mean"):
        build_reference("mxnetseg", "MXNetSeg.FCNResNett", nclass=3)
    with pytest.raises(ConfigError, match="no argument"):
        build_reference("mxnetseg", "MXNetSeg.FCNResNet", nclass=3, backbon="resnet18")
