"""`/v1/keys`: virtual keys, for the master key."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, BeforeValidator, Field

from gateway.accounts.issuing import NewKey
from gateway.accounts.records import KeyRecord
from gateway.routes.deps import ActorDep, MasterRoute, PartsDep
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import (
    Body,
    Identifier,
    Limit,
    LimitsBody,
    Metadata,
    Moment,
    Name,
    PathId,
    Patterns,
    Skip,
    Tags,
    countable,
    given,
)

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=MasterRoute)
_MAX_GRACE = 30 * 86_400
# Columns that a null does not clear but empties.
_EMPTY: dict[str, Any] = {"metadata": {}, "tags": {}}


class CreateKey(Body):
    """`user_id` is made when unknown; without it the key gets a user of its own, `apikey-<id>`."""

    key_name: Name | None = None
    user_id: Identifier | None = None
    expires_at: Moment | None = None
    metadata: Metadata = Field(default_factory=dict)
    tags: Tags = Field(default_factory=dict)
    allowed_models: Annotated[Patterns | None, Field(description="null: any; `*` stands for anything")] = None
    limits: LimitsBody | None = None
    budget_id: Identifier | None = None


class UpdateKey(Body):
    """What is absent stays, null clears."""

    key_name: Name | None = None
    is_active: bool | None = None
    expires_at: Moment | None = None
    metadata: Metadata | None = None
    tags: Tags | None = None
    allowed_models: Patterns | None = None
    limits: LimitsBody | None = None
    budget_id: Identifier | None = None


class RotateKey(Body):
    """For how long the old key is good beside the new one."""

    grace_seconds: Annotated[int, BeforeValidator(countable), Field(ge=0, le=_MAX_GRACE)] = 0


class KeyFields(BaseModel):
    id: str
    key_name: str | None
    user_id: str
    created_at: datetime
    expires_at: datetime | None
    is_active: bool
    metadata: dict[str, Any]
    key_prefix: str
    tags: dict[str, str]
    allowed_models: list[str] | None
    limits: LimitsBody | None
    budget_id: str | None
    budget_started_at: datetime | None
    next_budget_reset_at: datetime | None


class KeyInfo(KeyFields):
    """`last_used_at` is at most five minutes behind. `previous_key_expires_at`: how long the key from before a rotation
    is still good."""

    last_used_at: datetime | None
    previous_key_expires_at: datetime | None


class CreatedKey(KeyFields):
    """`key` is told this once and never again."""

    key: str


@router.post("", summary="Make a virtual key", response_model=CreatedKey)
def create_key(body: CreateKey, parts: PartsDep, actor: ActorDep) -> Response:
    new = NewKey(
        key_name=body.key_name,
        user_id=body.user_id,
        expires_at=body.expires_at,
        metadata=body.metadata,
        tags=body.tags,
        allowed_models=body.allowed_models,
        limits=body.limits.stored() if body.limits else None,
        budget_id=body.budget_id,
    )
    record, plain = parts.accounts.issuer.create(actor, new)
    return exact_json(CreatedKey(key=plain, **_fields(record)).model_dump())


@router.get("", summary="All virtual keys, oldest first", response_model=list[KeyInfo])
def list_keys(parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    return exact_json([_info(record) for record in parts.accounts.issuer.page(skip, limit)])


@router.get("/{key_id}", summary="One virtual key", response_model=KeyInfo)
def get_key(key_id: PathId, parts: PartsDep) -> Response:
    return exact_json(_info(parts.accounts.issuer.get(key_id)))


@router.patch("/{key_id}", summary="Change a virtual key, everywhere within a second", response_model=KeyInfo)
def update_key(key_id: PathId, body: UpdateKey, parts: PartsDep, actor: ActorDep) -> Response:
    values = given(body, "is_active")
    if body.limits is not None:
        values["limits"] = body.limits.stored()
    values |= {name: empty for name, empty in _EMPTY.items() if name in values and values[name] is None}
    return exact_json(_info(parts.accounts.issuer.alter(actor, key_id, values)))


@router.post("/{key_id}/rotate", summary="A new plain key for the same entry", response_model=CreatedKey)
def rotate_key(key_id: PathId, parts: PartsDep, actor: ActorDep, body: RotateKey | None = None) -> Response:
    record, plain = parts.accounts.issuer.rotate(actor, key_id, (body or RotateKey()).grace_seconds)
    return exact_json(CreatedKey(key=plain, **_fields(record)).model_dump())


@router.delete("/{key_id}", summary="Revoke a virtual key, everywhere within a second", status_code=204)
def delete_key(key_id: PathId, parts: PartsDep, actor: ActorDep) -> Response:
    parts.accounts.issuer.delete(actor, key_id)
    return Response(status_code=204)


def _fields(record: KeyRecord) -> dict[str, Any]:
    held = record.holding
    return {
        "id": record.id,
        "key_name": record.key_name,
        "user_id": record.user_id,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "is_active": record.is_active,
        "metadata": dict(record.metadata),
        "key_prefix": record.key_prefix,
        "tags": dict(record.tags),
        "allowed_models": None if record.allowed_models is None else list(record.allowed_models),
        "limits": LimitsBody.of(record.limits),
        "budget_id": held.budget_id if held else None,
        "budget_started_at": held.started_at if held else None,
        "next_budget_reset_at": held.next_reset_at if held else None,
    }


def _info(record: KeyRecord) -> dict[str, Any]:
    info = KeyInfo(last_used_at=record.last_used_at, previous_key_expires_at=record.previous_until, **_fields(record))
    return info.model_dump()
