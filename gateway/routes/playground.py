"""The playground's lists: its models, and what was used of them. Its calls are in `gateway.surfaces`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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
from ledger.summaries import GroupBy, summary
from wire.errors import NotReady
from wire.front_doors.playground import DOOR


class PlaygroundRoute(DoorRoute):
    door = DOOR


router = APIRouter(tags=["playground"], route_class=PlaygroundRoute)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose rows, and whether the users that calls named (`user_id`) are told apart, which no rollup knows."""

    user_id: str | None
    end_users: bool


def _asked(
    principal: PrincipalDep,
    end_users: Annotated[bool, Query(description="also by the `user_id` that calls named: slower")] = False,
) -> _Asked:
    """The master key sees all rows, everybody else those of their user."""
    return _Asked(principal.user_id, end_users)


AskedDep = Annotated[_Asked, Depends(_asked)]


@router.get("/api/models", summary="All models: windows, prices per 1,000 tokens, availability")
async def list_models(rows: ListedDep) -> Response:
    """Those that the caller may use."""
    return exact_json({"models": [_model(row) for row in rows]})


@router.get("/api/usage/session/{session_id:path}", summary="What a session used")
async def session_usage(session_id: PathId, parts: PartsDep, asked: AskedDep) -> Response:
    wanted = UsageFilter(user_id=asked.user_id, session_id=session_id)
    return await _sums(parts, wanted, {"session_id": session_id}, end_users=True)


@router.get("/api/usage/daily", summary="What a day of the reporting zone used")
async def daily_usage(
    parts: PartsDep,
    asked: AskedDep,
    day: Annotated[Day | None, Query(alias="date", description="default: today")] = None,
) -> Response:
    day = day or datetime.now(parts.settings.zone).date()
    return await _period(parts, asked, day, day + timedelta(days=1), {"date": day.isoformat()})


@router.get("/api/usage/monthly", summary="What a month of the reporting zone used")
async def monthly_usage(
    parts: PartsDep, asked: AskedDep, month: Annotated[Month | None, Query(description="default: this month")] = None
) -> Response:
    first = month or datetime.now(parts.settings.zone).date().replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return await _period(parts, asked, first, after, {"month": first.isoformat()[:7]})


@router.get("/api/usage/summary", summary="What was used in all")
async def all_usage(parts: PartsDep, asked: AskedDep) -> Response:
    return await _sums(parts, UsageFilter(user_id=asked.user_id), {}, end_users=asked.end_users)


async def _period(parts: Parts, asked: _Asked, first: date, after: date, named: dict[str, Any]) -> Response:
    """From the first moment of one day to that of another."""
    zone = parts.settings.zone
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, after))
    wanted = UsageFilter(user_id=asked.user_id, start=start, end=end)
    named |= {"timezone": parts.settings.reporting_zone}
    return await _sums(parts, wanted, named, end_users=asked.end_users)


async def _sums(parts: Parts, wanted: UsageFilter, named: dict[str, Any], *, end_users: bool) -> Response:
    by: list[GroupBy] = ["user_id", "provider", "model"]
    try:
        groups = await asyncio.to_thread(summary, parts.ledger, wanted, ["end_user", *by] if end_users else by)
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error
    return exact_json(named | by_user_and_model(groups, end_users=end_users))


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
