"""`/v1/usage`: the rows of the ledger and their sums, for whoever may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.exc import SQLAlchemyError

from gateway.routes.deps import KeyRoute, PartsDep, PrincipalDep
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import Moment, Word, Zone
from gateway.routes.usage_rows import GROUPS, group_json, totals_json, usage_json
from gateway.settings.zones import zone_of
from ledger import queries, summaries
from ledger.queries import UsageFilter
from usage_contract.event import Kind
from wire.errors import BadRequest, NotReady

router = APIRouter(tags=["usage"], route_class=KeyRoute)


def _filter(
    principal: PrincipalDep,
    start_date: Annotated[Moment | None, Query(description="inclusive; a time without a zone is UTC")] = None,
    end_date: Annotated[Moment | None, Query(description="exclusive")] = None,
    user_id: Word = None,
    api_key_id: Word = None,
    model: Word = None,
    session_id: Word = None,
    end_user: Word = None,
    request_id: Word = None,
    provider: Word = None,
    kind: Annotated[Kind | None, Query(description="final, attempt (absorbed by a retry) or lost")] = None,
    tag: Annotated[Word, Query(description="name=value", pattern="^[^=]+=")] = None,
) -> UsageFilter:
    """A virtual key sees its own user's rows, the master key all."""
    name, _, value = (tag or "").partition("=")
    wanted = UsageFilter(
        start=start_date,
        end=end_date,
        user_id=user_id,
        key_id=api_key_id,
        model=model,
        session_id=session_id,
        end_user=end_user,
        request_id=request_id,
        provider=provider,
        kind=kind,
        tag=(name, value) if name else None,
    )
    return wanted if principal.user_id is None else replace(wanted, user_id=principal.user_id)


FilterDep = Annotated[UsageFilter, Depends(_filter)]


T = TypeVar("T")
MAX_GROUPS = 10_000
Group = Literal["user_id", "api_key_id", "provider", "model", "session_id"]
GroupsDep = Annotated[list[Group] | None, Query(description="repeat it to group by several")]


async def _asked(question: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(question)
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error


@router.get("/v1/usage", summary="Usage rows, newest first")
async def list_usage(
    parts: PartsDep,
    wanted: FilterDep,
    skip: Annotated[int, Query(ge=0, le=10_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: Word = None,
) -> Response:
    """A bare array. When there are more rows, `x-next-cursor` says where they go on: pass it as `cursor`."""
    try:
        page = await _asked(lambda: queries.usage_page(parts.ledger, wanted, skip=skip, limit=limit, cursor=cursor))
    except ValueError as error:
        raise BadRequest("cursor: not one of ours", param="cursor") from error
    headers = {"x-next-cursor": page.next_cursor} if page.next_cursor else None
    return exact_json([usage_json(row) for row in page.rows], headers)


@router.get("/v1/usage/count", summary="How many usage rows match")
async def count_usage(parts: PartsDep, wanted: FilterDep) -> Response:
    return exact_json({"count": await _asked(lambda: queries.usage_count(parts.ledger, wanted))})


@router.get("/v1/usage/summary", summary="Sums of usage, by user, key, provider, model or session")
async def summarise_usage(
    parts: PartsDep,
    wanted: FilterDep,
    group_by: GroupsDep = None,
    limit: Annotated[int, Query(ge=1, le=MAX_GROUPS)] = 1000,
) -> Response:
    """The sum of all, and of each group, the most expensive first. `rows` counts attempts, `calls` what callers asked
    for; money is exact US dollars."""
    by = _distinct(group_by)
    groups = await _asked(lambda: summaries.summary(parts.ledger, wanted, [GROUPS[name] for name in by]))
    total = summaries.added(group.totals for group in groups)
    shown = [group_json(group, by, UTC) for group in groups[:limit]]
    return exact_json({"totals": totals_json(total), "groups": shown, "more_groups": len(groups) > limit})


@router.get("/v1/usage/series", summary="Sums of usage by hour, day or month")
async def usage_series(
    parts: PartsDep,
    wanted: FilterDep,
    bucket: summaries.Bucket = "day",
    group_by: GroupsDep = None,
    timezone: Annotated[Zone | None, Query(description="of days and months; default: `reporting_zone`")] = None,
) -> Response:
    """Each bucket that has rows, the earliest first, and each group in it. A day of the zone is 23 or 25 hours long
    where its clock changes."""
    by, name = _distinct(group_by), timezone or parts.settings.reporting_zone
    zone = zone_of(name)
    columns = [GROUPS[each] for each in by]
    try:
        groups = await _asked(lambda: summaries.series(parts.ledger, wanted, bucket, columns, zone))
    except ValueError as error:
        raise BadRequest(f"bucket: {error}", param="bucket") from error
    if len(groups) > MAX_GROUPS:
        text = f"group_by: more than {MAX_GROUPS} sums; choose a shorter time, a longer bucket or fewer groups"
        raise BadRequest(text, param="group_by")
    return exact_json({"bucket": bucket, "timezone": name, "series": [group_json(each, by, zone) for each in groups]})


def _distinct(names: list[Group] | None) -> list[Group]:
    return list(dict.fromkeys(names or ()))
