"""Budgets: making and changing them, who holds them, and the turn of their periods. All of it blocks."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from gateway.accounts import budget_rows, key_rows, user_rows
from gateway.accounts.budget_rows import Holder, Reset
from gateway.accounts.periods import current, take_up
from gateway.accounts.policy import Scope
from gateway.accounts.records import Budget
from gateway.accounts.store import AccountStore, Actor, Change
from wire.errors import NotFound

_log = logging.getLogger(__name__)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class HeldBudget:
    """A budget and the scopes that it was given itself; users and keys, of which there may be many, name theirs."""

    budget: Budget
    holders: tuple[Holder, ...]

    def scopes(self) -> list[tuple[Scope, str]]:
        return [(holder.scope, holder.scope_id) for holder in self.holders]


class Budgets:
    """Methods raise NotFound for what is not there, SQLAlchemyError when the database is away."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def create(self, actor: Actor, values: Mapping[str, Any], scopes: Sequence[tuple[Scope, str]]) -> HeldBudget:
        """`values` are fields of `Budget`."""
        with self._store.changing(actor) as change:
            budget = Budget(budget_id=str(uuid.uuid4()), created_at=change.at, updated_at=change.at, **values)
            budget_rows.add(change, budget)
            _share(change, budget, (), scopes)
            held = _held(change.connection, budget.budget_id)
            change.note("create", "budget", budget.budget_id, after=described(held))
        return held

    def get(self, budget_id: str) -> HeldBudget:
        with self._store.reading() as connection:
            return _held(connection, budget_id)

    def page(self, skip: int, limit: int) -> list[HeldBudget]:
        with self._store.reading() as connection:
            found = budget_rows.page(connection, skip, limit)
            shared = budget_rows.shared_holders(connection, [each.budget_id for each in found])
        return [HeldBudget(b, tuple(h for h in shared if h.holding.budget_id == b.budget_id)) for b in found]

    def alter(
        self, actor: Actor, budget_id: str, values: Mapping[str, Any], scopes: Sequence[tuple[Scope, str]] | None
    ) -> HeldBudget:
        """Set fields of the budget. A new duration or period counts from each holder's next reset on; who had none
        begins a first one now. `scopes` None: they stay."""
        with self._store.changing(actor) as change:
            before = _held(change.connection, budget_id)
            budget = replace(before.budget, updated_at=change.at, **values)
            budget_rows.put(change, budget)
            _begin(change, budget)
            if scopes is not None:
                _share(change, budget, before.scopes(), scopes)
            after = _held(change.connection, budget_id)
            change.note("update", "budget", budget_id, before=described(before), after=described(after))
        return after

    def delete(self, actor: Actor, budget_id: str) -> None:
        """Whoever holds it holds none from now on."""
        with self._store.changing(actor) as change:
            before = _held(change.connection, budget_id)
            _touch(change, budget_rows.remove(change, budget_id))
            change.note("delete", "budget", budget_id, before=described(before))

    def resets(self, budget_id: str, skip: int, limit: int) -> list[Reset]:
        """Periods that ended, newest first; also of a budget that was deleted."""
        with self._store.reading() as connection:
            found = budget_rows.resets(connection, budget_id, skip, limit)
            if not found:
                _found(budget_rows.by_id(connection, budget_id), budget_id)
        return found

    def turn(self) -> int:
        """Move holders whose period has ended into the present one, and put the end on record; how many."""
        with self._store.reading() as connection:
            if not budget_rows.due(connection, datetime.now(UTC), 1):
                return 0
        with self._store.changing(Actor("clock")) as change:
            budgets = budget_rows.every(change.connection)
            due = budget_rows.due(change.connection, change.at, _AT_ONCE)
            for holder in due:
                now = current(budgets[holder.holding.budget_id], holder.holding, change.at)
                budget_rows.move_on(change, holder, now)
                if holder.scope == "user":
                    user_rows.alter(change, holder.scope_id, {"spend_since": now.since})
                elif holder.scope == "key":
                    key_rows.alter(change, holder.scope_id, {"spend_since": now.since})
            _touch(change, due)
        return len(due)


def described(held: HeldBudget) -> dict[str, Any]:
    """For the audit log."""
    budget = held.budget
    return {
        "name": budget.name,
        "max_budget": None if budget.max_budget is None else format(budget.max_budget, "f"),
        "budget_duration_sec": budget.duration_seconds,
        "period": budget.period,
        "zone": budget.zone,
        "soft_threshold": None if budget.soft_threshold is None else format(budget.soft_threshold, "f"),
        "scopes": [f"{scope} {scope_id}" for scope, scope_id in held.scopes()],
    }


def _share(change: Change, budget: Budget, old: Sequence[tuple[Scope, str]], new: Sequence[tuple[Scope, str]]) -> None:
    """Have exactly these scopes hold it, beside users and keys. What they spend counts from now on."""
    for scope, scope_id in old:
        if (scope, scope_id) not in new:
            budget_rows.let_go(change, scope, scope_id, [budget.budget_id])
    for scope, scope_id in dict.fromkeys(new):
        if (scope, scope_id) not in old:
            budget_rows.hold(change, scope, scope_id, take_up(budget, change.at, change.at))


def _touch(change: Change, holders: Sequence[Holder]) -> None:
    """Users and keys among them are different now."""
    for holder in holders:
        if holder.scope == "user":
            user_rows.alter(change, holder.scope_id, {})
        elif holder.scope == "key":
            key_rows.alter(change, holder.scope_id, {})


def _begin(change: Change, budget: Budget) -> None:
    """A budget that has periods now begins the first one of whoever has none."""
    if budget.duration_seconds is None and budget.period is None:
        return
    idle = [h for h in budget_rows.holders(change.connection, budget.budget_id) if h.holding.next_reset_at is None]
    for holder in idle:
        budget_rows.let_go(change, holder.scope, holder.scope_id, [budget.budget_id])
        budget_rows.hold(change, holder.scope, holder.scope_id, take_up(budget, change.at, holder.holding.since))
    _touch(change, idle)


def _held(connection: Connection, budget_id: str) -> HeldBudget:
    budget = _found(budget_rows.by_id(connection, budget_id), budget_id)
    return HeldBudget(budget, tuple(budget_rows.shared_holders(connection, [budget_id])))


def _found(budget: Budget | None, budget_id: str) -> Budget:
    if budget is None:
        raise NotFound(f"Budget with id '{budget_id}' not found")
    return budget
