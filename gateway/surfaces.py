"""The inference paths: one table that the express lane and FastAPI's documentation are both made from."""

from __future__ import annotations

from dataclasses import dataclass

from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT

from wire.dialect import Dialect
from wire.dialects.anthropic_messages import DIALECT as ANTHROPIC
from wire.dialects.openai_responses import DIALECT as RESPONSES

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI_CHAT, RESPONSES, ANTHROPIC, GEMINI)}


@dataclass(frozen=True, slots=True)
class Surface:
    """One inference path. `path` is the route template, used in rows, metrics and logs too. `turns` is the field that
    must not be empty; `user_field` is where a caller names a user. `stream` None: the body says whether to stream."""

    path: str
    dialect: Dialect
    summary: str
    turns: str
    user_field: str | None = None
    stream: bool | None = None


CHAT_SURFACES: tuple[Surface, ...] = (
    Surface("/v1/chat/completions", OPENAI_CHAT, "OpenAI Chat Completions", "messages", "user"),
)
