"""The neutral model to a Chat Completions request, and the small changes to one that stays in its dialect.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from wire.dialect import Quirks, Rendered
from wire.dialects.openai_chat.conversation import Conversation
from wire.dialects.openai_chat.tools import render_tool_choice, render_tools
from wire.errors import BadRequest
from wire.neutral import Reasoning, Request
from wire.rewriting import read_top_level, replace_top_level

FIELD_NAMES: Mapping[str, str] = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "max_tokens": "max_completion_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "n": "n",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "response_format": "response_format",
    "reasoning": "reasoning_effort",
    "verbosity": "verbosity",
    "modalities": "modalities",
    "stream": "stream",
    "include_usage": "stream_options.include_usage",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "store": "store",
    "prompt_cache_key": "prompt_cache_key",
    "cache": "cache_control",
}

# Settings that bear the same name in the body, and what leaving each out means too.
_SAME_NAME: Mapping[str, Any] = {
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "presence_penalty": None,
    "frequency_penalty": None,
    "logit_bias": None,
    "n": 1,
    "logprobs": False,
    "top_logprobs": None,
    "verbosity": None,
    "user": None,
    "metadata": None,
    "service_tier": None,
    "store": False,
    "prompt_cache_key": None,
}
# The Responses API has these under the same name and in the same meaning.
_SHARED_EXTRAS = frozenset({"safety_identifier", "prompt_cache_retention", "prompt_cache_options", "moderation"})
_TIERS = frozenset({"auto", "default", "flex", "priority", "scale"})
_TIER_BY_FOREIGN_NAME = {"standard_only": "default"}  # Anthropic
_MAX_USER = 64  # characters; OpenAI refuses longer ones
_MAX_METADATA = 16  # pairs


def render_request(request: Request, *, quirks: Quirks) -> Rendered:
    """Raises BadRequest naming a part that the upstream cannot take."""
    dropped: list[str] = []
    body: dict[str, Any] = {"model": request.model, "messages": Conversation(request, quirks, dropped).render()}
    tools = render_tools(request, quirks, dropped)
    settings: dict[str, Any] = {
        "tools": tools or None,
        "tool_choice": render_tool_choice(request, tools, quirks, dropped),
        "parallel_tool_calls": request.parallel_tool_calls if tools else None,
        quirks.max_tokens_field: request.max_tokens,
        "stop": list(request.stop) or None,
        quirks.seed_field: request.seed,
        "response_format": _response_format(request, quirks, dropped),
        "modalities": list(request.modalities) or None,
        **_same_names(request, quirks, dropped),
        **_reasoning(request.reasoning, quirks, dropped),
        **_stream(request, quirks),
    }
    body |= {key: value for key, value in settings.items() if value is not None}
    _add_extra(request, body, dropped)
    _obey_drops(body, quirks, dropped)
    return Rendered(body=body, dropped=tuple(dict.fromkeys(dropped)))


def _same_names(request: Request, quirks: Quirks, dropped: list[str]) -> dict[str, Any]:
    settings = {name: getattr(request, name) for name in _SAME_NAME}
    if request.dialect == "openai_chat":
        return settings
    refused: list[str] = []
    if request.top_k is not None and "top_k" not in quirks.accepts:
        refused.append("top_k")
    if request.user is not None and len(request.user) > _MAX_USER:
        refused.append("user")
    if request.metadata is not None and not _takes(request.metadata):
        refused.append("metadata")
    if request.service_tier is not None:
        settings["service_tier"] = _TIER_BY_FOREIGN_NAME.get(request.service_tier, request.service_tier)
        if settings["service_tier"] not in _TIERS:
            refused.append("service_tier")
    dropped += refused
    # What says no more than silence does is left out: not every server knows the field.
    return {name: None if name in refused or value == _SAME_NAME[name] else value for name, value in settings.items()}


def _takes(metadata: dict[str, Any]) -> bool:
    return len(metadata) <= _MAX_METADATA and all(isinstance(value, str) for value in metadata.values())


def _response_format(request: Request, quirks: Quirks, dropped: list[str]) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None:
        return None
    if wanted.mime is not None:
        dropped.append("response_format")
    if wanted.kind != "json_schema" or wanted.schema is None:
        return {"type": "text" if wanted.kind == "text" else "json_object"}
    if not quirks.json_schema:
        dropped.append("response_format")
        return {"type": "json_object"}
    optional = {"description": wanted.description, "strict": wanted.strict}
    described: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    described |= {key: value for key, value in optional.items() if value is not None}
    return {"type": "json_schema", "json_schema": described}


def _reasoning(wanted: Reasoning | None, quirks: Quirks, dropped: list[str]) -> dict[str, Any]:
    """How much to think, in the upstream's own way of saying it."""
    if wanted is None:
        return {}
    if quirks.reasoning_control == "reasoning":
        return {"reasoning": _reasoning_object(wanted)}
    if wanted.summary not in (None, "auto"):
        dropped.append("reasoning.summary")
    off = wanted.enabled is False or wanted.effort == "none" or wanted.budget_tokens == 0
    effort = None if off else wanted.effort
    if effort is None and not off and wanted.budget_tokens is not None and wanted.budget_tokens > 0:
        effort = "low" if wanted.budget_tokens <= 4096 else "medium" if wanted.budget_tokens <= 16384 else "high"
        dropped.append("reasoning.budget_tokens")
    if quirks.reasoning_control == "thinking":
        on = wanted.enabled or effort is not None
        switch = {"thinking": {"type": "disabled" if off else "enabled"}} if off or on else {}
        return {**switch, "reasoning_effort": effort}
    if off and wanted.effort == "none":
        effort = "none"
    elif off:
        # `none` is refused by most models. Those that think do so by default; the others need not be told.
        dropped.append("reasoning.enabled")
    return {"reasoning_effort": effort}


def _reasoning_object(wanted: Reasoning) -> dict[str, Any]:
    """OpenRouter takes an effort or a budget, not both. https://openrouter.ai/docs/use-cases/reasoning-tokens"""
    budget = wanted.budget_tokens if wanted.budget_tokens is not None and wanted.budget_tokens > 0 else None
    off = wanted.enabled is False or wanted.budget_tokens == 0
    asked = {
        "effort": wanted.effort if budget is None else None,
        "max_tokens": budget,
        "enabled": False if off else wanted.enabled,
        "exclude": None if wanted.include is None else not wanted.include,
        "summary": wanted.summary,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _stream(request: Request, quirks: Quirks) -> dict[str, Any]:
    """A translated stream always asks for the count: the gateway bills by it, whatever the caller asked for."""
    if not request.stream:
        return {}
    return {"stream": True, "stream_options": {"include_usage": True} if quirks.stream_options else None}


def _add_extra(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    own = request.dialect == "openai_chat"
    for name, value in request.extra.items():
        if not own and name not in _SHARED_EXTRAS:
            dropped.append(f"extra.{name}")
            continue
        group, _, inner = name.partition(".")
        if inner and group in ("reasoning", "thinking"):
            body.setdefault(group, {})[inner] = value
        elif name == "stream_options" and own:
            body[name] = {**body.get(name, {}), **value}
        else:
            body[name] = value


def _obey_drops(body: dict[str, Any], quirks: Quirks, dropped: list[str]) -> None:
    for name, field in _refused_fields(quirks).items():
        value = body.pop(field, None)
        if value is not None and value != _SAME_NAME.get(name):
            dropped.append(name if name in FIELD_NAMES else f"extra.{name}")


def _refused_fields(quirks: Quirks) -> dict[str, str]:
    """Neutral name to top-level field, for what this upstream refuses."""
    special = {"max_tokens": quirks.max_tokens_field, "seed": quirks.seed_field, "include_usage": "stream_options"}
    if quirks.reasoning_control != "reasoning_effort":
        special["reasoning"] = quirks.reasoning_control
    return {name: special.get(name) or FIELD_NAMES.get(name, name) for name in sorted(quirks.drop)}


# ---------------------------------------------------------------------------------------------------- same dialect
def rewrite_request(body: bytes, *, model: str | None, quirks: Quirks, include_usage: bool) -> tuple[bytes, bool]:
    """Only what this upstream would misread or refuse changes: the model's name, the name of the token cap (servers
    that do not know `max_completion_tokens` ignore it), the developer role, and the fields that `quirks.drop` names.

    The flag says that `stream_options.include_usage` was added here. Raises BadRequest when it is not a JSON object.
    """
    members = read_top_level(body)
    changes: dict[str, bytes | None] = {}
    if model is not None:
        changes["model"] = orjson.dumps(model)
    field = quirks.max_tokens_field
    if field != "max_completion_tokens" and _given(members, "max_completion_tokens"):
        changes["max_completion_tokens"] = None
        changes[field] = bytes(members["max_completion_tokens"])
    if not quirks.developer_role and b'"developer"' in body and "messages" in members:
        changes["messages"] = _without_developer(bytes(members["messages"]))
    changes |= dict.fromkeys(_refused_fields(quirks).values())
    added = False
    if include_usage and quirks.stream_options and "stream_options" not in changes and _is_true(members, "stream"):
        options = _with_usage(members)
        added = options is not None
        if options is not None:
            changes["stream_options"] = options
    return replace_top_level(body, changes), added


def _given(members: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in members and bytes(members[name]) != b"null"


def _is_true(members: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in members and bytes(members[name]) == b"true"


def _with_usage(members: Mapping[str, msgspec.Raw]) -> bytes | None:
    """The stream options with the usage asked for; None where the caller did so already."""
    if not _given(members, "stream_options"):
        return b'{"include_usage":true}'
    options = bytes(members["stream_options"])
    if not options.startswith(b"{"):
        raise BadRequest("Invalid 'stream_options': must be an object", param="stream_options")
    asked = replace_top_level(options, {"include_usage": b"true"})
    return None if asked is options else asked


def _without_developer(messages: bytes) -> bytes:
    """The messages with the developer role renamed, every other value byte for byte."""
    try:
        items = msgspec.json.decode(messages, type=list[dict[str, msgspec.Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return messages  # not a list of objects: for the upstream to refuse
    for item in items:
        if "role" in item and bytes(item["role"]) == b'"developer"':
            item["role"] = msgspec.Raw(b'"system"')
    return msgspec.json.encode(items)
