"""What `genai-prices` lacks: Upstage's own price list, and how much and what the well-known models can do.

Read by `gateway.catalogue_build` only. A row stands here when its source is sure; what is not known stays unknown.
"""

from __future__ import annotations

from typing import Any, Final

# https://console.upstage.ai/docs/models (solar-pro-2 page: prices, end on 2026-10-30); solar-pro3, solar-pro4 and
# solar-mini4 as Upstage sells them through OpenRouter; limits from https://models.dev (upstage). Prices of the second
# embedding generation were not found: they are listed without one.
SOLAR: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "solar-pro4",
        "match": [["=", "solar-pro4"], ["^", "solar-pro4-"]],
        "context_window": 524_288,
        "max_output_tokens": 131_072,
        "prices": [
            [None, {"input": "0.09", "cache_read": "0.018", "output": "0.36"}],
            ["2026-10-20", {"input": "0.15", "cache_read": "0.03", "output": "0.6"}],
        ],
    },
    {
        "id": "solar-mini4",
        "match": [["=", "solar-mini4"], ["^", "solar-mini4-"]],
        "context_window": 524_288,
        "max_output_tokens": 131_072,
        "prices": [[None, {"input": "0.05", "cache_read": "0.005", "output": "0.2"}]],
    },
    {
        "id": "solar-pro3",
        "match": [["=", "solar-pro3"], ["^", "solar-pro3-"]],
        "context_window": 131_072,
        "max_output_tokens": 8_192,
        "prices": [[None, {"input": "0.15", "cache_read": "0.015", "output": "0.6"}]],
    },
    {
        "id": "solar-pro2",
        "match": [["=", "solar-pro2"], ["^", "solar-pro2-"]],
        "context_window": 65_536,
        "max_output_tokens": 8_192,
        "deprecated": True,
        "prices": [[None, {"input": "0.15", "cache_read": "0.015", "output": "0.6"}]],
    },
    {
        "id": "solar-pro",
        "match": [["=", "solar-pro"], ["^", "solar-pro-2"]],
        "context_window": 32_768,
        "max_output_tokens": 4_096,
        "deprecated": True,
        "prices": [[None, {"input": "0.25", "output": "0.25"}]],
    },
    {
        "id": "solar-mini",
        "match": [["=", "solar-mini"], ["^", "solar-mini-2"], ["^", "solar-1-mini-chat"]],
        "context_window": 32_768,
        "max_output_tokens": 4_096,
        "prices": [[None, {"input": "0.15", "output": "0.15"}]],
    },
    {
        "id": "embedding-query",
        "match": [["=", "embedding-query"], ["^", "solar-embedding-1-large-query"]],
        "context_window": 4_000,
        "prices": [[None, {"input": "0.1"}]],
    },
    {
        "id": "embedding-passage",
        "match": [["=", "embedding-passage"], ["^", "solar-embedding-1-large-passage"]],
        "context_window": 4_000,
        "prices": [[None, {"input": "0.1"}]],
    },
    {"id": "solar-embedding-2-query", "match": [["=", "solar-embedding-2-query"]], "context_window": 8_192},
    {"id": "solar-embedding-2-passage", "match": [["=", "solar-embedding-2-passage"]], "context_window": 8_192},
)

# Most tokens that a model generates in one answer, reasoning included, by the id in the price list. Sources: the
# vendors' model pages (platform.openai.com/docs/models, platform.claude.com/docs/en/about-claude/models/overview,
# ai.google.dev/gemini-api/docs/models).
MAX_OUTPUT_TOKENS: Final[dict[str, dict[str, int]]] = {
    "openai": {
        "gpt-3.5-turbo": 4_096,
        "gpt-4": 8_192,
        "gpt-4-turbo": 4_096,
        "gpt-4.1": 32_768,
        "gpt-4.1-mini": 32_768,
        "gpt-4.1-nano": 32_768,
        "gpt-4.5-preview": 16_384,
        "gpt-4o": 16_384,
        "gpt-4o-2024-05-13": 4_096,
        "gpt-4o-mini": 16_384,
        "chatgpt-4o-latest": 16_384,
        "gpt-5": 128_000,
        "gpt-5-mini": 128_000,
        "gpt-5-nano": 128_000,
        "gpt-5-pro": 272_000,
        "gpt-5.1": 128_000,
        "gpt-5.1-codex-mini": 128_000,
        "gpt-5.2": 128_000,
        "gpt-5.2-pro": 128_000,
        "o1": 100_000,
        "o1-mini": 65_536,
        "o1-preview": 32_768,
        "o1-pro": 100_000,
        "o3": 100_000,
        "o3-mini": 100_000,
        "o3-pro": 100_000,
        "o4-mini": 100_000,
    },
    "anthropic": {
        "claude-3-haiku": 4_096,
        "claude-3-opus-latest": 4_096,
        "claude-3-sonnet": 4_096,
        "claude-3-5-haiku-latest": 8_192,
        "claude-3-5-sonnet": 8_192,
        "claude-3-7-sonnet-latest": 64_000,
        "claude-opus-4-0": 32_000,
        "claude-opus-4-1": 32_000,
        "claude-opus-4-5": 64_000,
        "claude-opus-4-6": 128_000,
        "claude-sonnet-4-0": 64_000,
        "claude-sonnet-4-5": 64_000,
        "claude-sonnet-4-6": 64_000,
        "claude-haiku-4-5": 64_000,
    },
    "google": {
        "gemini-1.5-flash": 8_192,
        "gemini-1.5-pro": 8_192,
        "gemini-2.0-flash": 8_192,
        "gemini-2.0-flash-lite": 8_192,
        "gemini-2.5-flash": 65_536,
        "gemini-2.5-flash-lite": 65_536,
        "gemini-2.5-pro": 65_536,
        "gemini-3-flash-preview": 65_536,
        "gemini-3-pro-preview": 65_536,
    },
}

# Context windows that the price list does not have, from the same pages.
CONTEXT_WINDOWS: Final[dict[str, dict[str, int]]] = {
    "openai": {"gpt-4.5-preview": 128_000},
    "google": {
        "gemini-2.5-pro": 1_048_576,
        "gemini-3-pro-preview": 1_048_576,
        "gemini-3.1-pro-preview": 1_048_576,
        "gemini-embedding-001": 2_048,
    },
}

# What a model can do, by the name of the field in `/v1/models/{id}`; `-` before it: it cannot. What is not said is not
# known. Sources: the same pages, and where these are silent https://github.com/BerriAI/litellm
# (model_prices_and_context_window.json).
_TEXT: Final = "chat streaming tools -json_schema -reasoning -image_input -audio_input -audio_output -embeddings"
_GPT: Final = "chat streaming tools json_schema image_input document_input -audio_input -audio_output -embeddings"
_GPT_AUDIO: Final = (
    "chat streaming tools audio_input audio_output -json_schema -reasoning -image_input -document_input -embeddings"
)
_CLAUDE: Final = "chat streaming tools image_input -audio_input -audio_output -image_output -embeddings"
_GEMINI: Final = (
    "chat streaming tools json_schema image_input audio_input document_input -audio_output -image_output -embeddings"
)
_EMBEDDING: Final = "embeddings -chat -streaming -tools -json_schema -reasoning -audio_output -image_output"
_GROUPS: Final[tuple[tuple[str, str, str], ...]] = (
    ("openai", _TEXT, "gpt-3.5-turbo gpt-4"),
    ("openai", f"{_GPT} -reasoning", "gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano"),
    (
        "openai",
        "chat streaming tools image_input document_input -json_schema -reasoning -audio_input -audio_output",
        "gpt-4-turbo gpt-4o-2024-05-13",
    ),
    (
        "openai",
        f"{_GPT} reasoning",
        "gpt-5 gpt-5-mini gpt-5-nano gpt-5.1 gpt-5.1-codex-mini gpt-5.2 gpt-5.2-pro gpt-5.3-codex gpt-5.4 gpt-5.4-mini "
        "gpt-5.4-nano gpt-5.5 gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra gpt-6-astra gpt-6-luna gpt-6-sol gpt-6.1-sol "
        "o1 o3 o4-mini",
    ),
    (
        "openai",
        "chat streaming tools json_schema reasoning -image_input -audio_input -audio_output -embeddings",
        "o3-mini",
    ),
    ("openai", _GPT_AUDIO, "gpt-audio gpt-audio-mini"),
    (
        "openai",
        f"{_EMBEDDING} -image_input -audio_input -document_input",
        "text-embedding-3-large text-embedding-3-small text-embedding-ada-002",
    ),
    ("anthropic", f"{_CLAUDE} -json_schema -reasoning", "claude-3-haiku claude-3-opus-latest claude-3-sonnet"),
    ("anthropic", f"{_CLAUDE} document_input -json_schema -reasoning", "claude-3-5-sonnet claude-3-5-haiku-latest"),
    (
        "anthropic",
        f"{_CLAUDE} document_input reasoning -json_schema",
        "claude-3-7-sonnet-latest claude-sonnet-4-0 claude-opus-4-0",
    ),
    (
        "anthropic",
        f"{_CLAUDE} document_input json_schema reasoning",
        "claude-opus-4-1 claude-opus-4-5 claude-opus-4-6 claude-opus-4-7 claude-opus-4-8 claude-opus-5 claude-opus-5-5 "
        "claude-sonnet-4-5 claude-sonnet-4-6 claude-sonnet-5 claude-sonnet-5-5 claude-haiku-4-5 claude-haiku-5-5 "
        "claude-fable-5 claude-fable-5-1",
    ),
    ("google", f"{_GEMINI} -reasoning", "gemini-1.5-flash gemini-1.5-pro gemini-2.0-flash gemini-2.0-flash-lite"),
    (
        "google",
        f"{_GEMINI} reasoning",
        "gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-flash-preview gemini-3-pro-preview "
        "gemini-3.1-flash-lite gemini-3.1-pro-preview gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash "
        "gemini-3.7-flash gemini-3.8-flash gemini-4-argon",
    ),
    ("google", _EMBEDDING, "gemini-embedding-001 gemini-embedding-2"),
    (
        "solar",
        _EMBEDDING,
        "embedding-query embedding-passage solar-embedding-2-query solar-embedding-2-passage",
    ),
)
CAPABILITIES: Final[dict[tuple[str, str], list[str]]] = {
    (provider, model): words.split() for provider, words, models in _GROUPS for model in models.split()
}
