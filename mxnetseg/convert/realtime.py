"""Real-time networks that MFARANet is compared with: PyTorch networks of many authors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from mxnet import gluon, nd

from ..data.transforms import MEAN, STD
from ..errors import ConfigError, NameNotFoundError, suggest
from ..models.backbones.dfanet_xception import STEM, DFAStage
from ..models.backbones.dfnet import DFNet
from ..models.base import SegmentationModel
from ..models.dfn import BORDER_WIDTH, RefinementResidualBlock
from ..models.layers import ConvModule2d
from ..models.stdcseg import detail_head
from ..registry import MODELS
from .mlmsnet import ZoomedNet
from .pytorch import own_names

__all__ = ["Official", "RawNet", "WholeNet", "build", "names"]

Rules = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
_NONE: Mapping[str, Any] = MappingProxyType({})

# Sequences of convolution, normalisation (and activation) by position: our modules name them.
_PRELU = (r"\bact\.weight$", "act.alpha")
_ESP = ((r"\b((?:[cd]\d+)|classifier|level3_C)\.conv\.", r"\1."), _PRELU)
SEQUENTIAL = ((r"\.0\.(weight|bias)$", r".conv.\1"), (r"\.1\.(weight|bias|running_\w+)$", r".bn.\1"))


def _sequential(prefix: str) -> Rules:
    """Rules of `SEQUENTIAL` for names that begin with a pattern."""
    return tuple((rf"^({prefix}.*)\.{i}\.(?=\w+$)", rf"\1.{name}.") for i, name in enumerate(("conv", "bn")))


class Official(NamedTuple):
    """What an official class is in our terms.

    Attributes
    ----------
    model : str
        Registered name of our network.
    rules : sequence of (str, str or callable)
        Regular expressions and replacements that turn official tensor names into ours, applied in this order.
    arguments : mapping of str to str
        Official argument -> ours, besides ``classes``.
    values : mapping of str to mapping
        Official argument -> official value -> ours, where they differ.
    options : mapping of str to object
        Arguments of ours that the official class does not have.
    without_effect : sequence of str
        Official arguments that change nothing in a network whose weights are given.
    wrap : callable
        Makes of our network, and of the official arguments, what gives the official outputs.
    positive : str
        Regular expression of the scales of normalisation whose sign the official layer drops (in-place ABN).
    """

    model: str
    rules: Rules = ()
    arguments: Mapping[str, str] = _NONE
    values: Mapping[str, Mapping[Any, Any]] = _NONE
    options: Mapping[str, Any] = _NONE
    without_effect: Sequence[str] = ()
    wrap: Callable[[SegmentationModel, Mapping[str, Any]], gluon.Block] = lambda net, arguments: net
    positive: str = ""


class RawNet(gluon.Block):
    """One map of a network at its own resolution, enlarged by whole factors as the official network does it.

    Parameters
    ----------
    model : SegmentationModel
        Network of ours.
    index : int
        Which of its maps.
    factors : sequence of int
        Factors of the successive bilinear enlargements.

    Inputs: (N, 3, H, W). Outputs: class scores of that size.
    """

    def __init__(self, model: SegmentationModel, index: int = 0, factors: Sequence[int] = ()):
        super().__init__()
        self.model, self._index, self._factors = model, index, tuple(factors)

    def forward(self, x: nd.NDArray) -> nd.NDArray:
        """Run the network."""
        y = next(islice(self.model.maps(nd, x), self._index, None))
        for factor in self._factors:
            height, width = (factor * side for side in y.shape[2:])
            y = nd.contrib.BilinearResize2D(y, height=height, width=width, align_corners=self.model.align_corners)
        return y


class WholeNet(gluon.Block):
    """A network with the parts that the official one builds and that its output does not depend on.

    Parameters
    ----------
    model : SegmentationModel
        Network of ours.
    parts : mapping of str to Block
        Unused parts; rules name them ``unused.<key>``.

    Inputs, outputs: those of the network.
    """

    def __init__(self, model: SegmentationModel, parts: Mapping[str, gluon.Block]):
        super().__init__()
        self.model, self.unused = model, gluon.nn.Sequential()
        for name, part in parts.items():
            self.unused.register_child(part, name)
        self.unused.initialize()

    def forward(self, x: nd.NDArray) -> tuple[nd.NDArray, ...]:
        """Run the network."""
        return self.model(x)


NETWORKS: dict[str, Official] = {
    "AGLNet": Official(
        "AGLNet",
        (
            (r"^(layer17\.gp)\.1\.", r"\1."),
            (r"(?<!_branch)\.0\.(weight|bias)$", r".conv.\1"),
            SEQUENTIAL[1],
        ),
        without_effect=("backbone",),
    ),
    "CGNet": Official(
        "CGNet",
        ((r"\b(F_loc|F_sur|reduce)\.conv\.", r"\1."), (r"^classifier\.\d\.conv\.", "classifier."), _PRELU),
        {"M": "m", "N": "n", "dropout_flag": "dropout"},
    ),
    "ContextNet": Official(
        "ContextNet",
        (
            (r"branch_1_conv", "detail"),
            (r"branch_4_conv\.1", "context"),
            (r"branch_4_conv\.0\.0", "depthwise"),
            (r"branch_4_conv\.0\.1", "pointwise"),
            *(
                (rf"(bottlenecks\.\d+)\.conv\.{i}", rf"\1.{n}")
                for i, n in enumerate(("expand", "depthwise", "project"))
            ),
            *SEQUENTIAL,
        ),
        {"act_type": "activation"},
        without_effect=("n_channel",),
    ),
    "EDANet": Official("EDANet", wrap=lambda net, arguments: RawNet(net, factors=(8, 2))),
    "ENet": Official(
        "ENet",
        (
            (r"^(initial_block)\.main_branch\.", r"\1.conv."),
            (r"^(initial_block)\.batch_norm\.", r"\1.bn."),
            (r"\.out_activation\.weight$", ".act.act.alpha"),
            (r"(_activation)\.weight$", r"\1.act.alpha"),
            (r"^(?:regular|dilated|asymmetric)([1245])_(\d)\.", lambda m: f"stage{m[1]}.{int(m[2]) - 1}."),
            (r"^(?:regular|dilated|asymmetric)3_(\d)\.", r"stage3.\1."),
            (r"^(stage\d\.\d\.ext_conv2)\.(\d)\.", lambda m: f"{m[1]}.{int(m[2]) // 3}.{int(m[2]) % 3}."),
            (r"^transposed_conv\.", "transposed_conv.conv."),
            *SEQUENTIAL,
            (r"\.2\.weight$", ".act.act.alpha"),
        ),
        {"encoder_relu": "encoder_relu", "decoder_relu": "decoder_relu"},
    ),
    "ERFNet": Official(
        "ERFNet",
        (
            (r"^encoder\.output_conv\.", "aux_head."),
            (r"^decoder\.output_conv\.", "head."),
            (r"^encoder\.initial_block\.", "encoder.0."),
            (r"^encoder\.layers\.(\d+)\.", lambda match: f"encoder.{int(match[1]) + 1}."),
            (r"^decoder\.layers\.", "decoder."),
        ),
        options={"aux": True},
        without_effect=("only_encode",),
        wrap=lambda net, arguments: RawNet(net, 1) if arguments.get("only_encode") else net,
    ),
    "ESPNet": Official("ESPNet", _ESP, {"p": "p", "q": "q", "skip": "skip"}),
    "ESPNet-C": Official(
        "ESPNetC", ((r"^", "encoder."), *_ESP), {"p": "p", "q": "q"}, wrap=lambda net, arguments: RawNet(net)
    ),
    "MiniNetV2": Official("MiniNetV2", SEQUENTIAL, without_effect=("backbone",)),
}


def build(model: str, classes: int = 19, **kwargs: Any) -> gluon.Block:
    """Build our network for an official class name (see :func:`..build_reference`)."""
    if model not in NETWORKS:
        raise NameNotFoundError(f"no real-time network {model!r}", f"one of {', '.join(NETWORKS)}")
    official = NETWORKS[model]
    options = dict(official.options)
    for name, value in kwargs.items():
        if name in official.arguments:
            options[official.arguments[name]] = _own_value(official, name, value)
        elif name not in official.without_effect:
            known = [*official.arguments, *official.without_effect]
            raise ConfigError(f"{model} has no argument {name!r}", remedy=suggest(name, known))
    net = MODELS.get(official.model)(classes, **options)
    net.prepare()
    return official.wrap(net, kwargs)


def _own_value(official: Official, name: str, value: Any) -> Any:
    """Our value of an official argument."""
    values = official.values.get(name)
    if values is None:
        return value
    if value not in values:
        raise ConfigError(f"{name}={value!r}", f"one of {', '.join(map(str, values))}")
    return values[value]


def arrays(net: gluon.Block, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with scales as plain batch normalisation needs them.

    In-place ABN scales by |weight| + 1e-5; the 1e-5 is left out, which changes scores by less than 2e-4 of their size.
    """
    positive = _official(net if isinstance(net, SegmentationModel) else net.model).positive
    return {name: abs(value) if positive and re.search(positive, name) else value for name, value in state.items()}


def _official(model: SegmentationModel) -> Official:
    """The official class that our model stands for."""
    return next(network for network in NETWORKS.values() if network.model == model.registered_name)


def names(net: gluon.Block, official: Iterable[str]) -> dict[str, str | None]:
    """Our parameter name of each official name."""
    model, prefix = (net, "") if isinstance(net, SegmentationModel) else (net.model, "model.")
    rules = _official(model).rules

    def rename(name: str) -> str | None:
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        if name.startswith("unused."):
            return name if isinstance(net, WholeNet) and name.split(".")[1] in net.unused._children else None
        return prefix + name

    return own_names(net, official, rename)


NETWORKS["RefineNet"] = Official(
    "RefineNet",
    (
        (r"^(conv1|bn1|layer\d)\.", r"backbone.\1."),
        (r"^p_ims1d2_outl(\d)_dimred\.", r"head.stage\1.reduce."),
        (r"^adapt_stage(\d)_b\.0\.", r"head.stage\1.adapt."),
        (r"^adapt_stage(\d)_b2_joint_varout_dimred\.", r"head.stage\1.join."),
        (r"^mflow_conv_g(\d)_pool\.0\.", r"head.stage\1.pool."),
        (r"^mflow_conv_g(\d)_b\.0\.", r"head.stage\1.out."),
        (r"^mflow_conv_g(\d)_b3_joint_varout_dimred\.", r"head.stage\1.next."),
        (r"\.(\d)_(?:conv|outvar_dimred)\.", r".conv\1."),
        (r"\.(\d)_conv_relu_varout_dimred\.", r".proj\1."),
        (r"^clf_conv\.", "head.classifier."),
    ),
    wrap=lambda net, arguments: RawNet(net),
)


def _whole_dfn(net: SegmentationModel, arguments: Mapping[str, Any]) -> WholeNet:
    """DFN with the first block behind its border features, which are not added to anything."""
    return WholeNet(net, {"after": RefinementResidualBlock(BORDER_WIDTH, BORDER_WIDTH, net.norm)})


NETWORKS["DFN"] = Official(
    "DFN",
    (
        (r"^global_context\.1\.", "smooth.context.conv1x1."),
        (r"^(smooth|border)_pre_rrbs\.", r"\1.pre."),
        (r"^border_aft_rrbs\.0\.", "unused.after."),
        (r"^border_aft_rrbs\.(\d)\.", lambda match: f"border.after.{int(match[1]) - 1}."),
        (r"^smooth_aft_rrbs\.", "smooth.after."),
        (r"^cabs\.(\d)\.channel_attention\.", r"smooth.cabs.\1."),
        (r"^smooth_heads\.3\.", "head."),
        (r"^smooth_heads\.", "aux_head."),
        (r"^border_heads\.", "border.heads."),
    ),
    options={"border": True},
    wrap=_whole_dfn,
)


NETWORKS["STDCSeg"] = Official(
    "STDCSeg",
    (
        (r"^cp\.backbone\.(conv_last|fc|bn|linear)\.", r"unused.\1."),
        (r"^cp\.backbone\.x\d+\.0\.", "backbone.features."),
        (r"^cp\.backbone\.", "backbone."),
        (r"^cp\.(arm\d+)\.conv\.", r"context.\1.conv3x3."),
        (r"^cp\.(arm\d+)\.(conv|bn)_atten\.", r"context.\1.conv1x1.\2."),
        (r"^cp\.", "context."),
        (r"^ffm\.convblk\.", "head.fusion.proj."),
        (r"^ffm\.conv([12])\.", lambda match: f"head.fusion.attention.{int(match[1]) - 1}.conv."),
        (r"^(conv_out\w*)\.conv\.", r"\1.conv1."),
        (r"^(conv_out\w*)\.conv_out\.", r"\1.conv2."),
        (r"^conv_out\.", "head.seg."),
        (r"^conv_out16\.", "aux_head.0."),
        (r"^conv_out32\.", "aux_head.1."),
        (r"^conv_out_sp16\.", "unused.detail16."),
        (r"^conv_out_sp", "detail"),
    ),
    arguments={"backbone": "backbone"},
    values={"backbone": {"STDC1": "stdc1", "STDC2": "stdc2", "STDCNet813": "stdc1", "STDCNet1446": "stdc2"}},
    options={"details": (2, 4, 8)},
    without_effect=("use_boundary_2", "use_boundary_4", "use_boundary_8"),
    wrap=lambda net, arguments: WholeNet(net, {"detail16": detail_head(16, net.norm)}),
    positive=r"^(?!(?:module\.)?cp\.backbone\.).*\.bn\w*\.weight$",
)
NETWORKS["BiSeNetV1"] = Official(
    "BiSeNetV1",
    (
        (r"^cp\.resnet\.", "backbone."),
        (r"^cp\.(arm\d+)\.conv\.", r"context.\1.conv3x3."),
        (r"^cp\.(arm\d+)\.(conv|bn)_atten\.", r"context.\1.conv1x1.\2."),
        (r"^cp\.", "context."),
        (r"^sp\.conv1\.", "head.spatial_path.conv7x7."),
        (r"^sp\.conv2\.", "head.spatial_path.conv3x3_1."),
        (r"^sp\.conv3\.", "head.spatial_path.conv3x3_2."),
        (r"^sp\.conv_out\.", "head.spatial_path.conv1x1."),
        (r"^ffm\.convblk\.", "head.fusion.proj."),
        (r"^ffm\.", "head.fusion.attention."),
        (r"^(conv_out\w*)\.conv\.", r"\1.conv1."),
        (r"^(conv_out\w*)\.conv_out\.", r"\1.conv2."),
        (r"^conv_out\.", "head.seg."),
        (r"^conv_out16\.", "aux_head.0."),
        (r"^conv_out32\.", "aux_head.1."),
    ),
    arguments={"aux_mode": "aux"},
    values={"aux_mode": {"train": True, "eval": False}},
)
NETWORKS["SFNet"] = Official(
    "SFNet",
    (
        *((rf"^backbone\.{re.escape(theirs)}", f"backbone.{ours}") for theirs, ours in DFNet.renamed.items()),
        (r"^layer0\.0\.", "backbone.conv1."),
        (r"^layer0\.1\.", "backbone.bn1."),
        (r"^layer", "backbone.layer"),
        (r"^head\.ppm\.bottleneck", "head.bottleneck"),
        (r"^head\.ppm\.stages\.(\d)\.([12])\.", lambda m: f"head.ppm.conv{int(m[1]) + 1}.{int(m[2]) - 1}."),
        (r"^head\.fpn_out\.(\d)\.0\.", r"head.fpn_out.\1."),
        (r"^head\.fpn_out_align\.(\d)\.down_h\.", r"head.flows.\1.channel_change1."),
        (r"^head\.fpn_out_align\.(\d)\.down_l\.", r"head.flows.\1.channel_change2."),
        (r"^head\.fpn_out_align\.(\d)\.flow_make\.", r"head.flows.\1.offset_map."),
        (r"^head\.dsn\.(\d)\.([01])\.", r"aux_head.\1.conv1.\2."),
        (r"^head\.dsn\.(\d)\.4\.", r"aux_head.\1.conv2."),
        (r"^head\.conv_last\.0\.", "head.fuse."),
        (r"^head\.conv_last\.1\.", "head.classifier."),
        *_sequential("(?:head|aux_head)"),
    ),
    arguments={"backbone": "backbone", "fpn_dsn": "aux"},
    values={"backbone": {"resnet18": "deepstem_resnet18", "DF1": "dfnet_v1", "DF2": "dfnet_v2"}},
    options={"aux": False},
)
NETWORKS["ICNet"] = Official(
    "ICNetImages",
    (
        (r"^pretrained\.fc\.", "unused.fc."),
        (r"^pretrained\.", "backbone."),
        (r"^head\.cff_12\.conv_low_cls\.", "aux_head.0."),
        (r"^head\.cff_24\.conv_low_cls\.", "aux_head.1."),
        *_sequential(r"head\.cff"),
    ),
    arguments={"backbone": "backbone"},
    wrap=lambda net, arguments: RawNet(net, factors=(4,)),
)
NETWORKS["Fast-SCNN"] = Official(
    "FastSCNN",
    (
        (r"^learning_to_downsample\.", "backbone."),
        (r"^global_feature_extractor\.bottleneck", "backbone.bottleneck"),
        (r"^global_feature_extractor\.ppm\.out\.", "head.out."),
        (r"^global_feature_extractor\.", "head."),
        (r"^feature_fusion\.", "head.feature_fusion."),
        (r"^classifier\.conv\.1\.", "head.conv."),
        (r"^classifier\.", "head."),
        (r"^auxlayer\.([01])\.", r"aux_head.conv1.\1."),
        (r"^auxlayer\.4\.", "aux_head.conv2."),
        (r"\.block\.0\.conv\.", ".expand."),
        (r"\.block\.1\.conv\.", ".depthwise."),
        (r"\.block\.([23])\.", lambda match: f".project.{int(match[1]) - 2}."),
        (r"\.(dsconv\d)\.conv\.([01])\.", r".\1.depthwise.\2."),
        (r"\.(dsconv\d)\.conv\.([34])\.", lambda match: f".{match[1]}.pointwise.{int(match[2]) - 3}."),
        (r"\.conv\.([01])\.", r".\1."),
        *SEQUENTIAL,
    ),
    arguments={"aux": "aux"},
    options={"aux": False, "aux_width": 32},
)
NETWORKS["PSPNet"] = Official(
    "PSPNetSemseg",
    (
        (r"^layer0\.7\.", "backbone.bn1."),
        (r"^layer0\.", "backbone.conv1."),
        (r"^layer", "backbone.layer"),
        (r"^ppm\.features\.(\d)\.([12])\.", lambda m: f"head.pool.conv{int(m[1]) + 1}.{int(m[2]) - 1}."),
        (r"^cls\.([01])\.", r"head.seg_head.conv1.\1."),
        (r"^cls\.4\.", "head.seg_head.conv2."),
        (r"^aux\.([01])\.", r"aux_head.conv1.\1."),
        (r"^aux\.4\.", "aux_head.conv2."),
        *_sequential("(?:head|aux_head)"),
    ),
    arguments={"layers": "backbone", "use_ppm": "use_ppm"},
    values={"layers": {depth: f"deepstem_resnet{depth}" for depth in (50, 101, 152)}},
    without_effect=("zoom_factor", "dropout", "criterion", "pretrained"),
    wrap=lambda net, arguments: net if (zoom := arguments.get("zoom_factor", 8)) == 8 else ZoomedNet(net, zoom),
)
NETWORKS["HRNetV2"] = Official(
    "HRNet",
    (
        (r"^loss\.", "unused.loss."),
        (r"^model\.", ""),
        (r"^(layer1\.\d+|stage.*\.branches\.\d+\.\d+)\.conv(\d)\.", lambda m: f"{m[1]}.body.{3 * int(m[2]) - 3}."),
        (r"^(layer1\.\d+|stage.*\.branches\.\d+\.\d+)\.bn(\d)\.", lambda m: f"{m[1]}.body.{3 * int(m[2]) - 2}."),
        (r"(fuse_layers\.\d\.\d)\.(\d)\.([01])\.", lambda m: f"{m[1]}.{3 * int(m[2]) + int(m[3])}."),
        (r"^(conv|bn|layer|transition|stage)(\d)\.", r"backbone.\1\2."),
        (r"^last_layer\.([01])\.", r"head.conv1.\1."),
        (r"^last_layer\.3\.", "head.conv2."),
        *_sequential("head"),
    ),
    arguments={"backbone": "backbone", "align_corners": "align_corners"},
    values={"backbone": {name: f"hrnet_{name}" for name in ("w18", "w48", "w18_small_v1", "w18_small_v2")}},
    wrap=lambda net, arguments: RawNet(net),
)


NETWORKS["ShelfNet"] = Official(
    "ShelfNet",
    (
        (r"(up_conv_list\.\d)\.conv\.", r"\1.conv3x3."),
        (r"(up_conv_list\.\d)\.conv_atten\.", r"\1.conv1x1.conv."),
        (r"(up_conv_list\.\d)\.bn_atten\.", r"\1.conv1x1.bn."),
        (r"^conv_out\.", "head."),
        (r"^conv_out16\.", "aux_head.0."),
        (r"^conv_out32\.", "aux_head.1."),
        (r"^(head|aux_head\.\d)\.conv\.", r"\1.0."),
        (r"^(head|aux_head\.\d)\.conv_out\.", r"\1.1."),
        (r"^decoder\.inconv\.", "unused.inconv."),
    ),
    arguments={"backbone": "backbone", "aux": "aux"},
    values={"backbone": {"resnet18": "leaky_resnet18"}},
    positive=r"^(?!.*(?:bottom|inconv|down_module_list\.\d)\.bn2\.).*(?:\bbn\w*|\.downsample\.1)\.weight$",
)


NETWORKS["SGCPNet"] = Official(
    "SGCPNet",
    (
        (r"^l1\.0\.", "backbone.layer0.conv."),
        (r"^l1\.1\.", "backbone.layer0.bn."),
        (r"^l2\.", "backbone.layer1.0."),
        (r"^l([345])\.", lambda match: f"backbone.layer{int(match[1]) - 1}."),
        (r"^(backbone.*)\.(?:conv|(bn))(\d)\.", lambda m: f"{m[1]}.conv{m[3]}.{m[2] or 'conv'}."),
        (r"\.shortcut\.0\.", ".shortcut.conv."),
        (r"\.shortcut\.1\.", ".shortcut.bn."),
        (r"\.se\.se\.([14])\.", lambda match: f".se.{'squeeze' if match[1] == '1' else 'excite'}.conv."),
        (r"\.se\.se\.([25])\.", lambda match: f".se.{'squeeze' if match[1] == '2' else 'excite'}.bn."),
        (r"^(conv\d|classifier)\.", r"head.\1."),
        (r"^sgcp\.td_bu\.unit\.0\.", "head.td_bu."),
        (r"^sgcp\.td\.", "head.td."),
        (r"\.(p\d_w\d)$", r".\1.weight"),
        (r"\.(p\d_down_channel(?:_2)?|p5_to_p6)\.0\.conv\.", r".\1.conv."),
        (r"\.(p\d_down_channel(?:_2)?|p5_to_p6)\.1\.", r".\1.bn."),
        (r"\.depthwise_conv\.conv\.", ".0."),
        (r"\.pointwise_conv\.conv\.", ".1.conv."),
        (r"(_up|_down)\.bn\.", r"\1.1.bn."),
    ),
    wrap=lambda net, arguments: RawNet(net),
)


def _in_module(match: re.Match[str], period: int) -> str:
    """Place of a layer in a sequence of modules, each of a convolution, a normalisation, and perhaps an activation."""
    number, kind = divmod(int(match[2]), period)
    return f"{match[1]}.{number}.{('conv', 'bn')[kind]}."


NETWORKS["CIFReNet"] = Official(
    "CIFReNet",
    (
        (r"^mod1\.0\.", "backbone.mod1.conv."),
        (r"^mod1\.1\.", "backbone.mod1.bn."),
        (r"^mod2\.", "backbone.mod2.0."),
        (r"^mod([3-7])\.", r"backbone.mod\1."),
        (r"(mod\d.*\.conv)\.(\d)\.", lambda match: _in_module(match, 3)),
        (r"^LRM\.", "refine.low."),
        (r"^attention\.channel_excitation\.", "refine.attention."),
        (r"branch_(\d)\.", lambda match: f"branches.{int(match[1]) - 1}."),
        (r"(low|branches\.\d)\.(\d)\.(?:bn\.)?", lambda match: _in_module(match, 2)),
        (r"\.bn\.act\.weight$", ".act.alpha"),
        (r"\.pool\.1\.", ".pool.conv."),
        (r"\.pool\.2\.", ".pool.bn."),
        (r"\.down\.0\.", ".down.conv."),
        (r"\.down\.1\.", ".down."),
        (r"\.(?:module_)?act\.weight$", ".act.alpha"),
        (r"^final\.0\.", "head.mix."),
        (r"^final\.2\.", "head.bn."),
        (r"^final\.5\.", "head.score."),
    ),
    arguments={"align_corners": "align_corners"},
)


# The official network takes images of 0..255 and normalises them; ours gets normalised ones.
_SWIFT_MEAN = [(m / 255 - ours) / std for m, ours, std in zip((73.15, 82.90, 72.3), MEAN, STD, strict=True)]
_SWIFT_STD = [s / (255 * std) for s, std in zip((47.67, 48.49, 47.73), STD, strict=True)]
NETWORKS["SwiftNet"] = Official(
    "SwiftNetPreAct",
    (
        (r"^backbone\.(img_mean|img_std)$", r"unused.\1"),
        (r"^backbone\.spp\.spp\.", "head.spp."),
        (r"^backbone\.upsample\.", "head.upsample."),
        (r"^logits\.", "head.logits."),
    ),
    arguments={"backbone": "backbone", "mean": "mean", "std": "std"},
    options={"mean": _SWIFT_MEAN, "std": _SWIFT_STD},
)
NETWORKS["DeepLabV2"] = Official(
    "DeepLabV2",
    (
        (r"^Scale\.", ""),
        (r"^(conv1|bn1|layer[1-4])\.", r"backbone.\1."),
        (r"^layer5\.conv2d_list\.", "head.branches."),
    ),
    arguments={"multi_scale": "multi_scale"},
    wrap=lambda net, arguments: RawNet(net),
)


def _whole_dfanet(net: SegmentationModel, arguments: Mapping[str, Any]) -> WholeNet:
    """DFANet with all layers in all backbones: the first merges nothing, the others see no image."""
    parts = {f"{name}_1": copy for name, copy in DFAStage(net.backbone.widths, net.norm, later=True)._children.items()}
    parts = {name: part for name, part in parts.items() if "_conv_" in name}
    for number in (2, 3):
        parts[f"stem_{number}"] = ConvModule2d(STEM, 3, 2, 1, in_channels=3, norm_layer=net.norm)
    return WholeNet(net, parts)


# Official parts of a separable convolution -> ours.
_SEPARABLE = {None: "depthwise", "pointwise": "pointwise.conv"}
NETWORKS["DFANet"] = Official(
    "DFANet",
    (
        (r"^(?:backbone\d\.enc\d\.\d|decoder\.fca[23]_conv)\.", "unused.repeated."),
        (r"^backbone1\.(enc\d_conv)\.", r"unused.\1_1."),
        (r"^backbone1\.(enc|fc)", r"backbone.stage.\1"),
        (r"^backbone1\.", "backbone.stem."),
        (r"^backbone([23])\.(?=conv1|bn1)", r"unused.stem_\1."),
        (r"stem(_\d)?\.(conv|bn)1\.", r"stem\1.\2."),
        (r"\.(enc\d)_(\d)\.", lambda match: f".{match[1]}.{int(match[2]) - 1}."),
        (r"\.rep\.(\d+)\.(?:conv1|(pointwise))\.", lambda m: f".rep.{int(m[1]) // 3}.{_SEPARABLE[m[2]]}."),
        (r"\.rep\.(\d+)\.(?=[a-z_]+$)", lambda match: f".rep.{int(match[1]) // 3}.pointwise.bn."),
        (r"\.skip\.", ".skip.conv."),
        (r"\.skipbn\.", ".skip.bn."),
        (r"^decoder\.fca1_conv\.", "head.fca_conv."),
        (r"^decoder\.", "head."),
    ),
    arguments={"backbone": "backbone"},
    values={"backbone": {"XceptionA": "dfanet_xception_a", "XceptionB": "dfanet_xception_b"}},
    wrap=_whole_dfanet,
)
