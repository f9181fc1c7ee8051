"""`/v1/keys`: virtual keys, for the master key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.routes.deps import MasterRoute, PartsDep

router = APIRouter(tags=["keys"], route_class=MasterRoute)


def _no_nul(value: Any) -> Any:
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


Name = Annotated[str, BeforeValidator(_no_nul), Field(max_length=255)]


class CreateKey(BaseModel):
    model_config = ConfigDict(extra="ignore")

    key_name: Name | None = None
    user_id: Annotated[Name, Field(min_length=1)] | None = None
    expires_at: datetime | None = None
    metadata: dict[str, Any] = {}


class CreatedKey(BaseModel):
    """`key` is told this once and never again."""

    id: str
    key: str
    key_name: str | None
    user_id: str
    created_at: datetime
    expires_at: datetime | None
    is_active: bool
    metadata: dict[str, Any]


@router.post("/v1/keys", summary="Make a virtual key")
async def create_key(body: CreateKey, parts: PartsDep) -> CreatedKey:
    expires = body.expires_at
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    record, plain = await parts.keys.create(
        key_name=body.key_name, user_id=body.user_id, expires_at=expires, metadata=body.metadata
    )
    return CreatedKey(
        id=record.id,
        key=plain,
        key_name=record.key_name,
        user_id=record.user_id,
        created_at=record.created_at,
        expires_at=record.expires_at,
        is_active=record.is_active,
        metadata=record.metadata,
    )
