"""`/v1/usage`: the rows of the ledger, for whoever may see them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.exc import SQLAlchemyError

from gateway.routes.deps import KeyRoute, PartsDep, PrincipalDep
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import Moment
from gateway.routes.usage_rows import usage_json
from ledger import queries
from ledger.queries import UsageFilter
from wire.errors import BadRequest, NotReady

router = APIRouter(tags=["usage"], route_class=KeyRoute)


def _filter(
    principal: PrincipalDep,
    start_date: Annotated[Moment | None, Query(description="inclusive; a time without a zone is UTC")] = None,
    end_date: Annotated[Moment | None, Query(description="exclusive")] = None,
    user_id: str | None = None,
    api_key_id: str | None = None,
    model: str | None = None,
    session_id: str | None = None,
    end_user: str | None = None,
    request_id: str | None = None,
) -> UsageFilter:
    """A virtual key sees its own user's rows, the master key all."""
    wanted = UsageFilter(
        start=start_date,
        end=end_date,
        user_id=user_id,
        key_id=api_key_id,
        model=model,
        session_id=session_id,
        end_user=end_user,
        request_id=request_id,
    )
    return wanted if principal.user_id is None else replace(wanted, user_id=principal.user_id)


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
    return exact_json([usage_json(row) for row in page.rows], headers)


@router.get("/v1/usage/count", summary="How many usage rows match")
async def count_usage(parts: PartsDep, wanted: FilterDep) -> Response:
    try:
        return exact_json({"count": await asyncio.to_thread(queries.usage_count, parts.ledger, wanted)})
    except SQLAlchemyError as error:
        raise NotReady("The ledger cannot be reached, try again", code="database_away") from error
