"""The minimal CPU stack's status and traces. Its calls are in `gateway.surfaces`.

Both read the ledger, so that they say the same on every replica: what is counted here was billed there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway import __version__
from gateway.parts import Parts
from gateway.routes.deps import MasterRoute, PartsDep, credential_of
from gateway.routes.doors import ToldRoute
from gateway.routes.exact_json import dollars, exact_json
from ledger.queries import UsageFilter, UsageRow, recent_durations, usage_page
from ledger.summaries import UsageGroup, summary
from wire.errors import NotReady
from wire.front_doors.cpu_stack import DOOR

_SAMPLE = 1000  # the last attempts of a model, of which latencies are told


class StatusRoute(ToldRoute):
    door = DOOR


class TracesRoute(ToldRoute, MasterRoute):
    door = DOOR


status = APIRouter(tags=["minimal CPU stack"], route_class=StatusRoute)
traces = APIRouter(tags=["minimal CPU stack"], route_class=TracesRoute)


@status.get("/status", summary="Up or down; with a key, what was called and how providers are")
async def get_status(request: Request, parts: PartsDep) -> Response:
    """A virtual key is told of its own user's calls, the master key of all."""
    readiness = parts.health.readiness()
    body: dict[str, Any] = {"status": "up" if readiness.ready else "down"}
    if credential := credential_of(request):
        principal = await parts.keys.authenticate(credential)
        body |= _state(parts) | {"reasons": list(readiness.reasons)}
        body["models"] = await asyncio.to_thread(_models, parts.ledger, principal.user_id)
    return exact_json(body, status=200 if readiness.ready else 503)


@traces.get("/traces", summary="The last request events: ids, model, times and tokens, never contents")
async def list_traces(
    parts: PartsDep, limit: Annotated[int, Query(ge=1, le=1000, description="how many, newest first")] = 50
) -> Response:
    try:
        page = await asyncio.to_thread(usage_page, parts.ledger, UsageFilter(), limit=limit)
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error
    return exact_json({"traces": [_trace(row) for row in page.rows]})


def _state(parts: Parts) -> dict[str, Any]:
    models = parts.models
    away = {name: models.unavailable(provider) for name, provider in models.providers.items()}
    local = [name for name, provider in models.providers.items() if provider.row.name == "local"]
    services = {name: models.local[name].to_json() for name in local if name in models.local}
    return {
        "version": __version__,
        "uptime_seconds": round((datetime.now(UTC) - models.started_at).total_seconds(), 3),
        "providers": {name: {"available": reason is None, "reason": reason} for name, reason in away.items()},
        "local_model": {
            "available": any(away[name] is None for name in local),
            "models": [model for name in local for model in models.discovered.get(name, ())],
            **({"services": services} if services else {}),
        },
    }


def _models(ledger: Engine, user_id: str | None) -> list[dict[str, Any]] | None:
    """None when the ledger cannot be read: the rest of the status can be told all the same."""
    try:
        groups = summary(ledger, UsageFilter(user_id=user_id), ("provider", "model"))
        times = recent_durations(ledger, user_id, _SAMPLE)
    except SQLAlchemyError:
        return None
    return [_model(group, times.get((group.provider or "", group.model or ""), ())) for group in groups]


def _model(group: UsageGroup, durations: Sequence[int]) -> dict[str, Any]:
    totals = group.totals
    return {
        "provider": group.provider,
        "model": group.model,
        "requests": totals.calls,
        "errors": totals.errors,
        "tokens": {
            "prompt_tokens": totals.tokens.input,
            "completion_tokens": totals.tokens.output,
            "total_tokens": totals.tokens.input + totals.tokens.output,
        },
        "cost_usd": dollars(totals.cost_pico),
        "latency_ms": _latency(durations) if durations else None,
    }


def _latency(durations: Sequence[int]) -> dict[str, Any]:
    """Of the last successful attempts, ascending. A percentile is the least time that so many of them kept to."""

    def percentile(percent: int) -> float | None:
        return _milliseconds(durations[-(-len(durations) * percent // 100) - 1])

    return {
        "average": _milliseconds(sum(durations) // len(durations)),
        "p50": percentile(50),
        "p90": percentile(90),
        "p95": percentile(95),
        "p99": percentile(99),
        "samples": len(durations),
    }


def _trace(row: UsageRow) -> dict[str, Any]:
    event = row.event
    return {
        "trace_id": event.request_id,
        "event_id": event.event_id,
        "kind": event.kind,
        "attempt": event.attempt,
        "status": event.status,
        "error_code": event.error_code,
        "http_status": event.http_status,
        "endpoint": event.surface,
        "provider": event.provider,
        "model": event.model_used,
        "model_asked": event.model_asked,
        "user_id": event.caller.user_id,
        "api_key_id": event.caller.key_id,
        "session_id": event.caller.session_id,
        "stream": event.stream,
        "started_at": row.started_at,
        "latency_ms": _milliseconds(event.duration_us),
        "first_token_ms": _milliseconds(event.first_token_us),
        "overhead_ms": _milliseconds(event.overhead_us),
        "usage": {
            "prompt_tokens": event.tokens.input,
            "completion_tokens": event.tokens.output,
            "total_tokens": event.tokens.input + event.tokens.output,
            "estimated": event.estimated,
            "cost_usd": dollars(event.cost_pico),
        },
    }


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)
