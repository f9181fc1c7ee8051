"""Providers as rows of data: where they are, how they are authenticated, which dialects they speak, how they differ.

A configured provider (`gateway.settings`) is a row here plus the operator's key, address and restrictions. A new
OpenAI-compatible service is a row or a config entry, never code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from wire.dialect import Quirks
from wire.neutral import DialectName

Auth = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "none"]

# Operation -> path below the base URL. `{model}` is filled in by the gateway, quoted.
Operation = Literal[
    "openai_chat",
    "openai_responses",
    "responses_compact",
    "responses_input_tokens",
    "anthropic_messages",
    "anthropic_count_tokens",
    "gemini",
    "gemini_stream",
    "gemini_count_tokens",
    "gemini_embed",
    "gemini_batch_embed",
    "embeddings",
    "completions",
    "images_generations",
    "audio_speech",
    "audio_transcriptions",
    "audio_translations",
    "moderations",
    "rerank",
    "models",
]

OPENAI_PATHS: Mapping[Operation, str] = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    "responses_compact": "/responses/compact",
    "responses_input_tokens": "/responses/input_tokens",
    "embeddings": "/embeddings",
    "completions": "/completions",
    "images_generations": "/images/generations",
    "audio_speech": "/audio/speech",
    "audio_transcriptions": "/audio/transcriptions",
    "audio_translations": "/audio/translations",
    "moderations": "/moderations",
    "rerank": "/rerank",
    "models": "/models",
}
ANTHROPIC_PATHS: Mapping[Operation, str] = {
    "anthropic_messages": "/v1/messages",
    "anthropic_count_tokens": "/v1/messages/count_tokens",
    "models": "/v1/models",
}
GEMINI_PATHS: Mapping[Operation, str] = {
    "gemini": "/v1beta/models/{model}:generateContent",
    "gemini_stream": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    "gemini_count_tokens": "/v1beta/models/{model}:countTokens",
    "gemini_embed": "/v1beta/models/{model}:embedContent",
    "gemini_batch_embed": "/v1beta/models/{model}:batchEmbedContents",
    "models": "/v1beta/models",
}


class ProviderRow(Struct, frozen=True, kw_only=True):
    """What is true of a provider for everybody who uses it.

    `base_url` is what the vendor's SDK calls so: with `/v1` for OpenAI's shape, without for Anthropic and Gemini; None
    where every operator has another one. `dialects` are spoken natively, preferred first. `price_list` is the
    provider's id in `genai-prices`. `environment` are the usual names of its key's variable, first found wins.
    """

    name: str
    label: str
    base_url: str | None
    auth: Auth
    dialects: tuple[DialectName, ...]
    paths: Mapping[Operation, str]
    headers: Mapping[str, str] = {}
    quirks: Quirks = Quirks()
    environment: tuple[str, ...] = ()
    price_list: str | None = None
    default_model: str | None = None
    needs_key: bool = True
    docs: str = ""


_COMPATIBLE = Quirks(max_tokens_field="max_tokens", developer_role=False)

ROWS: Mapping[str, ProviderRow] = {
    row.name: row
    for row in (
        ProviderRow(
            name="openai",
            label="OpenAI",
            base_url="https://api.openai.com/v1",
            auth="bearer",
            dialects=("openai_chat", "openai_responses"),
            paths=OPENAI_PATHS,
            environment=("OPENAI_API_KEY",),
            price_list="openai",
            default_model="gpt-4o-mini",
            docs="https://platform.openai.com/docs/api-reference",
        ),
        ProviderRow(
            name="anthropic",
            label="Anthropic",
            base_url="https://api.anthropic.com",
            auth="x-api-key",
            dialects=("anthropic_messages",),
            paths=ANTHROPIC_PATHS,
            headers={"anthropic-version": "2023-06-01"},
            environment=("ANTHROPIC_API_KEY",),
            price_list="anthropic",
            default_model="claude-sonnet-4-5",
            docs="https://docs.anthropic.com/en/api/messages",
        ),
        ProviderRow(
            name="gemini",
            label="Google Gemini",
            base_url="https://generativelanguage.googleapis.com",
            auth="x-goog-api-key",
            dialects=("gemini",),
            paths=GEMINI_PATHS,
            environment=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            price_list="google",
            default_model="gemini-2.5-flash",
            docs="https://ai.google.dev/api/generate-content",
        ),
        ProviderRow(
            name="solar",
            label="Upstage SOLAR",
            base_url="https://api.upstage.ai/v1",
            auth="bearer",
            dialects=("openai_chat",),
            paths=OPENAI_PATHS,
            quirks=_COMPATIBLE,
            environment=("UPSTAGE_API_KEY",),
            default_model="solar-pro2",
            docs="https://console.upstage.ai/api/chat",
        ),
        ProviderRow(
            name="local",
            label="Local (llama.cpp)",
            base_url="http://127.0.0.1:11434/v1",
            auth="none",
            dialects=("openai_chat",),
            paths=OPENAI_PATHS,
            quirks=_COMPATIBLE,
            needs_key=False,
            docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        ),
        ProviderRow(
            name="openai_compatible",
            label="OpenAI-compatible",
            base_url=None,
            auth="bearer",
            dialects=("openai_chat",),
            paths=OPENAI_PATHS,
            quirks=_COMPATIBLE,
            needs_key=False,
        ),
    )
}

# Names that mean a row of another name.
IMPLIED_TYPES: Mapping[str, str] = {"claude": "anthropic", "google": "gemini", "upstage": "solar", "llamacpp": "local"}
