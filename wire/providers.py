"""Providers as rows of data: where they are, how they are authenticated, which dialects they speak, how they differ.

A configured provider (`gateway.settings`) is a row here plus the operator's key, address and restrictions. A new
OpenAI-compatible service is a row or a config entry, never code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, structs

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
    "native_completion",
    "openai_chat_input_tokens",
    "status",
]

OPENAI_PATHS: Mapping[Operation, str] = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    # Spoken beside OpenAI's own by some compatible servers (vLLM, llama.cpp, Ollama, OpenRouter), below the same base.
    "anthropic_messages": "/messages",
    "anthropic_count_tokens": "/messages/count_tokens",
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
# llama.cpp's server, and the service that keeps it: https://github.com/ggml-org/llama.cpp/tree/master/tools/server
LLAMA_PATHS: Mapping[Operation, str] = {
    **OPENAI_PATHS,
    "native_completion": "/../completion",  # beside `/v1`
    "openai_chat_input_tokens": "/chat/completions/input_tokens",
    "status": "/../status",
}
ANTHROPIC_PATHS: Mapping[Operation, str] = {
    "anthropic_messages": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "anthropic_count_tokens": "/v1/messages/count_tokens",
    "models": "/v1/models",
}
GEMINI_PATHS: Mapping[Operation, str] = {
    "gemini": "/v1beta/models/{model}:generateContent",
    "openai_chat": "/v1beta/openai/chat/completions",
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
    `few_slots`: it serves few callers at once and lets the others wait, so whoever hangs up is cut at once, and its 503
    means that too many wait.
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
    web_search: bool = False  # runs searches of the web itself, in the dialects that have a tool for it
    few_slots: bool = False
    docs: str = ""


# A server of which nothing more is known than that it is compatible.
_COMPATIBLE = Quirks(
    max_tokens_field="max_tokens", developer_role=False, drop=frozenset({"custom_tools", "allowed_tools"})
)
# Engines that also take what open-weight models are sampled with. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
_ENGINE = structs.replace(
    _COMPATIBLE, accepts=frozenset({"top_k", "video"}), reasoning_history="reasoning_content", call_id_characters=256
)

# The five that are always listed, and the row for whatever is not known by name.
_STANDARD = (
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
        web_search=True,
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
        web_search=True,
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
        web_search=True,
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
        default_model="solar-pro4",
        docs="https://console.upstage.ai/api/chat",
    ),
    ProviderRow(
        name="local",
        label="Local (llama.cpp)",
        base_url="http://127.0.0.1:11434/v1",
        auth="none",
        dialects=("openai_chat",),
        paths=LLAMA_PATHS,
        quirks=structs.replace(_ENGINE, accepts=frozenset({"top_k", "tool_images"})),
        needs_key=False,
        few_slots=True,
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


_HOSTED = structs.replace(_COMPATIBLE, drop=_COMPATIBLE.drop | {"store", "prompt_cache_key", "verbosity"})


def _preset(
    name: str, label: str, base_url: str | None, variable: str, quirks: Quirks, docs: str, **more: Any
) -> ProviderRow:
    """A hosted service of OpenAI's shape with a bearer key; `price_list` is its name unless told otherwise."""
    settings: dict[str, Any] = {
        "auth": "bearer",
        "dialects": ("openai_chat",),
        "paths": OPENAI_PATHS,
        "price_list": name,
    }
    settings |= {"environment": (variable,), **more}
    return ProviderRow(name=name, label=label, base_url=base_url, quirks=quirks, docs=docs, **settings)


_PRESETS = (
    _preset(
        "azure",
        "Azure OpenAI",
        None,  # https://<resource>.openai.azure.com/openai/v1
        "AZURE_OPENAI_API_KEY",
        Quirks(),
        "https://learn.microsoft.com/azure/ai-foundry/openai/reference-preview-latest",
        auth="api-key",
        dialects=("openai_chat", "openai_responses"),
    ),
    _preset(
        "groq",
        "Groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        structs.replace(
            _HOSTED,
            max_tokens_field="max_completion_tokens",
            reasoning_history="reasoning",
            drop=_HOSTED.drop | {"logprobs", "top_logprobs", "logit_bias"},
        ),
        "https://console.groq.com/docs/openai",
    ),
    _preset(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        structs.replace(
            _HOSTED,
            stream_options=False,  # usage comes unasked in every stream
            documents="document_url",
            seed_field="random_seed",
            reasoning_history="thinking_parts",
            call_id_characters=9,
            # "Extra inputs are not permitted": whatever its schema does not know is a 422.
            drop=_HOSTED.drop | {"user", "logit_bias", "service_tier", "modalities", "name"},
        ),
        "https://docs.mistral.ai/api/",
    ),
    _preset(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        structs.replace(
            _HOSTED, json_schema=False, reasoning_control="thinking", reasoning_history="reasoning_content"
        ),
        "https://api-docs.deepseek.com",
        dialects=("openai_chat", "openai_responses"),
    ),
    _preset(
        "together",
        "Together AI",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        structs.replace(_HOSTED, accepts=frozenset({"top_k", "video"})),
        "https://docs.together.ai/reference/chat-completions-1",
    ),
    _preset(
        "fireworks",
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        structs.replace(_HOSTED, accepts=frozenset({"top_k"}), reasoning_history="reasoning_content"),
        "https://docs.fireworks.ai/api-reference/post-chatcompletions",
    ),
    _preset(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        structs.replace(
            _COMPATIBLE,
            accepts=frozenset({"top_k", "cache", "video", "assistant_images"}),
            reasoning_control="reasoning",
            reasoning_history="reasoning_details",
            documents="file_or_url",
            call_id_characters=256,
        ),
        "https://openrouter.ai/docs/api-reference/chat-completion",
        dialects=("openai_chat", "openai_responses"),
    ),
    _preset(
        "xai",
        "xAI",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        structs.replace(_HOSTED, max_tokens_field="max_completion_tokens", reasoning_history="reasoning_content"),
        "https://docs.x.ai/docs/api-reference",
        dialects=("openai_chat", "openai_responses"),
        price_list="x-ai",
        web_search=True,
    ),
    _preset(
        "cohere",
        "Cohere",
        "https://api.cohere.ai/compatibility/v1",
        "COHERE_API_KEY",
        structs.replace(
            _HOSTED,
            drop=_HOSTED.drop
            | {"logit_bias", "top_logprobs", "n", "metadata", "service_tier", "modalities", "parallel_tool_calls"},
        ),
        "https://docs.cohere.com/docs/compatibility-api",
        environment=("COHERE_API_KEY", "CO_API_KEY"),
        paths={name: OPENAI_PATHS[name] for name in ("openai_chat", "embeddings", "models")},
    ),
    _preset(
        "ollama",
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "OLLAMA_API_KEY",
        structs.replace(_COMPATIBLE, image_urls=False, reasoning_history="reasoning", call_id_characters=256),
        "https://docs.ollama.com/api/openai-compatibility",
        needs_key=False,
        price_list=None,
    ),
    _preset(
        "vllm",
        "vLLM",
        None,
        "VLLM_API_KEY",
        _ENGINE,
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        needs_key=False,
        price_list=None,
    ),
)

ROWS: Mapping[str, ProviderRow] = {row.name: row for row in (*_STANDARD, *_PRESETS)}

# Names that mean a row of another name.
IMPLIED_TYPES: Mapping[str, str] = {
    "claude": "anthropic",
    "google": "gemini",
    "upstage": "solar",
    "llamacpp": "local",
    "llama.cpp": "local",
    "azure-openai": "azure",
    "azureopenai": "azure",
    "grok": "xai",
    "x-ai": "xai",
}
