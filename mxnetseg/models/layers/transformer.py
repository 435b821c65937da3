"""Transformer encoder on image patches (Dosovitskiy et al., ICLR 2021)."""

from __future__ import annotations

from typing import Any

from mxnet import gluon
from mxnet.gluon import nn

from .activation import Activation

__all__ = ["PatchEmbedding", "SelfAttention", "TransformerBlock"]


class PatchEmbedding(gluon.HybridBlock):
    """One vector per patch; rows and columns that do not fill a patch are not seen.

    Parameters
    ----------
    patch_size : int
        Side of a patch.
    embed_dim : int
        Length of the vectors.

    Inputs: image (N, 3, H, W). Outputs: (N, embed_dim, H // patch_size, W // patch_size).
    """

    def __init__(self, patch_size: int, embed_dim: int):
        super().__init__()
        self.linear = nn.Conv2D(embed_dim, patch_size, patch_size, in_channels=3)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.linear(x)


class SelfAttention(gluon.HybridBlock):
    """Multi-head self-attention (Vaswani et al., NIPS 2017, sec. 3.2).

    Parameters
    ----------
    dim : int
        Length of the tokens.
    heads : int
        Number of heads; divides `dim`.
    qkv_bias : bool
        Whether queries, keys and values have a bias.
    att_drop, drop : float
        Dropout probability of the attention weights and of the output.

    Inputs: tokens (N, T, dim). Outputs: the same shape.
    """

    def __init__(self, dim: int, heads: int, qkv_bias: bool = True, att_drop: float = 0.0, drop: float = 0.1):
        super().__init__()
        self._heads = heads
        self.att_qkv = nn.Dense(3 * dim, flatten=False, use_bias=qkv_bias, in_units=dim)
        self.att_drop = nn.Dropout(att_drop) if att_drop else None
        self.proj = nn.Dense(dim, flatten=False, in_units=dim)
        self.drop = nn.Dropout(drop) if drop else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        together = F.reshape(self.att_qkv(x), shape=(0, 0, -4, 3 * self._heads, -1))
        together = F.split(F.transpose(together, axes=(0, 2, 1, 3)), num_outputs=3, axis=1)
        query, key, value = (F.reshape(y, shape=(-3, 0, 0)) for y in together)
        weight = F.softmax(F.batch_dot(F.contrib.div_sqrt_dim(query), key, transpose_b=True))
        weight = self.att_drop(weight) if self.att_drop else weight
        y = F.reshape(F.batch_dot(weight, value), shape=(-4, -1, self._heads, 0, 0))
        y = self.proj(F.reshape(F.transpose(y, axes=(0, 2, 1, 3)), shape=(0, 0, -3)))
        return self.drop(y) if self.drop else y


class TransformerBlock(gluon.HybridBlock):
    """Attention and perceptron, each on normalised tokens and added to its input (fig. 1).

    Parameters
    ----------
    dim, hidden_size : int
        Length of the tokens, and of the perceptron's hidden layer.
    heads : int
        Number of heads.
    qkv_bias : bool
        Whether queries, keys and values have a bias.
    att_drop, drop : float
        Dropout probability of the attention weights, and of the other layers.
    activation : str
        Name of the perceptron's activation.
    layer_norm_eps : float
        Added to the variance.

    Inputs: tokens (N, T, dim). Outputs: the same shape.
    """

    def __init__(
        self,
        dim: int,
        hidden_size: int,
        heads: int,
        qkv_bias: bool = True,
        att_drop: float = 0.0,
        drop: float = 0.1,
        activation: str = "gelu",
        layer_norm_eps: float = 1e-6,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(epsilon=layer_norm_eps, in_channels=dim)
        self.att = SelfAttention(dim, heads, qkv_bias, att_drop, drop)
        self.norm2 = nn.LayerNorm(epsilon=layer_norm_eps, in_channels=dim)
        self.mlp = _Perceptron(dim, hidden_size, drop, activation)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = x + self.att(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Perceptron(gluon.HybridBlock):
    """Two dense layers."""

    def __init__(self, dim: int, hidden_size: int, drop: float, activation: str):
        super().__init__()
        self.fc1 = nn.Dense(hidden_size, flatten=False, in_units=dim)
        self.act = Activation(activation)
        self.fc2 = nn.Dense(dim, flatten=False, in_units=hidden_size)
        self.drop = nn.Dropout(drop) if drop else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        for layer in (self.fc1, self.act, self.drop, self.fc2, self.drop):
            x = layer(x) if layer else x
        return x
