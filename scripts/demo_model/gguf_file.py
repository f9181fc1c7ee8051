"""Writes the trained weights as a GGUF that llama.cpp loads, chats with and says the truth about.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf

from scripts.demo_model.tokenizer import BEGIN, END, FIRST_BYTE, FIRST_PIECE, UNKNOWN, Tokenizer

LABEL = "demo, knows only Tollgate"
CONTEXT = 1024  # tokens
# Only the last question is given to the model, in small letters: it has learned nothing else. A system prompt is passed
# over (and read only so that llama.cpp does not put it into the question instead).
CHAT_TEMPLATE = (
    "{%- set ns = namespace(question='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['content'] and (message['role'] == 'user' or not ns.question) -%}"
    "{%- set ns.question = message['content'] | trim | lower -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{{- '<|user|>' + ns.question -}}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def write(path: Path, tokenizer: Tokenizer, weights: Mapping[str, Any], *, heads: int, epsilon: float) -> None:
    """Matrices are quantised to Q8_0, so that rows must be multiples of 32 long; norms stay F32."""
    writer: Any = gguf.GGUFWriter(path, "llama")
    _describe(writer, weights, heads, epsilon)
    _add_vocabulary(writer, tokenizer)
    for name, weight in weights.items():
        if weight.ndim == 1:
            writer.add_tensor(f"{name}.weight", weight.astype("float32"))
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, weights: Mapping[str, Any], heads: int, epsilon: float) -> None:
    width = weights["token_embd"].shape[1]
    writer.add_name(f"Tollgate demo ({LABEL})")
    writer.add_description(f"{LABEL}: a small llama trained from scratch on Tollgate's own FAQ, English and Korean")
    writer.add_license("Apache-2.0")
    writer.add_languages(["en", "ko"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(sum(name.endswith("attn_q") for name in weights))
    writer.add_feed_forward_length(weights["blk.0.ffn_gate"].shape[0])
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(epsilon)
    writer.add_vocab_size(weights["token_embd"].shape[0])
    writer.add_pooling_type(gguf.PoolingType.MEAN)  # else embeddings come back per token


def _add_vocabulary(writer: Any, tokenizer: Tokenizer) -> None:
    kinds = gguf.TokenType
    pieces = len(tokenizer.pieces)
    special = [int(kinds.UNKNOWN), *[int(kinds.CONTROL)] * (FIRST_BYTE - 1)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_scores([0.0] * FIRST_PIECE + [-float(rank) for rank in range(pieces)])
    writer.add_token_types([*special, *[int(kinds.BYTE)] * 256, *[int(kinds.NORMAL)] * pieces])
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(CHAT_TEMPLATE)
