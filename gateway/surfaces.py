"""The inference paths: one table that the express lane and FastAPI's documentation are both made from."""

from __future__ import annotations

from dataclasses import dataclass

from wire.dialect import Dialect
from wire.dialects.anthropic_messages import DIALECT as ANTHROPIC
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT
from wire.dialects.openai_responses import DIALECT as RESPONSES

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI_CHAT, RESPONSES, ANTHROPIC, GEMINI)}


@dataclass(frozen=True, slots=True)
class ChatSurface:
    """A path that takes a conversation. `path` is the route template, used in rows, metrics and logs too.

    `turns` is the field that must not be empty; `user_field` is where a caller names a user. `stream` None: the body
    says whether to stream.
    """

    path: str
    dialect: Dialect
    summary: str
    turns: str
    user_field: str | None = None
    stream: bool | None = None


Surface = ChatSurface

SURFACES: tuple[Surface, ...] = (
    ChatSurface("/v1/chat/completions", OPENAI_CHAT, "OpenAI Chat Completions", "messages", "user"),
    ChatSurface("/v1/responses", RESPONSES, "OpenAI Responses", "input", "user"),
    ChatSurface("/v1/messages", ANTHROPIC, "Anthropic Messages", "messages", "metadata.user_id"),
    ChatSurface("/v1beta/models/{model}:generateContent", GEMINI, "Gemini generateContent", "contents", stream=False),
    ChatSurface(
        "/v1beta/models/{model}:streamGenerateContent",
        GEMINI,
        "Gemini streamGenerateContent: SSE with alt=sse, else a JSON array",
        "contents",
        stream=True,
    ),
)
