"""Learnable parameters and multiply-accumulates at 19 classes."""

import math

import pytest

from models.networks import with_aux
from mxnetseg.registry import MODELS

# (model, backbone): learnable scalars with and without auxiliary heads.
FIGURES = {
    ("ACFNet", "resnet18"): (24_241_529, 23_646_310),
    ("ACFNet", "resnet50"): (60_486_393, 58_121_702),
    ("ACFNet", "resnet101"): (79_478_521, 77_113_830),
    ("AlignSeg", "resnet18"): (18_266_854, 17_081_811),
    ("AlignSeg", "resnet50"): (38_930_534, 34_206_547),
    ("AttaNet", "resnet18"): (13_086_950, 12_491_731),
    ("AttaNet", "resnet50"): (30_162_534, 27_797_843),
    ("AttentionToScale", "resnet18"): (17_354_618, 17_081_684),
    ("AttentionToScale", "resnet50"): (48_291_066, 47_231_700),
    ("AttentionToScale", "resnet101"): (67_283_194, 66_223_828),
    ("CANetv1", "resnet50"): (36_067_910, 33_703_219),
    ("CANetv1", "resnet101"): (55_060_038, 52_695_347),
    ("CANetv2", "resnet18"): (25_668_814, 25_073_595),
    ("CANetv2", "resnet50"): (41_146_958, 38_782_267),
    ("FCNResNet", "resnet18"): (12_956_774, 12_361_555),
    ("FCNResNet", "resnet34"): (23_064_934, 22_469_715),
    ("FCNResNet", "resnet50"): (30_720_486, 28_355_795),
    ("FCNResNet", "resnet101"): (49_712_614, 47_347_923),
    ("FCNResNet", "resnet152"): (65_356_262, 62_991_571),
    ("FCNResNet", "resnest14"): (15_651_366, 13_286_675),
    ("FCNResNet", "resnest26"): (22_109_126, 19_744_435),
    ("FCNResNet", "resnest50"): (32_522_918, 30_158_227),
    ("FCNResNet", "resnest101"): (53_314_694, 50_950_003),
    ("FCNResNet", "resnest200"): (75_241_222, 72_876_531),
    ("FCNResNet", "resnest269"): (115_969_158, 113_604_467),
    ("FCNMobileNet", "mobilenet_v2_0_25"): (196_358, 190_651),
    ("FCNMobileNet", "mobilenet_v2_0_5"): (732_630, 710_867),
    ("FCNMobileNet", "mobilenet_v2_0_75"): (1_608_854, 1_560_667),
    ("FCNMobileNet", "mobilenet_v2_1_0"): (2_639_366, 2_554_387),
    ("PSPNet", "resnet50"): (39_637_478, 37_272_787),
    ("PSPNet", "resnet101"): (58_629_606, 56_264_915),
    ("FaPN", "resnet18"): (19_621_230, 19_026_011),
    ("FaPN", "resnet50"): (35_876_206, 33_511_515),
    ("SETR", "vit_large_16"): (309_271_410, 308_201_254),
    ("LadderDenseNet", "densenet121"): (8_058_790, 7_908_627),
    ("LadderDenseNet", "densenet161"): (27_916_902, 27_766_739),
    ("LadderDenseNet", "densenet169"): (13_704_102, 13_553_939),
    ("LadderDenseNet", "densenet201"): (19_410_854, 19_260_691),
    ("SeENet", "resnet50"): (31_579_750, 29_215_059),
    ("SwiftResNet", "resnet18"): (14_780_006, 14_184_787),
    ("SwiftResNet", "resnet34"): (24_888_166, 24_292_947),
    ("SwiftResNet", "resnet50"): (34_070_502, 31_705_811),
    ("SwiftResNetPr", "resnet18"): (12_235_494, 12_164_563),
    ("SwiftResNetPr", "resnet34"): (22_343_654, 22_272_723),
    ("BiSeNetX", "xception39"): (2_735_401, 1_839_875),
    ("BiSeNetR", "resnet18"): (14_974_137, 13_193_875),
    ("BiSeNetR", "resnet34"): (25_082_297, 23_302_035),
    ("BiSeNetR", "resnet50"): (35_588_665, 28_499_987),
    ("BiSeNetR", "resnet101"): (54_580_793, 47_492_115),
    ("BiSeNetR", "resnet152"): (70_224_441, 63_135_763),
    ("DeepLabv3", "resnet18"): (16_498_790, 15_903_571),
    ("DeepLabv3", "resnet34"): (26_606_950, 26_011_731),
    ("DeepLabv3", "resnet50"): (42_126_822, 39_762_131),
    ("DeepLabv3", "resnet101"): (61_118_950, 58_754_259),
    ("DeepLabv3", "resnet152"): (76_762_598, 74_397_907),
    ("DeepLabv3PlusX", "xception65"): (54_753_955, 54_753_955),
    ("DeepLabv3PlusR", "resnet50"): (40_573_747, 40_573_747),
    ("DeepLabv3PlusR", "resnet101"): (59_565_875, 59_565_875),
    ("DeepLabv3PlusR", "resnet152"): (75_209_523, 75_209_523),
    ("RefineNet", "resnet101_v1b"): (118_047_827, 118_047_827),
    ("DFN", "resnet101_v1b"): (89_941_168, 88_088_668),
    ("ShelfNet", "leaky_resnet18"): (14_563_584, 14_320_256),
    ("SGCPNet", "sgcp_mobilenet"): (607_826, 607_826),
    ("CIFReNet", "cifrenet_mobilenet"): (1_949_901, 1_949_901),
    ("DFANet", "dfanet_xception_a"): (1_980_498, 1_980_498),
    ("DFANet", "dfanet_xception_b"): (1_157_706, 1_157_706),
    ("EPRNet", "eprnet_cls"): (895_701, 895_701),
    ("EPRNet", "eprnet_cls_light"): (648_133, 648_133),
    ("GFFNet", "resnet18"): (28_728_934, 28_133_715),
    ("GFFNet", "resnet50"): (49_149_926, 46_785_235),
    ("SemanticFPN", "resnet18"): (14_821_587, 14_821_587),
    ("SemanticFPN", "resnet50"): (28_014_163, 28_014_163),
    ("DANet", "resnet18"): (12_680_091, 12_675_189),
    ("DANet", "resnet34"): (22_788_251, 22_783_349),
    ("DANet", "resnet50"): (47_586_427, 47_566_933),
    ("DANet", "resnet101"): (66_578_555, 66_559_061),
    ("DANet", "resnet152"): (82_222_203, 82_202_709),
    ("DenseASPP", "resnet50"): (52_620_774, 50_256_083),
    ("DenseASPP", "resnet101"): (71_612_902, 69_248_211),
    ("DenseASPP", "resnet152"): (87_256_550, 84_891_859),
    ("DeepLabv3bPlus", "wideresnet16"): (91_668_032, 91_668_032),
    ("DeepLabv3bPlus", "wideresnet38"): (137_103_936, 137_103_936),
    ("FastSCNN", "fastscnn"): (1_176_278, 1_138_051),
    ("HRNet", "hrnet_w18_small_v1"): (1_540_819, 1_540_819),
    ("HRNet", "hrnet_w18_small_v2"): (3_939_579, 3_939_579),
    ("HRNet", "hrnet_w18"): (9_641_119, 9_641_119),
    ("HRNet", "hrnet_w32"): (29_546_515, 29_546_515),
    ("HRNet", "hrnet_w48"): (65_859_379, 65_859_379),
    ("HRNet", "hrnet_w64"): (116_640_339, 116_640_339),
    ("HRNetOCR", "hrnet_w18_small_v2"): (6_379_278, 6_300_419),
    ("HRNetOCR", "hrnet_w48"): (70_372_678, 69_838_419),
    ("ICNet", "resnet18"): (16_844_576, 16_839_712),
    ("ICNet", "resnet50"): (47_489_184, 47_484_320),
    ("ICNet", "resnet101"): (66_481_312, 66_476_448),
    ("MLCRNet", "resnet50_v1c"): (26_005_534, 26_005_534),
    ("MagNetFPN", "resnet50_v1b"): (28_120_147, 28_120_147),
    ("MagNetPSP", "resnet101_v1b"): (72_349_097, 72_310_166),
    ("MFARANet", "deepstem_resnet18"): (12_996_748, 12_996_748),
    ("MFARANet", "deepstem_resnet50"): (25_672_204, 25_672_204),
    ("MFARANetAblation", "deepstem_resnet18"): (12_937_100, 12_937_100),
    ("MLMSBaseline", "mobilenet_v3_large_1_0"): (3_069_334, 3_003_459),
    ("MLMSNet", "mobilenet_v3_large_1_0"): (7_139_206, 7_073_331),
    ("MLMSNet", "mobilenet_v3_large_0_75"): (4_513_782, 4_461_731),
    ("MLMSNet", "mobilenet_v3_small_1_0"): (2_526_166, 2_497_155),
    ("MLMSNetv2", "mobilenet_v3_large_1_0"): (4_187_163, 4_187_163),
    ("BiSeNetV1", "resnet18"): (13_425_721, 13_275_539),
    ("DeepLabV2", "caffe_resnet101"): (43_901_068, 43_901_068),
    ("ICNetImages", "resnet50"): (26_249_376, 26_244_512),
    ("ICNetImages", "resnet101"): (45_241_504, 45_236_640),
    ("PSPNetSemseg", "deepstem_resnet50"): (49_080_038, 46_715_347),
    ("PSPNetSemseg", "deepstem_resnet101"): (68_072_166, 65_707_475),
    ("SFNet", "deepstem_resnet18"): (13_320_588, 12_869_715),
    ("SFNet", "dfnet_v1"): (8_498_969, 8_422_387),
    ("SFNet", "dfnet_v2"): (17_953_049, 17_876_467),
    ("STDCSeg", "stdc1"): (8_425_248, 8_275_104),
    ("STDCSeg", "stdc2"): (12_455_712, 12_305_568),
    ("SwiftNetPreAct", "resnet18"): (11_797_071, 11_797_071),
}

# (model, backbone, height, width): multiply-accumulates of one image with auxiliary heads.
MACS = {
    ("ACFNet", "resnet18", 128, 128): 6_350_503_936,
    ("AlignSeg", "resnet18", 128, 128): 3_732_688_896,
    ("AttaNet", "resnet18", 128, 128): 684_941_312,
    ("AttentionToScale", "resnet18", 128, 128): 5_618_188_288,
    ("CANetv1", "resnet50", 128, 128): 9_155_566_592,
    ("CANetv2", "resnet18", 128, 128): 4_429_144_064,
    ("FCNMobileNet", "mobilenet_v2_1_0", 128, 128): 108_539_904,
    ("FCNResNet", "resnest14", 96, 96): 2_346_694_656,
    ("PSPNet", "resnet50", 96, 96): 5_505_425_408,
    ("DeepLabv3", "resnet18", 128, 128): 4_336_123_904,
    ("DeepLabv3PlusR", "resnet50", 96, 96): 6_724_222_976,
    ("BiSeNetX", "xception39", 128, 128): 350_453_760,
    ("EPRNet", "eprnet_cls", 128, 128): 471_302_144,
    ("EPRNet", "eprnet_cls_light", 128, 128): 309_821_440,
    ("GFFNet", "resnet50", 96, 96): 12_283_424_768,
    ("SemanticFPN", "resnet50", 96, 96): 1_791_074_304,
    ("DANet", "resnet18", 128, 128): 3_392_700_416,
    ("DenseASPP", "resnet50", 96, 96): 7_925_538_816,
    ("FaPN", "resnet50", 96, 96): 3_242_781_696,
    ("SETR", "vit_large_16", 96, 96): 12_907_819_008,
    ("LadderDenseNet", "densenet121", 96, 96): 753_743_232,
    ("SeENet", "resnet50", 96, 96): 5_052_616_704,
    ("SwiftResNet", "resnet18", 128, 128): 2_068_758_528,
    ("SwiftResNetPr", "resnet18", 128, 128): 1_118_420_992,
    ("FastSCNN", "fastscnn", 128, 128): 62_261_088,
    ("HRNet", "hrnet_w18_small_v1", 128, 128): 260_866_048,
    ("ICNet", "resnet50", 128, 128): 1_057_677_312,
}

# Networks without a backbone; classes, options: learnable parameters and, where known, GMAC of inference at 512x1024.
WHOLE = [
    ("AGLNet", 19, {}, 1_024_332, 12.47),
    ("CGNet", 19, {}, 496_306, 6.762),
    ("CGNet", 11, {"m": 3, "n": 15}, 421_634, None),
    ("ContextNet", 19, {}, 1_008_870, 11.551),
    ("ContextNet", 11, {}, 1_007_830, None),
    ("EDANet", 19, {}, 689_485, 8.833),
    ("ENet", 19, {}, 351_660, 4.037),
    ("ENet", 11, {}, 350_508, None),
    ("ERFNet", 20, {}, 2_066_836, 26.61),
    ("ERFNet", 11, {}, 2_065_090, None),
    ("ESPNet", 20, {}, 364_569, 4.709),
    ("ESPNet", 20, {"q": 3}, 202_649, None),
    ("ESPNet", 20, {"q": 5, "skip": "b1"}, 267_957, None),
    ("ESPNet", 20, {"skip": "b1"}, 365_109, 4.780),
    ("ESPNetC", 20, {}, 349_449, 3.470),
    ("MiniNetV2", 19, {}, 507_243, 6.32),
]


def learnable(block):
    return sum(math.prod(p.shape) for p in block.collect_params().values() if p.grad_req != "null")


@pytest.mark.parametrize(("model", "backbone"), FIGURES)
def test_learnable_parameters(model, backbone):
    net = MODELS.get(model)(19, backbone=backbone, **with_aux(model))
    total = net.parameter_count()
    auxiliary = learnable(net.aux_head) if hasattr(net, "aux_head") else 0
    assert (total, total - auxiliary) == FIGURES[model, backbone]


@pytest.mark.parametrize(("model", "backbone", "height", "width"), MACS)
def test_multiply_accumulates(model, backbone, height, width):
    net = MODELS.get(model)(19, backbone=backbone, **with_aux(model))
    assert net.macs(height, width, aux=True) == MACS[model, backbone, height, width]
    assert (net.macs(height, width) < MACS[model, backbone, height, width]) == net.aux


@pytest.mark.parametrize(("model", "classes", "options", "parameters", "billions"), WHOLE)
def test_sizes_of_networks_without_a_backbone(model, classes, options, parameters, billions):
    net = MODELS.get(model)(classes, **options)
    assert net.parameter_count() == parameters
    if billions:
        assert net.macs(512, 1024) / 1e9 == pytest.approx(billions, rel=1e-3)


def test_every_model_has_figures():
    assert {model for model, _ in FIGURES} | {model for model, *_ in WHOLE} == set(MODELS.names())
