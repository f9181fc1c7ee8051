"""A small llama in JAX: RMS norms, rotary positions, SwiGLU.

Weights carry GGUF's names and shapes (rows are outputs), so that llama.cpp computes the same from the written file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scripts.demo_model.bag_of_words import EPSILON, OWN, Classifier

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows of tokens, places in them to be learned, which of these count
Weights = dict[str, jax.Array]
ROPE_BASE = 10_000.0
_CLASS_SCALE = 0.3


@dataclass(frozen=True)
class Shape:
    """Widths are multiples of 32, the block of Q8_0."""

    vocabulary: int = 2048
    width: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 352


def new_weights(shape: Shape, classifier: Classifier, seed: int) -> Weights:
    """The classifier as embedding and first layer, the rest at random."""
    chance = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> jax.Array:
        return jnp.asarray(chance.standard_normal((rows, columns)) * scale / math.sqrt(columns), dtype=jnp.float32)

    width, wide = shape.width, shape.feed_forward
    quiet = 1 / math.sqrt(2 * shape.layers)  # what writes to the residual stream
    weights: Weights = {
        "token_embd": jnp.asarray(classifier.embedding * OWN, dtype=jnp.float32),
        "output_norm": jnp.ones(width),
        "output": matrix(shape.vocabulary, width),
    }
    for block in (f"blk.{number}." for number in range(shape.layers)):
        weights[block + "attn_norm"] = jnp.ones(width)
        weights[block + "attn_q"] = matrix(width, width)
        weights[block + "attn_k"] = matrix(width, width)
        weights[block + "attn_v"] = matrix(width, width)
        weights[block + "attn_output"] = matrix(width, width, quiet)
        weights[block + "ffn_norm"] = jnp.ones(width)
        weights[block + "ffn_gate"] = matrix(wide, width)
        weights[block + "ffn_up"] = matrix(wide, width)
        weights[block + "ffn_down"] = matrix(width, wide, quiet)
    return weights | _first_layer(shape, classifier, chance)


def _first_layer(shape: Shape, classifier: Classifier, chance: np.random.Generator) -> Weights:
    """Attention to all tokens alike; a feed-forward of one value a class, which is large where the class is right."""
    width, classes = classifier.classes.shape
    found = np.zeros((shape.feed_forward, width), dtype=np.float32)
    found[:classes] = classifier.classes.T
    told = np.zeros((width, shape.feed_forward), dtype=np.float32)
    told[:, :classes] = chance.standard_normal((width, classes)) * _CLASS_SCALE
    return {
        "blk.0.attn_q": jnp.zeros((width, width)),
        "blk.0.attn_k": jnp.zeros((width, width)),
        "blk.0.attn_v": jnp.eye(width),
        "blk.0.attn_output": jnp.eye(width),
        "blk.0.ffn_gate": jnp.asarray(found),
        "blk.0.ffn_up": jnp.asarray(found),
        "blk.0.ffn_down": jnp.asarray(told),
    }


def is_learned(name: str) -> bool:
    """Whether training changes a weight; the classifier's stay."""
    return name != "token_embd" and not name.startswith("blk.0.")


def hidden(weights: Weights, shape: Shape, tokens: jax.Array) -> jax.Array:
    """For every place of a batch of token rows, the vector whose products with the output matrix are the logits."""
    x = weights["token_embd"][tokens]
    rotation = _rotation(tokens.shape[1], shape.width // shape.heads)
    for block in (f"blk.{number}." for number in range(shape.layers)):
        x = x + _attention(weights, block, shape, _norm(x, weights[block + "attn_norm"]), rotation)
        y = _norm(x, weights[block + "ffn_norm"])
        gate = jax.nn.silu(y @ weights[block + "ffn_gate"].T) * (y @ weights[block + "ffn_up"].T)
        x = x + gate @ weights[block + "ffn_down"].T
    return _norm(x, weights["output_norm"])


def _norm(x: jax.Array, scale: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON) * scale


def _rotation(length: int, size: int) -> tuple[jax.Array, jax.Array]:
    angles = jnp.arange(length)[:, None] * ROPE_BASE ** (-jnp.arange(0, size, 2) / size)
    return jnp.cos(angles), jnp.sin(angles)


def _rotated(x: jax.Array, rotation: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Neighbouring values are pairs, as in llama's GGUF files (LLAMA_ROPE_TYPE_NORM)."""
    cosine, sine = (each[None, :, None, :] for each in rotation)
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cosine - odd * sine, even * sine + odd * cosine], axis=-1).reshape(x.shape)


def _attention(
    weights: Weights, block: str, shape: Shape, x: jax.Array, rotation: tuple[jax.Array, jax.Array]
) -> jax.Array:
    rows, length, width = x.shape
    size = width // shape.heads
    q, k, v = (
        (x @ weights[block + name].T).reshape(rows, length, shape.heads, size)
        for name in ("attn_q", "attn_k", "attn_v")
    )
    q, k = _rotated(q, rotation), _rotated(k, rotation)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(size)
    past = jnp.tril(jnp.ones((length, length), dtype=bool))
    chances = jax.nn.softmax(jnp.where(past, scores, -1e9), axis=-1)
    found = jnp.einsum("bhqk,bkhd->bqhd", chances, v).reshape(rows, length, width)
    return found @ weights[block + "attn_output"].T


def loss(weights: Weights, shape: Shape, tokens: jax.Array, places: jax.Array, counted: jax.Array) -> jax.Array:
    """Mean cross-entropy of the tokens at `places`; `counted` is 1 for those to be learned, 0 for padding."""
    known = jnp.take_along_axis(hidden(weights, shape, tokens), places[..., None] - 1, axis=1)
    guessed = jax.nn.log_softmax(known @ weights["output"].T)
    wanted = jnp.take_along_axis(tokens, places, axis=1)
    right = jnp.take_along_axis(guessed, wanted[..., None], axis=-1)[..., 0]
    return -(right * counted).sum() / counted.sum()


@partial(jax.jit, static_argnames=("shape", "optimizer"), donate_argnums=(0, 2))
def step(
    learned: Weights, kept: Weights, state: Any, shape: Shape, optimizer: Any, batch: Batch
) -> tuple[Weights, Any, jax.Array]:
    """One update of the weights that are learned."""
    value, gradient = jax.value_and_grad(lambda weights: loss(weights | kept, shape, *batch))(learned)
    change, state = optimizer.update(gradient, state, learned)
    return jax.tree.map(jnp.add, learned, change), state, value
