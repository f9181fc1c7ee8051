"""Limits of models, providers and everybody: setting them, and taking them back. All of it blocks."""

from __future__ import annotations

from typing import Any

from gateway.accounts import limit_rows
from gateway.accounts.key_rows import limits_json
from gateway.accounts.limit_rows import LimitRow
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.store import AccountStore, Actor
from wire.errors import NotFound


class SharedLimits:
    """Methods raise SQLAlchemyError when the database is away."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def every(self) -> list[LimitRow]:
        """By scope and id."""
        with self._store.reading() as connection:
            return limit_rows.every(connection)

    def put(self, actor: Actor, scope: Scope, scope_id: str, limits: Limits) -> LimitRow:
        """Set the limits of a scope, instead of whichever it had."""
        with self._store.changing(actor) as change:
            before = limit_rows.of(change.connection, scope, scope_id)
            row = limit_rows.put(change, scope, scope_id, limits)
            change.note("set", "limits", _name(scope, scope_id), before=described(before), after=described(row))
        return row

    def remove(self, actor: Actor, scope: Scope, scope_id: str) -> None:
        """Raises NotFound."""
        with self._store.changing(actor) as change:
            before = limit_rows.of(change.connection, scope, scope_id)
            if before is None:
                raise NotFound(f"No limits are set for {_name(scope, scope_id)}")
            limit_rows.remove(change, scope, scope_id)
            change.note("delete", "limits", _name(scope, scope_id), before=described(before))


def described(row: LimitRow | None) -> dict[str, Any] | None:
    """For the audit log."""
    return None if row is None else limits_json(row.limits)


def _name(scope: Scope, scope_id: str) -> str:
    return f"{scope} {scope_id}"
