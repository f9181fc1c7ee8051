from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from scripts.demo_model.gguf_file import CONTEXT, LABEL, write
from scripts.demo_model.tokenizer import BEGIN, END, FIRST_PIECE, learn

WIDTH, WIDE, HEADS = 64, 96, 2


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    tokenizer = learn([" how do i start tollgate?"] * 2, FIRST_PIECE + 40)
    chance = np.random.default_rng(0)
    names = {"attn_q": (WIDTH, WIDTH), "ffn_gate": (WIDE, WIDTH), "ffn_down": (WIDTH, WIDE)}
    weights = {f"blk.0.{name}": chance.standard_normal(shape, dtype=np.float32) for name, shape in names.items()}
    weights["token_embd"] = chance.standard_normal((len(tokenizer.tokens), WIDTH), dtype=np.float32)
    weights["output_norm"] = np.ones(WIDTH, dtype=np.float32)
    path = tmp_path / "small.gguf"
    write(path, tokenizer, weights, heads=HEADS, epsilon=1e-5)

    read = gguf.GGUFReader(path)
    said = {name: field.contents() for name, field in read.fields.items()}
    assert path.read_bytes()[:4] == b"GGUF"
    assert said["general.architecture"] == "llama"
    assert LABEL in said["general.name"]
    assert LABEL in said["general.description"]
    assert said["general.license"] == "Apache-2.0"
    assert said["llama.context_length"] == CONTEXT
    assert said["llama.block_count"] == 1
    assert said["llama.feed_forward_length"] == WIDE
    assert said["llama.rope.dimension_count"] == WIDTH // HEADS
    assert said["tokenizer.ggml.tokens"] == tokenizer.tokens
    assert said["tokenizer.ggml.scores"][FIRST_PIECE:] == [-float(n) for n in range(len(tokenizer.pieces))]
    assert (said["tokenizer.ggml.bos_token_id"], said["tokenizer.ggml.eos_token_id"]) == (BEGIN, END)
    tensors = {tensor.name: tensor for tensor in read.tensors}
    assert set(tensors) == {f"{name}.weight" for name in weights}
    for name, weight in weights.items():
        held = tensors[f"{name}.weight"]
        plain = gguf.quants.dequantize(held.data, held.tensor_type)
        assert np.abs(plain - weight).max() < 0.02, name
