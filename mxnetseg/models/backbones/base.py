"""What all backbones have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mxnet import gluon, nd

from ...errors import ConfigError
from ...registry import BACKBONES
from ..layers import NormLayer, make_norm

__all__ = ["Backbone", "build_backbone", "require_stride"]


class Backbone(gluon.HybridBlock):
    """Feature extractor.

    Inputs: image (N, 3, H, W). Outputs: c1, c2, c3, c4 of (N, channels[i], ceil(H / stride), ceil(W / stride)),
    at strides 4, 8, 16 and 32, or less for c3 and c4 where the backbone is dilated; a backbone that differs says so.

    Attributes
    ----------
    channels : tuple of int
        Channels of c1, c2, c3, c4.
    imagenet : str or None
        Name of the ImageNet weights in GluonCV's model store.
    """

    channels: tuple[int, int, int, int]
    imagenet: str | None = None
    renamed: ClassVar[dict[str, str]] = {}

    def own_name(self, name: str) -> str:
        """Our name of a tensor of the ImageNet classifier (prefixes as in `renamed`)."""
        for theirs, ours in self.renamed.items():
            if name.startswith(theirs):
                return ours + name.removeprefix(theirs)
        return name

    def own_arrays(self, arrays: Mapping[str, nd.NDArray]) -> Mapping[str, nd.NDArray]:
        """Pretrained tensors, adapted to this backbone where their shape depends on the size of the images."""
        return arrays


def require_stride(name: str, output_stride: int, supported: tuple[int, ...]) -> None:
    """Check that a backbone exists at an output stride.

    Raises
    ------
    ConfigError
        If it does not.
    """
    if output_stride not in supported:
        raise ConfigError(
            f"backbone {name!r} has no output stride {output_stride}",
            f"one of {', '.join(map(str, supported))}",
            "choose another output stride, or dilate=true for 8 and dilate=false for 32",
        )


def build_backbone(name: str, norm: str | NormLayer = "bn", output_stride: int = 32, **options: Any) -> Backbone:
    """Build a registered backbone, without weights.

    Parameters
    ----------
    name : str
        Registered name.
    norm : str or callable
        Normalisation (see :func:`..layers.norm.make_norm`).
    output_stride : int
        Stride of c4: 32, or 8 or 16 where the backbone has it.
    **options
        Further arguments of this backbone.

    Raises
    ------
    NameNotFoundError
        If the name is not registered.
    ConfigError
        If the backbone does not have that output stride, or not such an argument.
    """
    builder: Any = BACKBONES.get(name)
    try:
        return builder(make_norm(norm), output_stride, **options)
    except TypeError as error:
        if not any(f"keyword argument '{option}'" in str(error) for option in options):
            raise
        raise ConfigError(f"backbone {name!r}: {error}", "further arguments as its documentation lists them") from error
