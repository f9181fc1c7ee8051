"""Making, changing, deleting and reviving users. All of it blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.accounts import budget_rows, key_rows, user_rows
from gateway.accounts.key_rows import limits_json
from gateway.accounts.periods import take_up
from gateway.accounts.records import UserRecord
from gateway.accounts.store import AccountStore, Actor, Change
from wire.errors import CallerError, NotFound


class Users:
    """Methods raise NotFound for what is not there, SQLAlchemyError when the database is away."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def create(self, actor: Actor, user_id: str, values: Mapping[str, Any], budget_id: str | None) -> UserRecord:
        """A new user, or one that was deleted and lives again: as new, but with its usage and the day it was made.

        `values` are columns. Raises CallerError (409) for one that is there.
        """
        with self._store.changing(actor) as change:
            old = user_rows.by_id(change.connection, user_id)
            if old is not None and not old.deleted:
                raise CallerError(f"User with id '{user_id}' already exists", status=409, code="conflict")
            if old is None:
                user_rows.add(change, user_id, **values)
            else:
                user_rows.alter(change, user_id, {**values, "deleted_at": None, "spend_since": change.at})
            if budget_id is not None:
                _take(change, _there(change, user_id), budget_id)
            user = _there(change, user_id)
            change.note("create" if old is None else "revive", "user", user_id, after=described(user))
        return user

    def get(self, user_id: str) -> UserRecord:
        with self._store.reading() as connection:
            return _found(user_rows.by_id(connection, user_id), user_id)

    def exists(self, user_id: str) -> bool:
        """Whether there is or was one."""
        with self._store.reading() as connection:
            return user_rows.by_id(connection, user_id) is not None

    def page(self, skip: int, limit: int) -> list[UserRecord]:
        with self._store.reading() as connection:
            return user_rows.page(connection, skip, limit)

    def alter(self, actor: Actor, user_id: str, values: Mapping[str, Any]) -> UserRecord:
        """Set what is in `values` (columns, and `budget_id`); None clears."""
        with self._store.changing(actor) as change:
            before = _there(change, user_id)
            user_rows.alter(change, user_id, {name: value for name, value in values.items() if name != "budget_id"})
            if "budget_id" in values:
                _take(change, before, values["budget_id"])
            after = _there(change, user_id)
            change.note("update", "user", user_id, before=described(before), after=described(after))
        return after

    def delete(self, actor: Actor, user_id: str) -> None:
        """Its usage stays, its keys are inactive for good."""
        with self._store.changing(actor) as change:
            before = _there(change, user_id)
            budget_rows.let_go(change, "user", user_id)
            user_rows.alter(change, user_id, {"deleted_at": change.at})
            for key in key_rows.of_user(change.connection, user_id):
                key_rows.alter(change, key.id, {"is_active": False})
            change.note("delete", "user", user_id, before=described(before))


def described(user: UserRecord) -> dict[str, Any]:
    """For the audit log."""
    return {
        "alias": user.alias,
        "blocked": user.blocked,
        "metadata": dict(user.metadata),
        "limits": limits_json(user.limits),
        "budget_id": user.holding.budget_id if user.holding else None,
    }


def _take(change: Change, user: UserRecord, budget_id: str | None) -> None:
    """Hold this budget instead of whichever it was. The period begins now; what was spent still counts."""
    budget_rows.let_go(change, "user", user.user_id)
    if budget_id is None:
        return
    budget = budget_rows.by_id(change.connection, budget_id)
    if budget is None:
        raise NotFound(f"Budget with id '{budget_id}' not found", param="budget_id")
    budget_rows.hold(change, "user", user.user_id, take_up(budget, change.at, user.spend_since))


def _there(change: Change, user_id: str) -> UserRecord:
    return _found(user_rows.by_id(change.connection, user_id), user_id)


def _found(user: UserRecord | None, user_id: str) -> UserRecord:
    if user is None or user.deleted:
        raise NotFound(f"User with id '{user_id}' not found")
    return user
