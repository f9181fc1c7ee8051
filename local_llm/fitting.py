"""Whether a prompt fits into a slot, asked of the model's own tokenizer before the caller waits in line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from local_llm.asking import ask, refusal
from local_llm.engine import Engine
from local_llm.http import Refused

# A template adds its own words to a conversation.
_TEMPLATE_BYTES = 512
_CHAT = ("/v1/chat/completions", "/chat/completions")
_EMBEDDINGS = ("/v1/embeddings", "/embeddings", "/embedding")
COUNTED = {**dict.fromkeys(_CHAT, "/v1/chat/completions/input_tokens"), "/v1/messages": "/v1/messages/count_tokens",
           "/v1/responses": "/v1/responses/input_tokens"}  # fmt: skip


async def check_fits(engine: Engine, path: str, body: dict[str, Any], size: int) -> None:
    """`size` is the body's, in bytes. Raises Refused (400 with the numbers), NotReached."""
    held = engine.context
    if size + _TEMPLATE_BYTES < held:
        return  # a token is one byte at least
    counted = COUNTED.get(path)
    if counted is not None:
        tokens = await _count_chat(engine.port, counted, body)
    else:
        tokens = max([await _count_text(engine.port, text) for text in _prompts(path, body)], default=0)
    room = held if engine.model.in_one_piece else held - 1  # for what is written, if but a token
    if tokens > room:
        too_long = f"the prompt has {tokens} tokens, and a slot holds {held} (local.context)"
        raise Refused(400, f"{too_long}: shorten it, or raise local.context", type="exceed_context_size_error")


async def count_tokens(port: int, text: str) -> int:
    """Of a plain text, with the beginning mark that a prompt has. Raises Refused, NotReached."""
    status, raw = await ask(port, "POST", "/tokenize", {"content": text, "add_special": True})
    if status != 200:
        raise refusal(status, raw)
    return len(json.loads(raw)["tokens"])


async def _count_text(port: int, prompt: str | list[Any]) -> int:
    return len(prompt) if isinstance(prompt, list) else await count_tokens(port, prompt)


async def _count_chat(port: int, path: str, body: dict[str, Any]) -> int:
    status, raw = await ask(port, "POST", path, body)
    if status != 200:
        raise refusal(status, raw)
    tokens = json.loads(raw).get("input_tokens", 0)
    return int(tokens)


def _prompts(path: str, body: dict[str, Any]) -> Iterator[str | list[Any]]:
    """Texts or lists of token ids; what is neither is llama-server's to refuse."""
    value = body.get("input", body.get("content")) if path in _EMBEDDINGS else body.get("prompt")
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, int) for item in value)):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str | list))
