"""`/v1/usage`: the rows of the ledger, for whoever may see them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.exc import SQLAlchemyError

from gateway.routes.deps import KeyRoute, PartsDep, PrincipalDep
from gateway.routes.exact_json import dollars, exact_json
from gateway.routes.times import aware
from ledger import queries
from ledger.queries import UsageFilter, UsageRow
from wire.errors import BadRequest, NotReady

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
router = APIRouter(tags=["usage"], route_class=KeyRoute)


def _filter(
    principal: PrincipalDep,
    start_date: Annotated[datetime | None, Query(description="inclusive; a time without a zone is UTC")] = None,
    end_date: Annotated[datetime | None, Query(description="exclusive")] = None,
    user_id: str | None = None,
    api_key_id: str | None = None,
    model: str | None = None,
    session_id: str | None = None,
    end_user: str | None = None,
    request_id: str | None = None,
) -> UsageFilter:
    """A virtual key sees its own user's rows, the master key all."""
    wanted = UsageFilter(
        start=aware(start_date),
        end=aware(end_date),
        user_id=user_id,
        key_id=api_key_id,
        model=model,
        session_id=session_id,
        end_user=end_user,
        request_id=request_id,
    )
    return wanted if principal.key is None else replace(wanted, user_id=principal.key.user_id)


FilterDep = Annotated[UsageFilter, Depends(_filter)]


@router.get("/v1/usage", summary="Usage rows, newest first")
async def list_usage(
    parts: PartsDep,
    wanted: FilterDep,
    skip: Annotated[int, Query(ge=0, le=10_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: str | None = None,
) -> Response:
    """A bare array. When there are more rows, `x-next-cursor` says where they go on: pass it as `cursor`."""
    try:
        page = await asyncio.to_thread(queries.usage_page, parts.ledger, wanted, skip=skip, limit=limit, cursor=cursor)
    except ValueError as error:
        raise BadRequest("cursor: not one of ours", param="cursor") from error
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error
    headers = {"x-next-cursor": page.next_cursor} if page.next_cursor else None
    return exact_json([_row(row) for row in page.rows], headers)


@router.get("/v1/usage/count", summary="How many usage rows match")
async def count_usage(parts: PartsDep, wanted: FilterDep) -> Response:
    try:
        return exact_json({"count": await asyncio.to_thread(queries.usage_count, parts.ledger, wanted)})
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error


def _row(row: UsageRow) -> dict[str, Any]:
    """The any-llm gateway's UsageLog first, then what more the ledger knows."""
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
        **{f"{name}_tokens": getattr(tokens, name) for name in _TOKEN_DETAILS},
        "web_searches": tokens.web_searches,
        "images": tokens.images,
        "audio_ms": tokens.audio_ms,
        "price": event.price,
        "provider_cost": dollars(event.provider_cost_pico),
        "dropped": event.dropped,
        "duration_ms": event.duration_us / 1000,
        "first_token_ms": None if event.first_token_us is None else event.first_token_us / 1000,
        "overhead_ms": None if event.overhead_us is None else event.overhead_us / 1000,
    }
