"""What is asked shows in the words, not in how a sentence is built: a classifier that sees words in no order.

A transformer alone learns the sentences of its training text, and fails at other ones with the same words. So this
classifier is trained first (in seconds), and becomes the model's embedding and first layer, which stay as they are: an
attention that is the mean of all tokens so far, and a feed-forward that adds a vector for each class to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

EPSILON = 1e-5
OWN = 0.2  # how much a token's own embedding counts beside the mean of all
_RATE = 1e-2
_DOUBT = 0.1  # a class is never quite sure, so that known sentences do not tower above those with the same words

# Rows of tokens, 1 where one is none of the padding, the last token of each row, and the number of its class.
Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Classifier:
    """`embedding`: a vector a token, each of length one in the mean square. `classes`: a column a class, whose product
    with the vector of a question is above zero where the question is of that class."""

    embedding: np.ndarray
    classes: np.ndarray


def learn(batches: Iterator[Batch], vocabulary: int, width: int, classes: int, steps: int, seed: int) -> Classifier:
    chance = np.random.default_rng(seed)
    weights = {
        "embedding": jnp.asarray(chance.standard_normal((vocabulary, width)), dtype=jnp.float32),
        "classes": jnp.asarray(chance.standard_normal((width, classes)) / width, dtype=jnp.float32),
    }
    optimizer = optax.adamw(optax.cosine_decay_schedule(_RATE, steps), weight_decay=1e-2)
    state = optimizer.init(weights)

    @jax.jit
    def step(weights: dict[str, jax.Array], state: optax.OptState, batch: Batch) -> tuple[dict[str, jax.Array], object]:
        change, state = optimizer.update(jax.grad(_loss)(weights, *batch), state, weights)
        return optax.apply_updates(weights, change), state

    for _ in range(steps):
        weights, state = step(weights, state, next(batches))
    return Classifier(np.asarray(_norm(weights["embedding"])), np.asarray(weights["classes"]))


def _loss(
    weights: dict[str, jax.Array], tokens: jax.Array, present: jax.Array, last: jax.Array, wanted: jax.Array
) -> jax.Array:
    vectors = _norm(weights["embedding"])
    mean = (vectors[tokens] * present[..., None]).sum(axis=1) / present.sum(axis=1, keepdims=True)
    found = _norm(OWN * vectors[last] + mean) @ weights["classes"]
    right = jax.nn.one_hot(wanted, found.shape[1])
    best = optax.softmax_cross_entropy(found, optax.smooth_labels(right, _DOUBT)).mean()
    each = optax.sigmoid_binary_cross_entropy(found, jnp.clip(right, _DOUBT / 5, 1 - _DOUBT)).sum(axis=1).mean()
    return best + 0.3 * each


def _norm(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON)
