"""The inference paths: one table that the express lane and FastAPI's documentation are both made from."""

from __future__ import annotations

from dataclasses import dataclass

from wire.dialect import CallerFormat, Dialect, FrontDoor
from wire.dialects.anthropic_messages import DIALECT as ANTHROPIC
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT
from wire.dialects.openai_responses import DIALECT as RESPONSES
from wire.front_doors.cpu_stack import DOOR as CPU_STACK
from wire.front_doors.llm_server import DOOR as LLM_SERVER_DOOR
from wire.front_doors.playground import DOOR as PLAYGROUND
from wire.providers import Operation

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI_CHAT, RESPONSES, ANTHROPIC, GEMINI)}


@dataclass(frozen=True, slots=True)
class ChatSurface:
    """A path that takes a conversation. `path` is the route template, used in rows, metrics and logs too.

    `turns` is the field that must not be empty; `user_field` is where a caller names a user. `stream` None: the body
    says whether to stream.
    """

    path: str
    dialect: CallerFormat
    summary: str
    turns: str
    user_field: str | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class DoorSurface(ChatSurface):
    """A path of a front door: a format that no provider speaks, so that its calls are always translated.

    Its name is the door's: by it the composition root gives it its `gateway.calls.door.Door`, and `auth.anonymous` lets
    callers in. `session_field` is where the body names the session.
    """

    dialect: FrontDoor
    session_field: str | None = None


@dataclass(frozen=True, slots=True)
class ForwardSurface:
    """An OpenAI-shaped path that needs no translation: passed through to providers that have `operation`, and metered.

    `turns` is the field that must be there. `form`: the body is a form upload, not JSON. `default_model`: what OpenAI
    takes when the caller names none.
    """

    path: str
    operation: Operation
    summary: str
    turns: str
    form: bool = False
    default_model: str | None = None
    dialect: Dialect = OPENAI_CHAT
    user_field: str | None = "user"
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class CountSurface:
    """A path that counts a request's tokens. Free, hence never a row: asked of the provider, else estimated."""

    path: str
    operation: Operation
    dialect: Dialect
    summary: str
    turns: str
    user_field: str | None = None
    stream: bool | None = False


Surface = ChatSurface | ForwardSurface | CountSurface  # a DoorSurface is a ChatSurface


def _gemini(version: str) -> tuple[Surface, ...]:
    """Google's SDKs ask for v1 since November 2026, older ones and the Gemini CLI for v1beta; the bodies are the same.

    https://ai.google.dev/gemini-api/docs/api-versions
    """
    model = f"/{version}/models/{{model}}"
    stream = "Gemini streamGenerateContent: SSE with alt=sse, else a JSON array"
    return (
        ChatSurface(f"{model}:generateContent", GEMINI, "Gemini generateContent", "contents", stream=False),
        ChatSurface(f"{model}:streamGenerateContent", GEMINI, stream, "contents", stream=True),
        CountSurface(f"{model}:countTokens", "gemini_count_tokens", GEMINI, "Count a request's tokens", "contents"),
    )


LLM_SERVER = DoorSurface(
    "/api/v1/chat", LLM_SERVER_DOOR, "LLM Server chat", "user_prompt", "user", session_field="request_id"
)
SURFACES: tuple[Surface, ...] = (
    ChatSurface("/v1/chat/completions", OPENAI_CHAT, "OpenAI Chat Completions", "messages", "user"),
    ChatSurface("/v1/responses", RESPONSES, "OpenAI Responses", "input", "user"),
    ChatSurface("/v1/messages", ANTHROPIC, "Anthropic Messages", "messages", "metadata.user_id"),
    *_gemini("v1beta"),
    *_gemini("v1"),
    CountSurface(
        "/v1/responses/input_tokens", "responses_input_tokens", RESPONSES, "Count a response's input tokens", "input"
    ),
    CountSurface(
        "/v1/messages/count_tokens", "anthropic_count_tokens", ANTHROPIC, "Count a message's tokens", "messages"
    ),
    ForwardSurface(
        "/v1/responses/compact", "responses_compact", "Compact a conversation (OpenAI)", "input", dialect=RESPONSES
    ),
    ForwardSurface("/v1/embeddings", "embeddings", "OpenAI embeddings", "input"),
    ForwardSurface("/v1/completions", "completions", "OpenAI completions", "prompt"),
    ForwardSurface("/completion", "native_completion", "llama.cpp completion", "prompt", default_model="local"),
    ForwardSurface("/v1/images/generations", "images_generations", "OpenAI images", "prompt"),
    ForwardSurface("/v1/audio/speech", "audio_speech", "OpenAI speech", "input"),
    ForwardSurface("/v1/audio/transcriptions", "audio_transcriptions", "OpenAI transcription", "file", form=True),
    ForwardSurface("/v1/audio/translations", "audio_translations", "OpenAI audio translation", "file", form=True),
    ForwardSurface(
        "/v1/moderations", "moderations", "OpenAI moderations", "input", default_model="openai:omni-moderation-latest"
    ),
    ForwardSurface("/v1/rerank", "rerank", "Rerank documents (Cohere, Jina, Voyage, llama.cpp)", "query"),
    LLM_SERVER,
    DoorSurface(
        "/api/chat/completions", PLAYGROUND, "Playground chat", "messages", "user_id", session_field="session_id"
    ),
    DoorSurface("/query", CPU_STACK, "Minimal CPU stack: one prompt, one answer", "prompt", "user"),
)
