"""A Chat Completions request to the neutral model. https://platform.openai.com/docs/api-reference/chat/create

What compatible servers add is read where the neutral model has a place for it: `top_k`, `random_seed` (Mistral),
`reasoning` (OpenRouter), `thinking` (DeepSeek, Z.ai). Everything else stays in `Request.extra` under its own name.
"""

from __future__ import annotations

from typing import Any

from wire.dialects.openai_chat.messages import read_messages
from wire.dialects.openai_chat.tools import read_tool_choice, read_tools
from wire.errors import BadRequest
from wire.neutral import Reasoning, Request, ResponseFormat
from wire.reading import (
    WrongType,
    as_list,
    as_object,
    as_text,
    at,
    beyond,
    flag_or_none,
    integer_or_none,
    list_or_empty,
    number_or_none,
    object_or_none,
    text,
    text_or_none,
)

_KNOWN = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "seed",
        "random_seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "n",
        "logprobs",
        "top_logprobs",
        "response_format",
        "reasoning_effort",
        "reasoning",
        "thinking",
        "include_reasoning",
        "verbosity",
        "modalities",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "service_tier",
        "store",
        "prompt_cache_key",
    }
)


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """Raises BadRequest naming the path of the field at fault. `model` and `stream` given here win over the body's."""
    try:
        return _read(as_object(body, "body"), model, stream)
    except WrongType as error:
        raise BadRequest(f"Invalid '{error.path}': {error.problem}", param=error.path) from error


def _read(body: dict[str, Any], model: str | None, stream: bool | None) -> Request:
    extra = beyond(body, _KNOWN) or {}
    name = model or text(body, "model", "")
    if not name:
        raise WrongType("model", "must name a model")
    messages = read_messages(as_list(body.get("messages"), "messages"), "messages")
    if not messages:
        raise WrongType("messages", "must hold at least one message")
    cap = integer_or_none(body, "max_completion_tokens", "")
    seed = integer_or_none(body, "seed", "")
    return Request(
        dialect="openai_chat",
        model=name,
        messages=messages,
        tools=read_tools(body),
        tool_choice=read_tool_choice(body),
        parallel_tool_calls=flag_or_none(body, "parallel_tool_calls", ""),
        max_tokens=integer_or_none(body, "max_tokens", "") if cap is None else cap,
        temperature=number_or_none(body, "temperature", ""),
        top_p=number_or_none(body, "top_p", ""),
        top_k=integer_or_none(body, "top_k", ""),
        stop=_stop(body),
        seed=integer_or_none(body, "random_seed", "") if seed is None else seed,
        presence_penalty=number_or_none(body, "presence_penalty", ""),
        frequency_penalty=number_or_none(body, "frequency_penalty", ""),
        logit_bias=_logit_bias(body),
        n=integer_or_none(body, "n", ""),
        logprobs=_logprobs(body),
        top_logprobs=_top_logprobs(body),
        response_format=_response_format(body),
        reasoning=_reasoning(body, extra),
        verbosity=text_or_none(body, "verbosity", ""),
        modalities=_texts(body, "modalities"),
        stream=bool(flag_or_none(body, "stream", "")) if stream is None else stream,
        include_usage=_include_usage(body, extra),
        user=text_or_none(body, "user", ""),
        metadata=object_or_none(body, "metadata", ""),
        service_tier=text_or_none(body, "service_tier", ""),
        store=flag_or_none(body, "store", ""),
        prompt_cache_key=text_or_none(body, "prompt_cache_key", ""),
        extra=extra,
    )


def _texts(body: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(as_text(item, f"{key}[{index}]") for index, item in enumerate(list_or_empty(body, key, "")))


def _stop(body: dict[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop")
    if isinstance(stop, str):
        return (stop,)
    if stop is not None and not isinstance(stop, list):
        raise WrongType("stop", "must be a string or a list of strings")
    return _texts(body, "stop")


def _logit_bias(body: dict[str, Any]) -> dict[str, float] | None:
    """llama.cpp and vLLM take a list of pairs too; that form has no neutral one and is refused by name."""
    bias = object_or_none(body, "logit_bias", "")
    if bias is None:
        return None
    return {token: number_or_none(bias, token, "logit_bias") or 0.0 for token in bias}


def _logprobs(body: dict[str, Any]) -> bool | None:
    """Together and older servers count here: `logprobs: 5` is the number of alternatives."""
    value = body.get("logprobs")
    if isinstance(value, int) and not isinstance(value, bool):
        return True
    return flag_or_none(body, "logprobs", "")


def _top_logprobs(body: dict[str, Any]) -> int | None:
    counted = body.get("logprobs")
    top = integer_or_none(body, "top_logprobs", "")
    return counted if top is None and isinstance(counted, int) and not isinstance(counted, bool) else top


def _response_format(body: dict[str, Any]) -> ResponseFormat | None:
    wanted = object_or_none(body, "response_format", "")
    if wanted is None:
        return None
    kind = text(wanted, "type", "response_format")
    if kind == "json_schema":
        where = "response_format.json_schema"
        described = as_object(wanted.get("json_schema"), where)
        return ResponseFormat(
            kind="json_schema",
            schema=object_or_none(described, "schema", where),
            name=text_or_none(described, "name", where),
            description=text_or_none(described, "description", where),
            strict=flag_or_none(described, "strict", where),
        )
    if kind == "json_object":
        # llama.cpp and Together take a schema here: https://docs.together.ai/docs/json-mode
        schema = object_or_none(wanted, "schema", "response_format")
        return ResponseFormat(kind="json_object" if schema is None else "json_schema", schema=schema)
    if kind == "text":
        return ResponseFormat(kind="text")
    raise WrongType("response_format.type", "must be text, json_object or json_schema")


def _include_usage(body: dict[str, Any], extra: dict[str, Any]) -> bool:
    options = object_or_none(body, "stream_options", "")
    if options is None:
        return False
    rest = beyond(options, {"include_usage"})
    if rest is not None:
        extra["stream_options"] = rest
    return bool(flag_or_none(options, "include_usage", "stream_options"))


def _reasoning(body: dict[str, Any], extra: dict[str, Any]) -> Reasoning | None:
    """All ways of asking for it at once; where they contradict each other OpenAI's own field wins."""
    asked = _reasoning_object(body, extra)
    effort = text_or_none(body, "reasoning_effort", "")
    include = flag_or_none(body, "include_reasoning", "")
    enabled, budget = _thinking_object(body, extra)
    merged = Reasoning(
        effort=effort or asked.effort,
        budget_tokens=budget if asked.budget_tokens is None else asked.budget_tokens,
        enabled=enabled if asked.enabled is None else asked.enabled,
        summary=asked.summary,
        include=include if asked.include is None else asked.include,
    )
    return None if merged == Reasoning() else merged


def _reasoning_object(body: dict[str, Any], extra: dict[str, Any]) -> Reasoning:
    """OpenRouter. https://openrouter.ai/docs/use-cases/reasoning-tokens"""
    asked = object_or_none(body, "reasoning", "")
    if asked is None:
        return Reasoning()
    exclude = flag_or_none(asked, "exclude", "reasoning")
    rest = beyond(asked, {"effort", "max_tokens", "enabled", "exclude", "summary"})
    extra |= {at("reasoning", key): value for key, value in (rest or {}).items()}
    return Reasoning(
        effort=text_or_none(asked, "effort", "reasoning"),
        budget_tokens=integer_or_none(asked, "max_tokens", "reasoning"),
        enabled=flag_or_none(asked, "enabled", "reasoning"),
        summary=text_or_none(asked, "summary", "reasoning"),
        include=None if exclude is None else not exclude,
    )


def _thinking_object(body: dict[str, Any], extra: dict[str, Any]) -> tuple[bool | None, int | None]:
    """DeepSeek, Z.ai and others: {"type": "enabled" | "disabled"}. https://api-docs.deepseek.com/guides/thinking_mode"""
    asked = object_or_none(body, "thinking", "")
    if asked is None:
        return None, None
    kind = text_or_none(asked, "type", "thinking")
    rest = beyond(asked, {"type", "budget_tokens"})
    extra |= {at("thinking", key): value for key, value in (rest or {}).items()}
    enabled = None if kind is None else kind != "disabled"
    return enabled, integer_or_none(asked, "budget_tokens", "thinking")
