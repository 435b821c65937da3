"""Vision transformers (Dosovitskiy et al., ICLR 2021; the small ones: Touvron et al., ICML 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mxnet import gluon, nd
from mxnet.gluon import nn

from ...errors import ConfigError, suggest
from ...registry import BACKBONES
from ..layers import NormLayer, resize_like
from ..layers.transformer import PatchEmbedding, TransformerBlock
from .base import Backbone, require_stride

__all__ = [
    "ViTBackbone",
    "VisionTransformer",
    "vit_base_16",
    "vit_huge_16",
    "vit_large_16",
    "vit_small_16",
    "vit_tiny_16",
]


class ViTBackbone(Backbone):
    """Patch embedding and transformer blocks, without class token.

    The position embedding belongs to images of one size; for any other it is resized to the grid of patches.

    Parameters
    ----------
    patch_size, depth, embed_dim, hidden_size, heads : int
        Side of a patch, number of blocks, length of the tokens and of the hidden layers, heads.
    img_size : int
        Side of the images that the position embedding belongs to.
    taps : sequence of int
        Blocks whose outputs are returned, in a network of 24 blocks; scaled to `depth`, rounded up.
    layer_norm_eps : float
        Added to the variance.
    drop : float
        Dropout probability.

    Outputs: four maps (N, embed_dim, H // patch_size, W // patch_size), the deepest last.

    Raises
    ------
    ConfigError
        If `img_size` is smaller than a patch.
    """

    def __init__(
        self,
        patch_size: int,
        depth: int,
        embed_dim: int,
        hidden_size: int,
        heads: int,
        img_size: int = 480,
        taps: Sequence[int] = (6, 12, 18, 24),
        layer_norm_eps: float = 1e-6,
        drop: float = 0.1,
    ):
        super().__init__()
        self.channels = (embed_dim,) * 4
        self._taps = [-(-tap * depth // 24) for tap in taps]
        tokens = _token_count(img_size, patch_size)
        self.pos_embed = self.params.get("pos_embed", shape=(1, tokens, embed_dim), init="zeros")
        self.patch_embed = PatchEmbedding(patch_size, embed_dim)
        self.blocks = nn.HybridSequential()
        for _ in range(depth):
            self.blocks.add(TransformerBlock(embed_dim, hidden_size, heads, drop=drop, layer_norm_eps=layer_norm_eps))

    def hybrid_forward(self, F: Any, x: Any, pos_embed: Any) -> tuple[Any, ...]:
        patches = self.patch_embed(x)
        tokens = _tokens(F, F.broadcast_add(patches, _position_map(F, pos_embed, self.pos_embed.shape[1], patches)))
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        like = F.BlockGrad(patches)
        return tuple(F.reshape_like(F.transpose(outputs[tap - 1], axes=(0, 2, 1)), like) for tap in self._taps)

    def own_arrays(self, arrays: Mapping[str, nd.NDArray]) -> dict[str, nd.NDArray]:
        """Pretrained tensors with the position embedding at this network's size, the class token's place dropped."""
        arrays, shape = dict(arrays), self.pos_embed.shape
        for name in ("pos_embed", "backbone.pos_embed"):
            if name in arrays and arrays[name].ndim == 3 and arrays[name].shape[2] == shape[2]:
                arrays[name] = _resized_position(arrays[name], shape[1])
        return arrays


class VisionTransformer(gluon.HybridBlock):
    """Image classifier.

    The class token follows the patches. As the position embedding of the patches is resized to their grid, the
    image may have any size.

    Parameters
    ----------
    patch_size, depth, embed_dim, hidden_size, heads : int
        As in :class:`ViTBackbone`.
    img_size : int
        Side of the images that the position embedding belongs to.
    classes : int
        Number of classes.
    embed_drop, att_drop, drop : float
        Dropout probability of the embedded patches, the attention weights, and the other layers.
    qkv_bias : bool
        Whether queries, keys and values have a bias.
    activation : str
        Name of the perceptrons' activation.
    layer_norm_eps : float
        Added to the variance.
    pool : str
        What is classified: ``cls`` (the class token), ``mean`` (of all tokens) or ``first`` (the first patch, which
        MXNetSeg calls ``cls``).

    Inputs: image (N, 3, H, W). Outputs: (N, classes).

    Raises
    ------
    ConfigError
        If `pool` is unknown or `img_size` is smaller than a patch.
    """

    def __init__(
        self,
        patch_size: int,
        depth: int,
        embed_dim: int,
        hidden_size: int,
        heads: int,
        img_size: int,
        classes: int,
        embed_drop: float = 0.0,
        qkv_bias: bool = True,
        att_drop: float = 0.0,
        drop: float = 0.1,
        activation: str = "gelu",
        layer_norm_eps: float = 1e-6,
        pool: str = "cls",
    ):
        super().__init__()
        if pool not in _POOLS:
            raise ConfigError(f"unknown pool {pool!r}", f"one of {', '.join(_POOLS)}", suggest(pool, _POOLS))
        self._pool = _POOLS[pool]
        tokens = _token_count(img_size, patch_size)
        self.cls_token = self.params.get("cls_token", shape=(1, 1, embed_dim), init="zeros")
        self.pos_embed = self.params.get("pos_embed", shape=(1, tokens + 1, embed_dim), init="zeros")
        self.patch_embed = PatchEmbedding(patch_size, embed_dim)
        self.embed_drop = nn.Dropout(embed_drop) if embed_drop else None
        self.blocks = nn.HybridSequential()
        for _ in range(depth):
            self.blocks.add(
                TransformerBlock(embed_dim, hidden_size, heads, qkv_bias, att_drop, drop, activation, layer_norm_eps)
            )
        self.head = nn.HybridSequential()
        self.head.add(
            nn.LayerNorm(epsilon=layer_norm_eps, in_channels=embed_dim), nn.Dense(classes, in_units=embed_dim)
        )

    def hybrid_forward(self, F: Any, x: Any, cls_token: Any, pos_embed: Any) -> Any:
        count, patches = self.pos_embed.shape[1] - 1, self.patch_embed(x)
        of_patches = F.slice_axis(pos_embed, axis=1, begin=0, end=count)
        of_class = F.slice_axis(pos_embed, axis=1, begin=count, end=count + 1)
        tokens = _tokens(F, F.broadcast_add(patches, _position_map(F, of_patches, count, patches)))
        last = F.broadcast_like(cls_token + of_class, F.BlockGrad(tokens), lhs_axes=(0,), rhs_axes=(0,))
        tokens = F.concat(tokens, last, dim=1)
        tokens = self.embed_drop(tokens) if self.embed_drop else tokens
        return self.head(self._pool(F, self.blocks(tokens)))


_POOLS = {
    "cls": lambda F, tokens: F.reshape(F.slice_axis(tokens, axis=1, begin=-1, end=None), shape=(0, -1)),
    "mean": lambda F, tokens: F.mean(tokens, axis=1),
    "first": lambda F, tokens: F.reshape(F.slice_axis(tokens, axis=1, begin=0, end=1), shape=(0, -1)),
}


def _token_count(img_size: int, patch_size: int) -> int:
    """Patches of a square image."""
    if img_size < patch_size:
        raise ConfigError(f"images of {img_size} pixels", f"at least one patch of {patch_size} pixels")
    return (img_size // patch_size) ** 2


def _tokens(F: Any, x: Any) -> Any:
    """Pixels of a map (N, C, h, w) as tokens (N, h * w, C)."""
    return F.transpose(F.reshape(x, shape=(0, 0, -1)), axes=(0, 2, 1))


def _position_map(F: Any, embedding: Any, count: int, like: Any) -> Any:
    """Embedding (1, count, C) of a square grid, resized to the height and width of `like`."""
    square = F.reshape(F.transpose(embedding, axes=(0, 2, 1)), shape=(0, 0, math.isqrt(count), -1))
    return resize_like(F, square, like)


def _resized_position(embedding: nd.NDArray, count: int) -> nd.NDArray:
    """Embedding of a square grid, whose class token comes last if it has one, for another square grid."""
    found = math.isqrt(embedding.shape[1]) ** 2
    if found == count:
        return embedding[:, :count]
    like = nd.zeros((1, 1, math.isqrt(count), math.isqrt(count)))
    return _tokens(nd, _position_map(nd, embedding[:, :found], found, like))


def _vit(name: str, sizes: tuple[int, int, int, int], output_stride: int, options: Mapping[str, Any]) -> ViTBackbone:
    """Backbone with patches of 16 pixels, of that depth, token length, hidden size and number of heads."""
    require_stride(name, output_stride, (16,))
    return ViTBackbone(16, *sizes, **options)


@BACKBONES.register("vit_tiny_16", channels=(192, 192, 192, 192), strides=(16,))
def vit_tiny_16(norm: NormLayer, output_stride: int = 16, **options: Any) -> ViTBackbone:
    """ViT-Ti/16: 12 blocks of 3 heads (Touvron et al., ICML 2021)."""
    return _vit("vit_tiny_16", (12, 192, 768, 3), output_stride, options)


@BACKBONES.register("vit_small_16", channels=(384, 384, 384, 384), strides=(16,))
def vit_small_16(norm: NormLayer, output_stride: int = 16, **options: Any) -> ViTBackbone:
    """ViT-S/16: 12 blocks of 6 heads (Touvron et al., ICML 2021)."""
    return _vit("vit_small_16", (12, 384, 1536, 6), output_stride, options)


@BACKBONES.register("vit_base_16", channels=(768, 768, 768, 768), strides=(16,))
def vit_base_16(norm: NormLayer, output_stride: int = 16, **options: Any) -> ViTBackbone:
    """ViT-B/16: 12 blocks of 12 heads."""
    return _vit("vit_base_16", (12, 768, 3072, 12), output_stride, options)


@BACKBONES.register("vit_large_16", channels=(1024, 1024, 1024, 1024), strides=(16,))
def vit_large_16(norm: NormLayer, output_stride: int = 16, **options: Any) -> ViTBackbone:
    """ViT-L/16: 24 blocks of 16 heads."""
    return _vit("vit_large_16", (24, 1024, 4096, 16), output_stride, options)


@BACKBONES.register("vit_huge_16", channels=(1280, 1280, 1280, 1280), strides=(16,))
def vit_huge_16(norm: NormLayer, output_stride: int = 16, **options: Any) -> ViTBackbone:
    """ViT-H/16: 32 blocks of 16 heads."""
    return _vit("vit_huge_16", (32, 1280, 5120, 16), output_stride, options)
