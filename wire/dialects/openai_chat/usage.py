"""Token counts of compatible servers in one meaning, and back.

OpenAI's counts include their parts: cached tokens in `prompt_tokens`, reasoning in `completion_tokens`
(https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage). Recorded exceptions, each told from the
numbers themselves, since a server's name says little about what it relays to:

* xAI and Gemini's compatible endpoint leave reasoning out of `completion_tokens`, but not out of `total_tokens`.
* Mistral leaves audio out of `prompt_tokens`, but not out of `total_tokens`.
* A part that is larger than its whole cannot be within it: servers that relay Anthropic's counts unchanged.
* OpenRouter may count the same tokens as read from the cache and as written to it; both are charged, within the prompt.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import structs

from wire.neutral import Usage


def read_usage(native: Any, *, service_tier: Any = None, complete: bool = True) -> Usage | None:
    """None where nothing was counted. Wrong types count as absent: an odd field must not cost the whole count."""
    if not isinstance(native, dict) or not ("prompt_tokens" in native or "completion_tokens" in native):
        return None
    prompt, completion = _object(native, "prompt_tokens_details"), _object(native, "completion_tokens_details")
    read = _first(
        _count(prompt, "cached_tokens"),
        _count(native, "prompt_cache_hit_tokens"),  # DeepSeek
        _count(native, "cache_read_input_tokens"),  # Venice, Databricks
        _count(native, "cached_tokens"),  # Together, Moonshot
        _count(native, "num_cached_tokens"),  # Mistral
    )
    write_5m, write_1h = _cache_writes(native, prompt)
    input_audio = _count(prompt, "audio_tokens")
    total_input = _count(native, "prompt_tokens")
    written = write_5m + write_1h
    relayed = "cache_read_input_tokens" in native or "cache_creation_input_tokens" in native
    if (read + written if relayed else max(read, written)) > total_input:
        total_input += read + written
    if input_audio > total_input:
        total_input += input_audio
    output, reasoning = _output(native, completion, total_input)
    tier = _text(service_tier) or _text(native.get("service_tier"))
    return Usage(
        input=total_input,
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        input_audio=input_audio,
        input_image=min(_count(prompt, "image_tokens"), total_input),
        output=output,
        reasoning=reasoning,
        output_audio=min(_count(completion, "audio_tokens"), output),
        output_image=min(_count(completion, "image_tokens"), output),
        accepted_prediction=_count(completion, "accepted_prediction_tokens"),
        rejected_prediction=_count(completion, "rejected_prediction_tokens"),
        web_searches=_first(
            _count(_object(native, "server_tool_use_details"), "web_search_requests"),  # OpenRouter
            _count(native, "num_search_queries"),  # Perplexity
        ),
        seconds=float(_count(native, "prompt_audio_seconds")),  # Mistral
        cost_usd=_cost(native.get("cost")),
        service_tier=tier,
        complete=complete,
        native=native,
    )


def _output(native: dict[str, Any], details: dict[str, Any], total_input: int) -> tuple[int, int]:
    """Generated tokens, and those of them that were reasoning."""
    output = _count(native, "completion_tokens")
    reasoning = _count(details, "reasoning_tokens")
    uncounted = _count(native, "total_tokens") - total_input - output
    if uncounted > 0:
        return output + uncounted, reasoning or uncounted
    beside = _count(native, "reasoning_tokens")  # Perplexity's deep research: not in its total either
    if beside > output:
        return output + beside, beside
    # Some servers count reasoning with another tokenizer and come out a few tokens above the whole.
    return output, min(_first(reasoning, beside), output)


def _cache_writes(native: dict[str, Any], prompt: dict[str, Any]) -> tuple[int, int]:
    """Tokens written for five minutes and for an hour or more."""
    split = _object(native, "cache_creation")
    hour = _count(split, "ephemeral_1h_input_tokens") + _count(split, "ephemeral_24h_input_tokens")
    total = _first(
        _count(prompt, "cache_write_tokens"),
        _count(native, "cache_creation_input_tokens"),
        _count(split, "ephemeral_5m_input_tokens") + hour,
    )
    hour = min(hour, total)
    return total - hour, hour


def usage_of_chunk(chunk: dict[str, Any]) -> Any:
    """The usage object of a stream chunk. Groq's `x_groq.usage` says the same where both are there."""
    usage = chunk.get("usage")
    if usage:
        return usage
    groq = chunk.get("x_groq")
    return groq.get("usage") if isinstance(groq, dict) else None


def supersedes(new: Usage, old: Usage | None) -> bool:
    """The last count wins, unless it is a later one that forgot the answer: counts of a stream never shrink to 0."""
    return old is None or new.output > 0 or old.output == 0


def finished(usage: Usage) -> Usage:
    return usage if usage.complete else structs.replace(usage, complete=True)


def render_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's shape, with OpenRouter's names for what OpenAI has no field for (`cache_write_tokens`, `cost`)."""
    prompt = {"cached_tokens": usage.cache_read, "audio_tokens": usage.input_audio}
    writes = usage.cache_write_5m + usage.cache_write_1h
    if writes:
        prompt["cache_write_tokens"] = writes
    if usage.input_image:
        prompt["image_tokens"] = usage.input_image
    completion = {
        "reasoning_tokens": usage.reasoning,
        "audio_tokens": usage.output_audio,
        "accepted_prediction_tokens": usage.accepted_prediction,
        "rejected_prediction_tokens": usage.rejected_prediction,
    }
    if usage.output_image:
        completion["image_tokens"] = usage.output_image
    rendered: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
    if usage.web_searches:
        rendered["server_tool_use_details"] = {"web_search_requests": usage.web_searches}
    if usage.cost_usd is not None:
        rendered["cost"] = float(usage.cost_usd)
    return rendered


def _object(holder: dict[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _count(holder: dict[str, Any], key: str) -> int:
    value = holder.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _first(*counts: int) -> int:
    return next((count for count in counts if count), 0)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _cost(cost: Any) -> str | None:
    """Decimal text in US dollars; Perplexity gives an object with its total."""
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 1e9:
        return None
    return format(Decimal(repr(cost)), "f")
