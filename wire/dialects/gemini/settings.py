"""Generation settings and the other fields of a request for Gemini, and their names in the caller's body.

https://ai.google.dev/api/generate-content#generationconfig
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.dialects.gemini.schema import for_gemini
from wire.dialects.gemini.thinking import render_thinking
from wire.neutral import Request, ResponseFormat

# Neutral name -> field of `generationConfig`, taken over as it is.
_PLAIN: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}

FIELD_NAMES: Mapping[str, str] = {
    **{name: f"generationConfig.{field}" for name, field in _PLAIN.items()},
    "model": "model",
    "messages": "contents",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "response_format": "generationConfig.responseJsonSchema",
    "reasoning": "generationConfig.thinkingConfig",
    "reasoning.effort": "generationConfig.thinkingConfig.thinkingLevel",
    "reasoning.budget_tokens": "generationConfig.thinkingConfig.thinkingBudget",
    "modalities": "generationConfig.responseModalities",
    "service_tier": "serviceTier",
    "store": "store",
}

_NOT_CARRIED = ("logit_bias", "verbosity", "user", "metadata", "prompt_cache_key")
_INT32 = 2**31
# Tiers of other dialects; `auto` is what Google does unasked.
_TIERS = {"default": "standard", "standard_only": "standard", "flex": "flex", "priority": "priority"}


def render_settings(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    """Adds `generationConfig` and the fields of `Request.extra` that are Gemini's; the rest is named in `dropped`."""
    config: dict[str, Any] = {}
    for name, field in _PLAIN.items():
        value = getattr(request, name)
        if value is not None:
            config[field] = value
    if request.stop:
        config["stopSequences"] = list(request.stop)
    if request.seed is not None:
        if -_INT32 <= request.seed < _INT32:
            config["seed"] = request.seed
        else:
            dropped.append("seed")
    if request.response_format is not None:
        _add_format(request.response_format, config, dropped, own=request.dialect == "gemini")
    if request.modalities:
        config["responseModalities"] = [name.upper() for name in request.modalities]
    thinking, inexact = render_thinking(request)
    if thinking or (request.dialect == "gemini" and request.reasoning is not None):
        config["thinkingConfig"] = thinking
    dropped.extend(inexact)
    if config:
        body["generationConfig"] = config
    _add_account_fields(request, body, dropped)
    _add_extra(request, body, dropped)


def _add_format(wanted: ResponseFormat, config: dict[str, Any], dropped: list[str], *, own: bool) -> None:
    if wanted.mime is not None:
        config["responseMimeType"] = wanted.mime
    elif wanted.kind != "text":
        config["responseMimeType"] = "application/json"
    elif own:
        config["responseMimeType"] = "text/plain"
    if wanted.schema is None:
        return
    schema = wanted.schema
    if not own:
        schema, lost = for_gemini(schema, "response_format.schema")
        dropped.extend(lost)
        if wanted.description is not None and "description" not in schema:
            schema = {**schema, "description": wanted.description}
    config["responseJsonSchema"] = schema


def _add_account_fields(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    own = request.dialect == "gemini"
    tier = request.service_tier
    if tier is not None:
        carried = tier if own else _TIERS.get(tier)
        if carried is not None:
            body["serviceTier"] = carried
        elif tier != "auto":
            dropped.append("service_tier")
    if request.store is not None:
        if own:
            body["store"] = request.store
        elif request.store:
            dropped.append("store")
    dropped.extend(name for name in _NOT_CARRIED if getattr(request, name) is not None)


def _add_extra(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    """`generationConfig.speechConfig` goes back below its holder; what stood inside contents cannot be put back."""
    for path, value in request.extra.items():
        *holders, name = path.split(".")
        if request.dialect != "gemini" or "[" in path:
            dropped.append(f"extra.{path}")
            continue
        place = body
        for holder in holders:
            place = place.setdefault(holder, {})
        place[name] = value
