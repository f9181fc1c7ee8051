"""`/v1/limits`: limits that a model, a provider or everybody shares. Keys and users have theirs in their own entries.
For the master key."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, model_validator

from gateway.accounts.budget_rows import EVERYBODY
from gateway.accounts.limit_rows import LimitRow
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.scopes import canonical
from gateway.parts import Parts
from gateway.routes.deps import ActorDep, MasterRoute, PartsDep
from gateway.routes.exact_json import exact_json
from gateway.routes.fields import Limit, LimitsBody, PathId, Skip
from wire.errors import NotFound

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=MasterRoute)
Shared = Annotated[Literal["model", "provider", "global"], Path(description="whose calls share the limits")]
_PATH = "/{scope}/{scope_id:path}"


class SetLimits(LimitsBody):
    """What is absent or null is not limited. At least one is; DELETE takes them all back."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.stored() is None:
            raise ValueError("set at least one limit, or delete them")
        return self


class SharedLimitsInfo(BaseModel):
    """`id`: `provider:model`, a provider's name, or `*` for `global` (and for the scope `user`, of the
    configuration: every user without limits of its own). `source`: `database` (set here) or `config`,
    whose limits have no times."""

    scope: str
    id: str
    limits: LimitsBody
    source: Literal["database", "config"]
    created_at: datetime | None
    updated_at: datetime | None


@router.get("", summary="All limits of models, providers and everybody", response_model=list[SharedLimitsInfo])
def list_limits(parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    """By scope and id."""
    found = _effective(parts)
    return exact_json([found[each] for each in sorted(found)[skip : skip + limit]])


@router.get(_PATH, summary="The limits of one", response_model=SharedLimitsInfo)
def get_limits(scope: Shared, scope_id: PathId, parts: PartsDep) -> Response:
    name = _id(parts, scope, scope_id)
    found = _effective(parts).get((scope, name))
    if found is None:
        raise NotFound(f"No limits are set for {scope} {name}")
    return exact_json(found)


@router.put(_PATH, summary="Limit all calls of a model, a provider or everybody", response_model=SharedLimitsInfo)
def set_limits(scope: Shared, scope_id: PathId, body: SetLimits, parts: PartsDep, actor: ActorDep) -> Response:
    """Over all replicas, from within a second on. They replace those from before and those from the configuration."""
    name = _id(parts, scope, scope_id)
    row = parts.accounts.limits.put(actor, scope, name, Limits(**body.model_dump()))
    return exact_json(_from_row(row))


@router.delete(_PATH, summary="Take back limits that were set here", status_code=204)
def delete_limits(scope: Shared, scope_id: PathId, parts: PartsDep, actor: ActorDep) -> Response:
    """Those from the configuration, if there are any, hold again."""
    parts.accounts.limits.remove(actor, scope, _id(parts, scope, scope_id))
    return Response(status_code=204)


def _id(parts: Parts, scope: Scope, scope_id: str) -> str:
    name = canonical(parts.models.providers, scope, scope_id)
    if scope == "global" and name != EVERYBODY:
        raise _invalid(scope_id, f"must be {EVERYBODY}")
    if scope == "model" and not all(name.partition(":")):
        raise _invalid(scope_id, "must be provider:model")
    return name


def _invalid(given: str, why: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "value_error", "loc": ("path", "scope_id"), "msg": f"Value error, {why}", "input": given}]
    )


def _effective(parts: Parts) -> dict[tuple[Scope, str], dict[str, Any]]:
    """The database beats the configuration."""
    found = {
        (scope, name): _info(scope, name, limits, "config", None, None)
        for (scope, name), limits in parts.accounts.policies.configured.items()
    }
    return found | {(row.scope, row.scope_id): _from_row(row) for row in parts.accounts.limits.every()}


def _from_row(row: LimitRow) -> dict[str, Any]:
    return _info(row.scope, row.scope_id, row.limits, "database", row.created_at, row.updated_at)


def _info(
    scope: Scope,
    name: str,
    limits: Limits,
    source: Literal["database", "config"],
    created_at: datetime | None,
    updated_at: datetime | None,
) -> dict[str, Any]:
    return SharedLimitsInfo(
        scope=scope,
        id=name,
        limits=LimitsBody(**{field: getattr(limits, field) for field in LimitsBody.model_fields}),
        source=source,
        created_at=created_at,
        updated_at=updated_at,
    ).model_dump()
