"""Embeddings and model lists. https://platform.openai.com/docs/api-reference/embeddings/object"""

from __future__ import annotations

from typing import Any

from msgspec import field

from tollgate.sdk.types.shape import Answer, Shape


class Embedding(Shape):
    """`embedding` is text in base64 where `encoding_format` asked for it."""

    object: str = "embedding"
    index: int = 0
    embedding: list[float] = field(default_factory=list)


class EmbeddingUsage(Shape):
    prompt_tokens: int = 0
    total_tokens: int = 0


class CreateEmbeddingResponse(Answer):
    object: str = "list"
    data: list[Embedding] = field(default_factory=list)
    model: str = ""
    usage: EmbeddingUsage | None = None


class Model(Shape):
    """`id` is what a call names. A gateway says of each also whether it is `available`, its windows and its prices."""

    id: str = ""
    object: str = "model"
    created: int | None = None
    owned_by: str | None = None
    available: bool | None = None
    unavailable_reason: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    pricing: dict[str, Any] | None = None
