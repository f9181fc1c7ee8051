"""`/v1/budgets`: templates that users, keys, models, providers, tags or everybody hold. For the master key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts.budget_rows import EVERYBODY, Holder
from gateway.accounts.budgets import HeldBudget
from gateway.accounts.policy import Scope
from gateway.accounts.scopes import canonical
from gateway.accounts.spend import spent
from gateway.models import model_key
from gateway.parts import Parts
from gateway.routes.deps import ActorDep, MasterRoute, PartsDep
from gateway.routes.exact_json import dollars, exact_json
from gateway.routes.fields import Body, Dollars, Identifier, Limit, Name, PathId, Skip, Zone, countable
from gateway.routing.providers import Provider

router = APIRouter(prefix="/v1/budgets", tags=["budgets"], route_class=MasterRoute)

Duration = Annotated[int, BeforeValidator(countable), Field(gt=0, le=100 * 366 * 86_400)]
Share = Annotated[Dollars, Field(gt=0, le=1)]


class SharedScope(Body):
    """Who shares the budget. `id`: `provider:model`, a provider's name, `tag=value`; none for `global`. Users and keys
    name their budget themselves."""

    scope: Literal["model", "provider", "tag", "global"]
    id: Identifier | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.id is None) != (self.scope == "global"):
            raise ValueError("id belongs to every scope but global")
        if self.scope == "model" and not all(model_key(self.id or "").partition(":")):
            raise ValueError("id must be provider:model")
        if self.scope == "tag" and not all((self.id or "").partition("=")):
            raise ValueError("id must be name=value")
        return self

    def pair(self, providers: Mapping[str, Provider]) -> tuple[Scope, str]:
        return self.scope, canonical(providers, self.scope, self.id or EVERYBODY)


class BudgetBody(Body):
    """`max_budget` null: only tracked. It resets every `budget_duration_sec`, or with each calendar `period` of
    `zone`, or never; setting one of the two clears the other. In an update what is absent stays, null clears."""

    max_budget: Dollars | None = None
    budget_duration_sec: Duration | None = None
    name: Name | None = None
    period: Literal["day", "week", "month"] | None = None
    zone: Annotated[Zone | None, Field(description="null: as it is, or UTC")] = None
    soft_threshold: Annotated[Share | None, Field(description="share of the amount from which on to warn")] = None
    scopes: Annotated[list[SharedScope], Field(max_length=100)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.period is not None and self.budget_duration_sec is not None:
            raise ValueError("budget_duration_sec and period exclude each other")
        return self

    def values(self, names: set[str]) -> dict[str, Any]:
        """Those fields of `Budget`."""
        fields = {"max_budget", "name", "period", "zone", "soft_threshold"}
        values = {name: getattr(self, name) for name in names & fields}
        if self.zone is None:
            values.pop("zone", None)
        if "budget_duration_sec" in names:
            values["duration_seconds"] = self.budget_duration_sec
        if self.period is not None:
            values["duration_seconds"] = None
        if self.budget_duration_sec is not None:
            values["period"] = None
        return values


class ScopeSpend(BaseModel):
    scope: str
    id: str
    spend: Decimal | None
    spend_since: datetime
    next_budget_reset_at: datetime | None


class BudgetInfo(BaseModel):
    """Amounts are exact US dollars. `scopes` are those that share it; users and keys that hold it are not among them.
    `spend` is null while the ledger cannot be asked."""

    budget_id: str
    max_budget: Decimal | None
    budget_duration_sec: int | None
    created_at: datetime
    updated_at: datetime
    name: str | None
    period: str | None
    zone: str
    soft_threshold: Decimal | None
    scopes: list[ScopeSpend]


class ResetLog(BaseModel):
    """A period that ended. `previous_spend` is read from the ledger: rows that come in late still count."""

    budget_id: str
    scope: str
    scope_id: str
    user_id: str | None
    previous_spend: Decimal | None
    reset_at: datetime
    next_reset_at: datetime | None


@router.post("", summary="Make a budget", response_model=BudgetInfo)
def create_budget(body: BudgetBody, parts: PartsDep, actor: ActorDep) -> Response:
    values = {"zone": "UTC", **body.values(set(BudgetBody.model_fields))}
    held = parts.accounts.budgets.create(actor, values, _pairs(parts, body))
    return exact_json(_shown(parts, held))


@router.get("", summary="All budgets, oldest first", response_model=list[BudgetInfo])
def list_budgets(parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    return exact_json([_shown(parts, held) for held in parts.accounts.budgets.page(skip, limit)])


@router.get("/{budget_id}", summary="One budget", response_model=BudgetInfo)
def get_budget(budget_id: PathId, parts: PartsDep) -> Response:
    return exact_json(_shown(parts, parts.accounts.budgets.get(budget_id)))


@router.patch("/{budget_id}", summary="Change a budget for all who hold it", response_model=BudgetInfo)
def update_budget(budget_id: PathId, body: BudgetBody, parts: PartsDep, actor: ActorDep) -> Response:
    """A new duration or period counts from each holder's next reset on."""
    scopes = _pairs(parts, body) if "scopes" in body.model_fields_set else None
    held = parts.accounts.budgets.alter(actor, budget_id, body.values(body.model_fields_set), scopes)
    return exact_json(_shown(parts, held))


@router.delete("/{budget_id}", summary="Delete a budget; whoever holds it holds none", status_code=204)
def delete_budget(budget_id: PathId, parts: PartsDep, actor: ActorDep) -> Response:
    parts.accounts.budgets.delete(actor, budget_id)
    return Response(status_code=204)


@router.get("/{budget_id}/reset-logs", summary="Its periods that ended, newest first", response_model=list[ResetLog])
def list_resets(budget_id: PathId, parts: PartsDep, skip: Skip = 0, limit: Limit = 100) -> Response:
    return exact_json(
        [
            ResetLog(
                budget_id=reset.budget_id,
                scope=reset.scope,
                scope_id=reset.scope_id,
                user_id=reset.scope_id if reset.scope == "user" else None,
                previous_spend=_spend(parts, reset.scope, reset.scope_id, reset.since, reset.reset_at),
                reset_at=reset.reset_at,
                next_reset_at=reset.next_reset_at,
            ).model_dump()
            for reset in parts.accounts.budgets.resets(budget_id, skip, limit)
        ]
    )


def _pairs(parts: Parts, body: BudgetBody) -> list[tuple[Scope, str]]:
    return [scope.pair(parts.models.providers) for scope in body.scopes]


def _shown(parts: Parts, held: HeldBudget) -> dict[str, Any]:
    budget = held.budget
    return BudgetInfo(
        budget_id=budget.budget_id,
        max_budget=budget.max_budget,
        budget_duration_sec=budget.duration_seconds,
        created_at=budget.created_at,
        updated_at=budget.updated_at,
        name=budget.name,
        period=budget.period,
        zone=budget.zone,
        soft_threshold=budget.soft_threshold,
        scopes=[_scope(parts, holder) for holder in held.holders],
    ).model_dump()


def _scope(parts: Parts, holder: Holder) -> ScopeSpend:
    since = holder.holding.since
    return ScopeSpend(
        scope=holder.scope,
        id=holder.scope_id,
        spend=_spend(parts, holder.scope, holder.scope_id, since, None),
        spend_since=since,
        next_budget_reset_at=holder.holding.next_reset_at,
    )


def _spend(parts: Parts, scope: Scope, scope_id: str, since: datetime, until: datetime | None) -> Decimal | None:
    try:
        return dollars(spent(parts.ledger, scope, scope_id, since, until))
    except SQLAlchemyError:
        return None
