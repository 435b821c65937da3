"""SETR: rethinking semantic segmentation from a sequence-to-sequence perspective (Zheng et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from ..errors import ConfigError, suggest
from ..registry import MODELS
from .base import SegmentationModel
from .layers import AuxHead, ConvModule2d, NormLayer, concat, resize_like

__all__ = ["SETR", "MLAHead", "NaiveHead", "PUPHead"]

# Blocks, of 24, whose outputs the heads see; which of them the main and the auxiliary heads read, deepest first.
_TAPS = {"naive": (10, 15, 20, 24), "pup": (10, 15, 20, 24), "mla": (6, 12, 18, 24)}
_MAIN = {"naive": (3,), "pup": (3,), "mla": (3, 2, 1, 0)}
_AUXILIARY = {"naive": (2, 1, 0), "pup": (3, 2, 1, 0), "mla": (3, 2, 1, 0)}


@MODELS.register(
    "SETR",
    backbones=("vit_*",),
    default_backbone="vit_large_16",
    paper="Zheng et al., CVPR 2021",
)
class SETR(SegmentationModel):
    """Vision transformer with a convolutional decoder, at stride 16 (naive, mla) or 8 (pup).

    Rows and columns beyond a multiple of 16 are not seen. As in MXNetSeg, every tap has a layer normalisation,
    also where `aux` is false and nothing reads it.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str
        Any ViT.
    aux : bool
        Auxiliary heads on the taps, three for ``naive`` and four for the others.
    norm : str or callable
        Normalisation of the decoder.
    decoder : str
        ``naive`` (sec. 3.3, 1), ``pup`` (progressive upsampling, 2) or ``mla`` (multi-level aggregation, 3).
    crop_size : int
        Side of the images that the position embedding belongs to; for others it is resized.
    layer_norm_eps : float
        Added to the variance by layer normalisation.
    relu_logits : bool
        Whether the scores of ``pup`` go through ReLU, as in MXNetSeg; without it, they learn faster.

    Raises
    ------
    ConfigError
        If the decoder is unknown.
    """

    auxiliary = ("aux_head", "aux_norms")
    min_size = 16

    def __init__(
        self,
        num_classes: int,
        backbone: str = "vit_large_16",
        aux: bool = True,
        norm: str | NormLayer = "bn",
        decoder: str = "pup",
        crop_size: int = 480,
        layer_norm_eps: float = 1e-6,
        relu_logits: bool = True,
    ):
        if decoder not in _TAPS:
            raise ConfigError(f"unknown decoder {decoder!r}", f"one of {', '.join(_TAPS)}", suggest(decoder, _TAPS))
        transformer = {"img_size": crop_size, "taps": _TAPS[decoder], "layer_norm_eps": layer_norm_eps}
        super().__init__(num_classes, backbone, norm, output_stride=16, aux=aux, **transformer)
        self._main, self._auxiliary = _MAIN[decoder], _AUXILIARY[decoder]
        dim = self.backbone.channels[3]
        with self.name_scope():
            self._add_norms(dim, layer_norm_eps)
            if decoder == "pup":
                self.head = PUPHead(num_classes, dim, self.norm, relu_logits)
            else:
                self.head = {"naive": NaiveHead, "mla": MLAHead}[decoder](num_classes, dim, self.norm)
            if aux:
                self.aux_head = nn.HybridSequential()
                self.aux_head.add(*(AuxHead(num_classes, dim, self.norm, channels=256) for _ in self._auxiliary))

    def _add_norms(self, dim: int, epsilon: float) -> None:
        """Layer normalisation of the taps, those apart that only auxiliary heads read; names are numbers of taps."""
        self.layer_norms, self.aux_norms = nn.HybridSequential(), nn.HybridSequential()
        for tap in range(4):
            owner = self.layer_norms if tap in self._main else self.aux_norms
            owner.register_child(nn.LayerNorm(axis=1, epsilon=epsilon, in_channels=dim), str(tap))

    def _normal(self, tap: int, x: Any) -> Any:
        """Normalised output of a tap."""
        return (self.layer_norms._children | self.aux_norms._children)[str(tap)](x)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        taps = self.backbone(x)
        normal = {tap: self._normal(tap, taps[tap]) for tap in self._main}
        yield self.head(*normal.values())
        for head, tap in zip(self.aux_head, self._auxiliary, strict=True):
            yield head(normal[tap] if tap in normal else self._normal(tap, taps[tap]))


class NaiveHead(gluon.HybridBlock):
    """Two 1x1 convolutions.

    Parameters
    ----------
    num_classes, in_channels : int
        Number of classes, length of the tokens.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: (N, in_channels, h, w). Outputs: (N, num_classes, h, w).
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        self.head = AuxHead(num_classes, in_channels, norm_layer, channels=256)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.head(x)


class PUPHead(gluon.HybridBlock):
    """Progressive upsampling (fig. 1b): 3x3 convolution modules, the map doubled between the first four.

    Parameters
    ----------
    num_classes, in_channels : int
        Number of classes, length of the tokens.
    norm_layer : callable
        Constructor of the normalisation.
    relu_logits : bool
        Whether the scores go through ReLU.

    Inputs: (N, in_channels, h, w). Outputs: (N, num_classes, 8 * h, 8 * w).
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer, relu_logits: bool = True):
        super().__init__()
        common = {"padding": 1, "norm_layer": norm_layer}
        self.conv0 = ConvModule2d(256, 3, in_channels=in_channels, **common)
        self.conv1 = ConvModule2d(256, 3, in_channels=256, **common)
        self.conv2 = ConvModule2d(256, 3, in_channels=256, **common)
        self.conv3 = ConvModule2d(256, 3, in_channels=256, **common)
        activation = "relu" if relu_logits else None
        self.conv4 = ConvModule2d(num_classes, 3, in_channels=256, activation=activation, **common)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        for conv in (self.conv0, self.conv1, self.conv2):
            x = _doubled(F, conv(x))
        return self.conv4(self.conv3(x))


class MLAHead(gluon.HybridBlock):
    """Multi-level aggregation (fig. 1c): the levels are summed from the deepest to the shallowest, then concatenated.

    Parameters
    ----------
    num_classes, in_channels : int
        Number of classes, length of the tokens.
    norm_layer : callable
        Constructor of the normalisation.

    Inputs: four maps (N, in_channels, h, w), the deepest first. Outputs: (N, num_classes, h, w).
    """

    def __init__(self, num_classes: int, in_channels: int, norm_layer: NormLayer):
        super().__init__()
        common = {"padding": 1, "norm_layer": norm_layer}
        for level in (5, 4, 3, 2):
            setattr(self, f"conv1x1_p{level}", ConvModule2d(256, 1, in_channels=in_channels, norm_layer=norm_layer))
            setattr(self, f"conv3x3_p{level}", ConvModule2d(256, 3, in_channels=256, **common))
            branch = nn.HybridSequential()
            branch.add(ConvModule2d(128, 3, in_channels=256, **common), ConvModule2d(128, 3, in_channels=128, **common))
            setattr(self, f"head{level}", branch)
        self.head = nn.Conv2D(num_classes, 1, in_channels=512)

    def hybrid_forward(self, F: Any, *levels: Any) -> Any:
        total, branches = None, []
        for level, x in zip((5, 4, 3, 2), levels, strict=True):
            x = getattr(self, f"conv1x1_p{level}")(x)
            total = x if total is None else total + x
            branches.append(getattr(self, f"head{level}")(getattr(self, f"conv3x3_p{level}")(total)))
        return self.head(concat(F, *branches))


def _doubled(F: Any, x: Any) -> Any:
    """`x` at twice its height and width."""
    like = F.BlockGrad(F.slice_axis(x, axis=1, begin=0, end=1))
    return resize_like(F, x, F.repeat(F.repeat(like, repeats=2, axis=2), repeats=2, axis=3))
