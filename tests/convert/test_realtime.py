"""Real-time networks of other repositories: recorded maps, figures, names of checkpoints."""

import sys

import numpy as np
import pytest
from mxnet import nd

from mxnetseg.convert import build_reference, load_reference
from mxnetseg.convert.conversion import own_network
from mxnetseg.errors import ConfigError, NameNotFoundError
from mxnetseg.registry import MODELS

QUICK = [
    "AGLNet__none__c19_64x96_g110",
    "CGNet__M2N4__nc11_90x120_g180",
    "CIFReNet__mobilenetv2__c19_ac_64x96_g200",
    "ContextNet__none__nc19_96x96_g200",
    "EDANet__none__nc20_144x144_g200",
    "ENet__none__nc19_144x144_g170",
    "ERFNet__none__nc20_144x144_g190",
    "ESPNet__p2q8__nc20_144x144_skiplevel1_g150",
    "FastSCNN__none__nc19_96x96_noaux_g220",
    "MiniNetV2__none__c19_64x96_g220",
    "SFNet__DF1__c19_64x96_g180",
    "SGCPNet__mbv3s__c19_96x128_g220",
    "STDCSeg__STDC1__c19_64x96_g220",
]
SLOW = [
    "AGLNet__none__c19_64x96",
    "BiSeNetV1__resnet18__c19_64x96",
    "BiSeNetV1__resnet18__c19_64x96_g200",
    "CGNet__M3N21__nc19_96x96",
    "CGNet__M3N21__nc19_96x96_g180",
    "CIFReNet__mobilenetv2__c19_200x208_g200",
    "CIFReNet__mobilenetv2__c19_64x96",
    "ContextNet__none__nc19_96x96",
    "DFANet__XceptionA__c19_64x128",
    "DFANet__XceptionA__c19_64x128_g135",
    "DFANet__XceptionB__c19_64x128",
    "DFANet__XceptionB__c19_64x128_g125",
    "DFN__resnet101__c19_64x96",
    "DFN__resnet101__c19_64x96_g125",
    "DeepLabV2__resnet101__c19_ms_201x201_g160",
    "DeepLabV2__resnet101__c19_ss_64x96_g160",
    "DeepLabV2__resnet101__c21_ms_65x65",
    "EDANet__none__nc20_144x144",
    "ENet__none__nc19_144x144",
    "ENet__none__nc20_150x170_encrelu_decprelu_g150",
    "ERFNet__none__nc20_144x144",
    "ERFNet__none__nc20_144x144_enc_g190",
    "ESPNetC__p2q8__nc20_144x144_C_g150",
    "ESPNet__p2q8__nc20_144x144_skipb1",
    "ESPNet__p2q8__nc20_144x144_skipb1_g150",
    "ESPNet__p2q8__nc20_144x144_skiplevel1",
    "FastSCNN__none__nc19_192x192_aux_g220",
    "FastSCNN__none__nc19_96x96_noaux",
    "HRNetV2__w18__c19_64x96",
    "HRNetV2__w18__c19_64x96_g125",
    "HRNetV2__w18_small_v2__c19_64x96_g150",
    "HRNetV2__w48__c19_64x64",
    "HRNetV2__w48__c19_64x64_g125",
    "ICNet__resnet50__c19_64x96",
    "ICNet__resnet50__c19_64x96_g170",
    "MiniNetV2__none__c19_64x96",
    "PSPNet__resnet101__c19_65x65_g170",
    "PSPNet__resnet50__c19_65x97",
    "PSPNet__resnet50__c19_65x97_g180",
    "RefineNet__resnet101__c19_64x96",
    "RefineNet__resnet101__c19_64x96_g125",
    "RefineNet__resnet101__damped_c19_64x96_g125",
    "SFNet__DF1__c19_64x96",
    "SFNet__resnet18__c19_64x96",
    "SFNet__resnet18__c19_64x96_g180",
    "SGCPNet__mbv3s__bare_c19_64x96",
    "SGCPNet__mbv3s__c19_96x128",
    "STDCSeg__STDC1__c19_64x96",
    "STDCSeg__STDC2__c19_64x96",
    "STDCSeg__STDC2__c19_64x96_g220",
    "ShelfNet__resnet18__c19_64x96",
    "ShelfNet__resnet18__c19_64x96_g160",
    "SwiftNet__resnet18__c19_64x96",
    "SwiftNet__resnet18__c19_64x96_g160",
]
# Recorded auxiliary output: which of our maps it is.
AUXILIARY = {
    "BiSeNetV1": {"aux0": 1, "aux1": 2},
    "DFN": {**{f"aux{i}": 1 + i for i in range(3)}, **{f"border{i}": 4 + i for i in range(4)}},
    "DeepLabV2": {"aux0": 1, "aux1": 2, "aux2": 3},
    "Fast-SCNN": {"aux0": 1},
    "ICNet": {"aux0": 0, "aux1": 1, "aux2": 2},
    "PSPNet": {"aux0": 1},
    "SFNet": {"dsn1": -2, "dsn0": -1},
    "ShelfNet": {"aux0": 1, "aux1": 2},
    "STDCSeg": {"aux0": 1, "aux1": 2, "aux2": 5},
}


@pytest.mark.parametrize("name", QUICK + [pytest.param(name, marks=pytest.mark.slow) for name in SLOW])
def test_recorded_maps(harness, shared, name):
    """Scores as the official network returns them, and its auxiliary maps, at their own or the image's resolution."""
    case = harness.load_case(shared / "oracle" / f"realtime__{name}")
    net = build_reference("realtime", case.model, **case.kwargs)
    report = load_reference(net, case.state, "realtime")
    assert report.complete, report
    assert {n.rpartition(".")[2] for n in report.ignored} <= {"num_batches_tracked"}
    assert sum(p.data().size for p in net.collect_params().values() if p.grad_req != "null") == case.params
    x, model = nd.array(case.image), own_network(net)
    scores = net(x)
    found = {"logits": scores[0] if isinstance(scores, tuple) else scores}
    if wanted := {k: i for k, i in AUXILIARY.get(case.model, {}).items() if k in case.reference}:
        raw, full = list(model.wanted_maps(nd, x)), model(x)
        for key, i in wanted.items():
            found[key] = raw[i] if list(raw[i].shape) == case.meta["outputs"][key]["shape"] else full[i]
    for key, y in found.items():
        error = harness.formula.compare(
            case.reference[key], case.meta["outputs"][key], y.asnumpy(), case.meta["stride"]
        )
        assert error <= case.tolerance, key


# Network, backbone, options, size: GMAC of inference as the specification of its repository rounds them.
FIGURES = {
    ("BiSeNetV1", "resnet18", 1024, 2048): 118.34,
    ("CIFReNet", "cifrenet_mobilenet", 512, 1024): 16.20,
    ("DFANet", "dfanet_xception_a", 1024, 2048): 26.91,
    ("DFANet", "dfanet_xception_b", 1024, 2048): 12.92,
    ("DeepLabV2", "caffe_resnet101", 1024, 2048): 1477.60,
    ("HRNet", "hrnet_w18", 1024, 2048): 147.40,
    ("PSPNetSemseg", "deepstem_resnet50", 713, 713): 363.78,
    ("RefineNet", "resnet101_v1b", 1024, 2048): 2102.59,
    ("SFNet", "deepstem_resnet18", 512, 1024): 60.74,
    ("SFNet", "dfnet_v1", 512, 1024): 8.18,
    ("SFNet", "dfnet_v2", 512, 1024): 19.99,
    ("SGCPNet", "sgcp_mobilenet", 1024, 2048): 3.275,
    ("ShelfNet", "leaky_resnet18", 512, 1024): 24.68,
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "backbone", "height", "width"), FIGURES)
def test_multiply_accumulates_of_the_repositories(model, backbone, height, width):
    options = {"multi_scale": False} if model == "DeepLabV2" else {}
    net = MODELS.get(model)(19, backbone=backbone, **options)
    assert net.macs(height, width) / 1e9 == pytest.approx(FIGURES[model, backbone, height, width], abs=0.006)


@pytest.mark.slow
def test_official_sizes():
    """ICNet's full map is eight times its finest one; PSPNet's zoom factor counts intervals between pixels."""
    net = build_reference("realtime", "ICNet", classes=3)
    assert net(nd.zeros((1, 3, 92, 140))).shape == (1, 3, 96, 144)
    net = build_reference("realtime", "PSPNet", classes=3, zoom_factor=2, use_ppm=False)
    assert net(nd.zeros((1, 3, 65, 97)))[0].shape == (1, 3, 17, 25)


def test_names_of_checkpoints():
    """Repeated tensors go to the same parameter; what is left of a classifier is ignored."""
    wanted = {
        "cp.backbone.x8.0.2.conv_list.0.bn.weight": "model.backbone.features.2.conv_list.0.bn.gamma",
        "module.cp.backbone.fc.weight": None,
        "conv_out_sp16.conv_out.weight": "unused.detail16.conv2.weight",
    }
    net = build_reference("realtime", "STDCSeg", classes=3)
    assert sys.modules["mxnetseg.convert.realtime"].names(net, wanted) == wanted


def test_unknown_arguments_are_refused():
    with pytest.raises(NameNotFoundError, match="STDCSeg"):
        build_reference("realtime", "STDCSegg")
    with pytest.raises(ConfigError, match="did you mean"):
        build_reference("realtime", "SFNet", backbon="DF1")
    with pytest.raises(ConfigError, match="DF2"):
        build_reference("realtime", "SFNet", backbone="DF3")


@pytest.mark.parametrize(
    ("model", "signed", "unsigned"),
    [
        ("STDCSeg", "cp.backbone.features.0.bn.weight", "cp.arm16.bn_atten.weight"),
        ("ShelfNet", "ladder.down_module_list.0.bn2.weight", "backbone.layer1.0.bn2.weight"),
    ],
)
def test_scales_of_in_place_normalisation(model, signed, unsigned):
    """Their sign is dropped, that of ordinary normalisation and of everything else is kept."""
    net = MODELS.get(model)(3)
    state = {name: np.array([-2.0]) for name in (signed, unsigned, unsigned.replace("weight", "bias"))}
    values = sys.modules["mxnetseg.convert.realtime"].arrays(net, state)
    assert [v.item() for v in values.values()] == [-2, 2, -2]
