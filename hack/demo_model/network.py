"""A Llama network in jax, laid out as llama.cpp's `llama` architecture expects its tensors (out, in)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

Params = dict[str, jax.Array]
EPSILON = 1e-5


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. Rows are multiples of 256 so that every llama.cpp quantization applies."""

    vocab: int
    dim: int = 256
    layers: int = 3
    heads: int = 8
    hidden: int = 512
    context: int = 1024
    rope_base: float = 10000.0

    @property
    def head(self) -> int:
        return self.dim // self.heads


def init(shape: Shape, key: jax.Array) -> Params:
    keys = iter(jax.random.split(key, 1 + 7 * shape.layers))

    def matrix(rows: int, columns: int, gain: float = 1.0) -> jax.Array:
        return jax.random.normal(next(keys), (rows, columns)) * (gain / columns**0.5)

    d, h = shape.dim, shape.hidden
    out_gain = (2 * shape.layers) ** -0.5
    params: Params = {"token_embd": matrix(shape.vocab, d), "output_norm": jnp.ones(d)}
    for i in range(shape.layers):
        p = f"blk.{i}."
        params |= {p + "attn_norm": jnp.ones(d), p + "ffn_norm": jnp.ones(d)}
        params |= {p + f"attn_{n}": matrix(d, d) for n in "qkv"}
        params |= {p + "attn_output": matrix(d, d, out_gain), p + "ffn_down": matrix(d, h, out_gain)}
        params |= {p + "ffn_gate": matrix(h, d), p + "ffn_up": matrix(h, d)}
    return params


def _norm(x: jax.Array, weight: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON) * weight


def _rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Rotary positions on neighbouring pairs, which is what llama.cpp applies to this architecture."""
    a, b = x[..., 0::2], x[..., 1::2]
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


def logits(params: Params, tokens: jax.Array, shape: Shape) -> jax.Array:
    """Next-token logits for a batch (batch, length) padded at the end; causal masking makes padding harmless."""
    batch, length = tokens.shape
    angle = jnp.arange(length)[:, None] * shape.rope_base ** (-jnp.arange(0, shape.head, 2) / shape.head)
    cos, sin = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]
    mask = jnp.tril(jnp.ones((length, length), bool))
    x = params["token_embd"][tokens]
    for i in range(shape.layers):
        p = f"blk.{i}."
        h = _norm(x, params[p + "attn_norm"])
        q, k, v = ((h @ params[p + f"attn_{n}"].T).reshape(batch, length, shape.heads, shape.head) for n in "qkv")
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        score = jnp.einsum("bqhd,bkhd->bhqk", q, k) / shape.head**0.5
        weight = jax.nn.softmax(jnp.where(mask, score, -1e9), -1)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weight, v).reshape(batch, length, shape.dim)
        x = x + mixed @ params[p + "attn_output"].T
        h = _norm(x, params[p + "ffn_norm"])
        gate = jax.nn.silu(h @ params[p + "ffn_gate"].T) * (h @ params[p + "ffn_up"].T)
        x = x + gate @ params[p + "ffn_down"].T
    return _norm(x, params["output_norm"]) @ params["token_embd"].T
