"""How a row of the ledger is shown: the any-llm gateway's UsageLog first, then what more the ledger knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from gateway.routes.exact_json import dollars
from ledger.queries import UsageRow
from ledger.summaries import GroupBy, Totals, UsageGroup
from usage_contract.event import Tokens

_TOKEN_DETAILS = (
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "input_audio",
    "input_image",
    "tool_input",
    "reasoning",
    "output_audio",
    "output_image",
)


# What a group is named after, as rows name it.
GROUPS: dict[str, GroupBy] = {
    "user_id": "user_id",
    "api_key_id": "key_id",
    "provider": "provider",
    "model": "model",
    "session_id": "session_id",
}


def totals_json(totals: Totals) -> dict[str, Any]:
    tokens = totals.tokens
    return {
        "rows": totals.events,
        "calls": totals.calls,
        "errors": totals.errors,
        "estimated": totals.estimated,
        "unpriced": totals.unpriced,
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        **_details(tokens),
        "duration_ms": totals.duration_us / 1000,
        "cost": dollars(totals.cost_pico),
    }


def group_json(group: UsageGroup, by: Sequence[str], zone: tzinfo) -> dict[str, Any]:
    """`start` in the reporting zone, where there is one."""
    named = {name: getattr(group, GROUPS[name]) for name in by}
    start = {} if group.start is None else {"start": group.start.astimezone(zone)}
    return {**start, **named, **totals_json(group.totals)}


def _details(tokens: Tokens) -> dict[str, int]:
    named = {f"{name}_tokens": getattr(tokens, name) for name in _TOKEN_DETAILS}
    return {**named, "web_searches": tokens.web_searches, "images": tokens.images, "audio_ms": tokens.audio_ms}


def usage_json(row: UsageRow) -> dict[str, Any]:
    event, tokens = row.event, row.event.tokens
    return {
        "id": event.event_id,
        "user_id": event.caller.user_id,
        "api_key_id": event.caller.key_id,
        "timestamp": row.started_at,
        "model": event.model_used,
        "provider": event.provider,
        "endpoint": event.surface,
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "cost": dollars(event.cost_pico),
        "status": event.status,
        "error_message": event.error_code,
        "request_id": event.request_id,
        "kind": event.kind,
        "attempt": event.attempt,
        "model_asked": event.model_asked,
        "session_id": event.caller.session_id,
        "end_user": event.caller.end_user,
        "tags": event.caller.tags,
        "stream": event.stream,
        "byok": event.byok,
        "estimated": event.estimated,
        "http_status": event.http_status,
        "finish_reason": event.finish_reason,
        "service_tier": event.service_tier,
        **_details(tokens),
        "price": event.price,
        "provider_cost": dollars(event.provider_cost_pico),
        "dropped": event.dropped,
        "duration_ms": event.duration_us / 1000,
        "first_token_ms": None if event.first_token_us is None else event.first_token_us / 1000,
        "overhead_ms": None if event.overhead_us is None else event.overhead_us / 1000,
    }
