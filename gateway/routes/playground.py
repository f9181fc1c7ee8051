"""The playground's lists: its models, and what was used of them. Its calls are in `gateway.surfaces`."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.exc import SQLAlchemyError

from gateway.models import ListedModel
from gateway.parts import Parts
from gateway.routes.deps import ListedDep, PartsDep, PrincipalDep
from gateway.routes.doors import DoorRoute
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import Day, Month, PathId
from gateway.routes.usage_sums import by_user_and_model
from ledger.queries import UsageFilter
from ledger.summaries import summary
from wire.errors import NotReady
from wire.front_doors.playground import DOOR


class PlaygroundRoute(DoorRoute):
    door = DOOR


router = APIRouter(tags=["playground"], route_class=PlaygroundRoute)


def _own(principal: PrincipalDep) -> UsageFilter:
    """The master key sees all rows, everybody else those of their user."""
    return UsageFilter(user_id=principal.user_id)


OwnDep = Annotated[UsageFilter, Depends(_own)]


@router.get("/api/models", summary="All models: windows, prices per 1,000 tokens, availability")
async def list_models(rows: ListedDep) -> Response:
    """Those that the caller may use."""
    return exact_json({"models": [_model(row) for row in rows]})


@router.get("/api/usage/session/{session_id}", summary="What a session used")
async def session_usage(session_id: PathId, parts: PartsDep, own: OwnDep) -> Response:
    return await _sums(parts, UsageFilter(user_id=own.user_id, session_id=session_id), {"session_id": session_id})


@router.get("/api/usage/daily", summary="What a day of the reporting zone used")
async def daily_usage(
    parts: PartsDep, own: OwnDep, day: Annotated[Day | None, Query(alias="date", description="default: today")] = None
) -> Response:
    day = day or datetime.now(parts.settings.zone).date()
    return await _period(parts, own, day, day + timedelta(days=1), {"date": day.isoformat()})


@router.get("/api/usage/monthly", summary="What a month of the reporting zone used")
async def monthly_usage(
    parts: PartsDep, own: OwnDep, month: Annotated[Month | None, Query(description="default: this month")] = None
) -> Response:
    first = month or datetime.now(parts.settings.zone).date().replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return await _period(parts, own, first, after, {"month": first.isoformat()[:7]})


@router.get("/api/usage/summary", summary="What was used in all")
async def all_usage(parts: PartsDep, own: OwnDep) -> Response:
    return await _sums(parts, own, {})


async def _period(parts: Parts, own: UsageFilter, first: date, after: date, named: dict[str, Any]) -> Response:
    """From the first moment of one day to that of another."""
    zone = parts.settings.zone
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, after))
    wanted = UsageFilter(user_id=own.user_id, start=start, end=end)
    return await _sums(parts, wanted, {**named, "timezone": parts.settings.reporting_zone})


async def _sums(parts: Parts, wanted: UsageFilter, named: dict[str, Any]) -> Response:
    try:
        groups = await asyncio.to_thread(summary, parts.ledger, wanted, ("user_id", "provider", "model"))
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error
    return exact_json(named | by_user_and_model(groups))


def _model(row: ListedModel) -> dict[str, Any]:
    pricing = row.pricing
    return {
        "id": row.id,
        "provider": row.provider,
        "context_window": row.context_window,
        "max_output_tokens": row.max_output_tokens,
        "pricing": None
        if pricing is None
        else {
            "input_per_1k": _per_thousand(pricing.get("input_price_per_million")),
            "output_per_1k": _per_thousand(pricing.get("output_price_per_million")),
            "currency": "USD",
        },
        "available": row.unavailable_reason is None,
        "unavailable_reason": row.unavailable_reason,
    }


def _per_thousand(usd_per_million: Decimal | None) -> Decimal | None:
    return None if usd_per_million is None else usd_per_million.scaleb(-3)
