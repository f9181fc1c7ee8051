"""`/v1/users`: who pays. For the master key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from gateway.accounts.records import UserRecord
from gateway.accounts.spend import spent_by_users
from gateway.parts import Parts
from gateway.routes.deps import ActorDep, MasterRoute, PartsDep
from gateway.routes.exact_json import dollars, exact_json
from gateway.routes.fields import Body, Identifier, Limit, LimitsBody, Metadata, Name, PathId, Skip, given
from gateway.routes.usage_rows import usage_json
from ledger.queries import UsageFilter, usage_page
from wire.errors import NotFound

router = APIRouter(prefix="/v1/users", tags=["users"], route_class=MasterRoute)


class CreateUser(Body):
    """An id that was deleted lives again: as new, but with its usage."""

    user_id: Identifier
    alias: Name | None = None
    budget_id: Identifier | None = None
    blocked: bool = False
    metadata: Metadata = Field(default_factory=dict)
    limits: LimitsBody | None = None


class UpdateUser(Body):
    """What is absent stays, null clears."""

    alias: Name | None = None
    budget_id: Identifier | None = None
    blocked: bool | None = None
    metadata: Metadata | None = None
    limits: LimitsBody | None = None


class User(BaseModel):
    """`spend` are exact US dollars since `spend_since`; null while the ledger cannot be asked."""

    user_id: str
    alias: str | None
    spend: Decimal | None
    budget_id: str | None
    budget_started_at: datetime | None
    next_budget_reset_at: datetime | None
    blocked: bool
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    spend_since: datetime
    limits: LimitsBody | None


@router.post("", summary="Make a user", response_model=User)
def create_user(body: CreateUser, parts: PartsDep, actor: ActorDep) -> Response:
    values = {
        "alias": body.alias,
        "blocked": body.blocked,
        "metadata": body.metadata,
        "limits": body.limits.stored() if body.limits else None,
    }
    return _answer(parts, parts.accounts.users.create(actor, body.user_id, values, body.budget_id))


@router.get("", summary="All users, oldest first, without those that were deleted", response_model=list[User])
def list_users(parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    return exact_json(_shown(parts, parts.accounts.users.page(skip, limit)))


@router.get("/{user_id}", summary="One user", response_model=User)
def get_user(user_id: PathId, parts: PartsDep) -> Response:
    return _answer(parts, parts.accounts.users.get(user_id))


@router.patch("/{user_id}", summary="Change a user, everywhere within a second", response_model=User)
def update_user(user_id: PathId, body: UpdateUser, parts: PartsDep, actor: ActorDep) -> Response:
    values = given(body, "blocked")
    if body.limits is not None:
        values["limits"] = body.limits.stored()
    if "metadata" in values and body.metadata is None:
        values["metadata"] = {}
    return _answer(parts, parts.accounts.users.alter(actor, user_id, values))


@router.delete("/{user_id}", summary="Delete a user; its usage stays, its keys are off for good", status_code=204)
def delete_user(user_id: PathId, parts: PartsDep, actor: ActorDep) -> Response:
    parts.accounts.users.delete(actor, user_id)
    return Response(status_code=204)


@router.get("/{user_id}/usage", summary="A user's usage rows, newest first", response_model=list[dict[str, Any]])
def list_user_usage(user_id: PathId, parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    """Those of a deleted user too."""
    if not parts.accounts.users.exists(user_id):
        raise NotFound(f"User with id '{user_id}' not found")
    page = usage_page(parts.ledger, UsageFilter(user_id=user_id), skip=skip, limit=limit)
    return exact_json([usage_json(row) for row in page.rows])


def _answer(parts: Parts, user: UserRecord) -> Response:
    return exact_json(_shown(parts, [user])[0])


def _shown(parts: Parts, users: Sequence[UserRecord]) -> list[dict[str, Any]]:
    spent = spent_by_users(parts.ledger, users)
    return [
        User(
            user_id=user.user_id,
            alias=user.alias,
            spend=dollars(spent[user.user_id]),
            budget_id=user.holding.budget_id if user.holding else None,
            budget_started_at=user.holding.started_at if user.holding else None,
            next_budget_reset_at=user.holding.next_reset_at if user.holding else None,
            blocked=user.blocked,
            created_at=user.created_at,
            updated_at=user.updated_at,
            metadata=dict(user.metadata),
            spend_since=user.spend_since,
            limits=LimitsBody.of(user.limits),
        ).model_dump()
        for user in users
    ]
