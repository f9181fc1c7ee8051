"""Budgets, who holds them, and what was reset, in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from gateway.accounts.key_rows import holding_of
from gateway.accounts.policy import Scope
from gateway.accounts.records import Budget, Holding
from gateway.accounts.store import Change
from gateway.accounts.tables import budget_holders, budget_resets, budgets
from gateway.ids import uuid7

EVERYBODY = "*"  # the scope_id of the scope `global`


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a budget, and since when."""

    scope: Scope
    scope_id: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class Reset:
    """A period that ended."""

    id: str
    budget_id: str
    scope: Scope
    scope_id: str
    since: datetime
    reset_at: datetime
    next_reset_at: datetime | None


def by_id(connection: Connection, budget_id: str) -> Budget | None:
    row = connection.execute(select(budgets).where(budgets.c.budget_id == budget_id)).mappings().first()
    return None if row is None else _budget(row)


def page(connection: Connection, skip: int, limit: int) -> list[Budget]:
    """In the order of their making."""
    query = select(budgets).order_by(budgets.c.created_at, budgets.c.budget_id).offset(skip).limit(limit)
    return [_budget(row) for row in connection.execute(query).mappings()]


def every(connection: Connection) -> dict[str, Budget]:
    return {row["budget_id"]: _budget(row) for row in connection.execute(select(budgets)).mappings()}


def add(change: Change, budget: Budget) -> None:
    change.connection.execute(insert(budgets).values(budget_id=budget.budget_id, **_columns(budget)))


def put(change: Change, budget: Budget) -> None:
    """Write all of a budget that is there."""
    change.connection.execute(update(budgets).where(budgets.c.budget_id == budget.budget_id).values(**_columns(budget)))


def remove(change: Change, budget_id: str) -> list[Holder]:
    """Delete it; whoever held it holds nothing now, and is returned. What was reset stays on record."""
    held = holders(change.connection, budget_id)
    change.connection.execute(delete(budget_holders).where(budget_holders.c.budget_id == budget_id))
    change.connection.execute(delete(budgets).where(budgets.c.budget_id == budget_id))
    return held


def holders(connection: Connection, budget_id: str) -> list[Holder]:
    """Everybody; there may be many."""
    query = select(budget_holders).where(budget_holders.c.budget_id == budget_id)
    return [_holder(row) for row in connection.execute(query).mappings()]


def shared_holders(connection: Connection, budget_ids: Collection[str] | None = None) -> list[Holder]:
    """Those that are neither users nor keys; of these budgets, or of all."""
    query = select(budget_holders).where(budget_holders.c.scope.not_in(("user", "key")))
    if budget_ids is not None:
        query = query.where(budget_holders.c.budget_id.in_(list(budget_ids)))
    return [_holder(row) for row in connection.execute(query.order_by("scope", "scope_id")).mappings()]


def due(connection: Connection, now: datetime, limit: int) -> list[Holder]:
    """Those whose period has ended."""
    query = select(budget_holders).where(budget_holders.c.next_reset_at <= now)
    return [_holder(row) for row in connection.execute(query.order_by("next_reset_at").limit(limit)).mappings()]


def hold(change: Change, scope: Scope, scope_id: str, holding: Holding) -> None:
    change.connection.execute(
        insert(budget_holders).values(
            scope=scope,
            scope_id=scope_id,
            budget_id=holding.budget_id,
            started_at=holding.started_at,
            since=holding.since,
            next_reset_at=holding.next_reset_at,
        )
    )


def let_go(change: Change, scope: Scope, scope_id: str, budget_ids: Iterable[str] | None = None) -> None:
    """Hold these no longer; None: none at all."""
    query = delete(budget_holders).where(budget_holders.c.scope == scope, budget_holders.c.scope_id == scope_id)
    if budget_ids is not None:
        query = query.where(budget_holders.c.budget_id.in_(list(budget_ids)))
    change.connection.execute(query)


def move_on(change: Change, holder: Holder, now: Holding) -> None:
    """Its period has ended: note what ended, and go on as `now`."""
    old, c = holder.holding, budget_holders.c
    change.connection.execute(
        insert(budget_resets).values(
            id=uuid7(),
            budget_id=old.budget_id,
            scope=holder.scope,
            scope_id=holder.scope_id,
            since=old.since,
            reset_at=old.next_reset_at,
            next_reset_at=now.next_reset_at,
        )
    )
    change.connection.execute(
        update(budget_holders)
        .where(c.scope == holder.scope, c.scope_id == holder.scope_id, c.budget_id == old.budget_id)
        .values(started_at=now.started_at, since=now.since, next_reset_at=now.next_reset_at)
    )


def resets(connection: Connection, budget_id: str, skip: int, limit: int) -> list[Reset]:
    """Newest first."""
    query = select(budget_resets).where(budget_resets.c.budget_id == budget_id).order_by(budget_resets.c.id.desc())
    return [Reset(**row) for row in connection.execute(query.offset(skip).limit(limit)).mappings()]


def _columns(budget: Budget) -> Mapping[str, Any]:
    return {
        "name": budget.name,
        "max_budget": _text(budget.max_budget),
        "duration_seconds": budget.duration_seconds,
        "period": budget.period,
        "zone": budget.zone,
        "soft_threshold": _text(budget.soft_threshold),
        "created_at": budget.created_at,
        "updated_at": budget.updated_at,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount, "f")


def _budget(row: RowMapping) -> Budget:
    return Budget(
        budget_id=row["budget_id"],
        name=row["name"],
        max_budget=None if row["max_budget"] is None else Decimal(row["max_budget"]),
        duration_seconds=row["duration_seconds"],
        period=row["period"],
        zone=row["zone"],
        soft_threshold=None if row["soft_threshold"] is None else Decimal(row["soft_threshold"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _holder(row: RowMapping) -> Holder:
    holding = holding_of(row)
    assert holding is not None, "the column is not nullable here"  # noqa: S101
    return Holder(row["scope"], row["scope_id"], holding)
