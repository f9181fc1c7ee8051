"""A chat model of half a megabyte, made in code: random weights in llama's architecture, for real inference in tests.

Its vocabulary is a genuine SentencePiece-style one (the 256 byte tokens, merges learned from a few words), so that
every text round-trips. Dimension 0 of the residual stream is the same number in every embedding, and no layer writes
to it: through the output matrix it is a bias per token. With it, bytes and control tokens are never chosen (no broken
UTF-8), and the end token gets the weight at which an answer has about `mean_tokens` tokens.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import gguf.quants
import numpy as np

VOCABULARY = 1024
_CONSTANT = 4.0  # value of the reserved residual dimension
_FIRST_PIECE = 259  # after <unk>, <s>, </s> and the bytes
_WORDS = """
the quick brown fox jumps over the lazy dog while a small language model answers questions about cities rivers numbers
please write one short sentence that explains how this system works for people who want to know what happens when many
users ask for help at the same time you are a helpful assistant and you should answer with care in plain words
hello world thank you yes no maybe today tomorrow yesterday morning evening night one two three four five six seven
eight nine ten hundred thousand million red green blue yellow black white orange purple city country capital
"""
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)

_THOUGHT = "{% if message['reasoning_content'] %}{{ '<think>' + message['reasoning_content'] + '</think>' }}{% endif %}"
_BEGIN_THOUGHT = "{% if enable_thinking %}{{ '<think>' }}{% endif %}"


def _tools_template(thinks: bool) -> str:
    """Names its tools. With thoughts every answer begins with one, which weights at random never end."""
    return (
        "{% if tools %}{{ '<|system|>\n<tools>' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
        "{{ '</tools>' + eos_token + '\n' }}{% endif %}"
        "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' }}"
        f"{_THOUGHT if thinks else ''}"
        "{% if message['content'] %}{{ message['content'] }}{% endif %}"
        "{% for call in message['tool_calls'] or [] %}"
        "{{ '<tool_call>\n{\"name\": \"' + call['function']['name'] + '\", \"arguments\": ' }}"
        "{{ call['function']['arguments'] | tojson }}{{ '}\n</tool_call>' }}{% endfor %}"
        "{{ eos_token + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
        f"{_BEGIN_THOUGHT if thinks else ''}"
        "{% endif %}"
    )


@dataclass(frozen=True)
class Shape:
    """Heads have a whole number of dimensions each. `eight_bits`: weights as Q8_0, else F16. `thinks`: it reasons, and
    is told of tools. `calls`: it is told of tools, and where it may not end at once, begins to call one. `pools`: how,
    for a model that is made for embeddings."""

    layers: int = 2
    width: int = 64
    feed_forward: int = 192
    heads: int = 4
    kv_heads: int = 2
    eight_bits: bool = False
    thinks: bool = False
    calls: bool = False
    pools: gguf.PoolingType | None = None


TINY = Shape()
WIDTH = TINY.width
MILLIONS_58 = Shape(layers=12, width=640, feed_forward=1856, heads=10, kv_heads=5, eight_bits=True)


def write(path: Path, *, mean_tokens: int = 40, context: int = 2048, seed: int = 0, shape: Shape = TINY) -> None:
    """Write the model. `mean_tokens` 0: an answer never ends by itself."""
    writer: Any = gguf.GGUFWriter(path, "llama")
    merges = _describe(writer, context, shape)
    _Weights(writer, np.random.default_rng(seed), shape).write(merges, mean_tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _merges(limit: int) -> list[str]:
    """Plain byte-pair merges over the words, in order; a vocabulary needs all the intermediate ones."""
    split = {f"\u2581{word}": list(f"\u2581{word}") for word in _WORDS.split()}
    pieces: dict[str, None] = {}
    while len(pieces) < limit:
        pairs = collections.Counter(a + b for parts in split.values() for a, b in itertools.pairwise(parts))
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        pieces[best] = None
        split = {word: _merged(parts, best) for word, parts in split.items()}
    return list(pieces)


def _merged(parts: list[str], pair: str) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and merged[-1] + part == pair:
            merged[-1] = pair
        else:
            merged.append(part)
    return merged


def _describe(writer: Any, context: int, shape: Shape) -> int:
    """Write what the file says of itself. Returns the number of merges in the vocabulary."""
    kinds = gguf.TokenType
    characters = ["\u2581", *(chr(code) for code in range(33, 127))]
    room = VOCABULARY - _FIRST_PIECE - len(characters)
    merges = _merges(room)
    fillers = [f"\u2581word{number}" for number in range(room - len(merges))]
    if shape.calls:
        fillers[0] = "<tool_call>\n"
    pieces = [*merges, *fillers, *characters]
    writer.add_name("random-tiny")
    writer.add_description("random weights, for tests only")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if shape.eight_bits else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    if shape.pools is not None:
        writer.add_pooling_type(shape.pools)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces])
    writer.add_token_scores([0.0] * _FIRST_PIECE + [-float(rank) for rank in range(len(pieces))])
    writer.add_token_types(
        [int(kinds.UNKNOWN), *[int(kinds.CONTROL)] * 2, *[int(kinds.BYTE)] * 256, *[int(kinds.NORMAL)] * len(pieces)]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(_tools_template(shape.thinks) if shape.thinks or shape.calls else _CHAT_TEMPLATE)
    return len(merges)


class _Weights:
    def __init__(self, writer: Any, random: np.random.Generator, shape: Shape) -> None:
        self._writer = writer
        self._random = random
        self._shape = shape

    def write(self, merges: int, mean_tokens: int) -> None:
        embedding = self._matrix(VOCABULARY, self._shape.width, 1.0)
        embedding[:, 0] = _CONSTANT
        self._add("token_embd", embedding)
        for number in range(self._shape.layers):
            self._layer(f"blk.{number}")
        self._norm("output_norm")
        self._add("output", self._output(merges, mean_tokens))

    def _layer(self, name: str) -> None:
        shape, width = self._shape, self._shape.width
        shared = width // shape.heads * shape.kv_heads
        self._norm(f"{name}.attn_norm")
        self._add(f"{name}.attn_q", self._matrix(width, width))
        self._add(f"{name}.attn_k", self._matrix(shared, width))
        self._add(f"{name}.attn_v", self._matrix(shared, width))
        self._add(f"{name}.attn_output", self._without_first(self._matrix(width, width)))
        self._norm(f"{name}.ffn_norm")
        self._add(f"{name}.ffn_gate", self._matrix(shape.feed_forward, width))
        self._add(f"{name}.ffn_up", self._matrix(shape.feed_forward, width))
        self._add(f"{name}.ffn_down", self._without_first(self._matrix(width, shape.feed_forward)))

    def _output(self, merges: int, mean_tokens: int) -> Any:
        weights = self._matrix(VOCABULARY, self._shape.width, 1.0)
        bias = np.full(VOCABULARY, -40.0, dtype=np.float32)
        bias[_FIRST_PIECE : _FIRST_PIECE + merges] = 0.0
        if mean_tokens > 0:
            # Samplers keep the 40 likeliest first: the end is to have 1/mean_tokens of their probability.
            likeliest = np.sort(self._random.standard_normal(merges))[-40:]
            bias[2] = math.log(np.exp(likeliest).sum() / mean_tokens)
            weights[2, :] = 0
        if self._shape.calls:  # to end is the likeliest, and next to it the call, which a grammar leaves alone
            weights[[2, _FIRST_PIECE + merges], :] = 0
            bias[[2, _FIRST_PIECE + merges]] = 200, 100
        # After the last norm the constant has about this share of the vector's length.
        length = math.sqrt(_CONSTANT**2 + (self._shape.width - 1) * (1 + 0.5 * self._shape.layers))
        weights[:, 0] = bias * length / (_CONSTANT * math.sqrt(self._shape.width))
        return weights

    def _matrix(self, rows: int, columns: int, deviation: float | None = None) -> Any:
        numbers = self._random.standard_normal((rows, columns), dtype=np.float32)
        return numbers * np.float32(deviation if deviation is not None else 1 / math.sqrt(columns))

    @staticmethod
    def _without_first(matrix: Any) -> Any:
        matrix[0, :] = 0  # never write the reserved dimension
        return matrix

    def _norm(self, name: str) -> None:
        self._writer.add_tensor(f"{name}.weight", np.ones(self._shape.width, dtype=np.float32))

    def _add(self, name: str, matrix: Any) -> None:
        if self._shape.eight_bits:
            kind = gguf.GGMLQuantizationType.Q8_0
            self._writer.add_tensor(f"{name}.weight", gguf.quants.quantize(matrix, kind), raw_dtype=kind)
        else:
            self._writer.add_tensor(f"{name}.weight", matrix.astype(np.float16))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Write a tiny GGUF with random weights")
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--mean-tokens", type=int, default=40)
    chosen = arguments.parse_args()
    write(chosen.path, mean_tokens=chosen.mean_tokens)
