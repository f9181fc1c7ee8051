"""Making, changing, rotating and revoking virtual keys. All of it blocks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.accounts import budget_rows, key_rows, user_rows
from gateway.accounts.credentials import hash_key, new_key
from gateway.accounts.key_rows import limits_json, limits_of
from gateway.accounts.periods import take_up
from gateway.accounts.records import KeyRecord
from gateway.accounts.store import AccountStore, Actor, Change
from wire.errors import NotFound

_SHOWN = 8  # characters of a key that are kept, to tell keys apart


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key is made with. `key` is its plain text where that is given, not made."""

    key_name: str | None = None
    user_id: str | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    allowed_models: Sequence[str] | None = None
    limits: Mapping[str, int] | None = None
    budget_id: str | None = None
    key: str | None = None


class KeyIssuer:
    """Methods raise NotFound for what is not there, SQLAlchemyError when the database is away."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def create(self, actor: Actor, new: NewKey) -> tuple[KeyRecord, str]:
        """A new key and its plain text, which is told this once. Its user is made when unknown."""
        plain = new.key or new_key()
        key_id = str(uuid.uuid4())
        with self._store.changing(actor) as change:
            user_id = self._owner(change, new, key_id)
            record = KeyRecord(
                id=key_id,
                key_hash=hash_key(plain),
                key_prefix=plain[:_SHOWN],
                key_name=new.key_name,
                user_id=user_id,
                created_at=change.at,
                spend_since=change.at,
                expires_at=new.expires_at,
                metadata=new.metadata or {},
                tags=new.tags or {},
                allowed_models=None if new.allowed_models is None else tuple(new.allowed_models),
                limits=limits_of(new.limits),
            )
            key_rows.add(change, record)
            if new.budget_id is not None:
                record = self._hold(change, record, new.budget_id)
            change.note("create", "key", key_id, after=described(record))
        return record, plain

    def get(self, key_id: str) -> KeyRecord:
        with self._store.reading() as connection:
            return _there(key_rows.by_id(connection, key_id), key_id)

    def page(self, skip: int, limit: int) -> list[KeyRecord]:
        with self._store.reading() as connection:
            return key_rows.page(connection, skip, limit)

    def any_key(self) -> bool:
        """Whether a key was ever made."""
        with self._store.reading() as connection:
            return key_rows.any_key(connection)

    def alter(self, actor: Actor, key_id: str, values: Mapping[str, Any]) -> KeyRecord:
        """Set what is in `values` (columns, and `budget_id`); None clears."""
        with self._store.changing(actor) as change:
            before = _there(key_rows.by_id(change.connection, key_id), key_id)
            columns = {name: value for name, value in values.items() if name != "budget_id"}
            key_rows.alter(change, key_id, columns)
            if "budget_id" in values:
                self._hold(change, before, values["budget_id"])
            after = _there(key_rows.by_id(change.connection, key_id), key_id)
            change.note("update", "key", key_id, before=described(before), after=described(after))
        return after

    def rotate(self, actor: Actor, key_id: str, grace_seconds: int) -> tuple[KeyRecord, str]:
        """A new plain text for the same key. The old one is good for `grace_seconds` more, the one before it no longer.

        A key that expires goes on to expire then.
        """
        plain = new_key()
        with self._store.changing(actor) as change:
            before = _there(key_rows.by_id(change.connection, key_id), key_id)
            until = change.at + timedelta(seconds=grace_seconds)
            values = {
                "key_hash": hash_key(plain),
                "key_prefix": plain[:_SHOWN],
                "previous_hash": before.key_hash if grace_seconds else None,
                "previous_until": until if grace_seconds else None,
            }
            key_rows.alter(change, key_id, values)
            after = _there(key_rows.by_id(change.connection, key_id), key_id)
            change.note("rotate", "key", key_id, before=described(before), after=described(after))
        return after, plain

    def delete(self, actor: Actor, key_id: str) -> None:
        with self._store.changing(actor) as change:
            before = _there(key_rows.by_id(change.connection, key_id), key_id)
            budget_rows.let_go(change, "key", key_id)
            key_rows.alter(change, key_id, {"deleted_at": change.at, "is_active": False})
            change.note("delete", "key", key_id, before=described(before))

    def _owner(self, change: Change, new: NewKey, key_id: str) -> str:
        """The key's user, made when unknown. Raises NotFound for one that was deleted."""
        user_id = new.user_id or f"apikey-{key_id}"
        user = user_rows.by_id(change.connection, user_id)
        if user is None:
            virtual = f"Virtual user for API key: {new.key_name or 'unnamed'}"
            user_rows.add(change, user_id, alias=f"User {user_id}" if new.user_id else virtual)
        elif user.deleted:
            raise NotFound(f"User '{user_id}' has been deleted. Recreate via POST /v1/users first.")
        return user_id

    def _hold(self, change: Change, record: KeyRecord, budget_id: str | None) -> KeyRecord:
        """Hold this budget instead of whichever it was. What the key has spent since it was made, or since the last
        reset, counts."""
        budget_rows.let_go(change, "key", record.id)
        if budget_id is not None:
            budget = budget_rows.by_id(change.connection, budget_id)
            if budget is None:
                raise NotFound(f"Budget with id '{budget_id}' not found", param="budget_id")
            budget_rows.hold(change, "key", record.id, take_up(budget, change.at, record.spend_since))
        return _there(key_rows.by_id(change.connection, record.id), record.id)


def described(record: KeyRecord) -> dict[str, Any]:
    """For the audit log."""
    return {
        "key_name": record.key_name,
        "key_prefix": record.key_prefix,
        "user_id": record.user_id,
        "expires_at": record.expires_at.isoformat() if record.expires_at else None,
        "is_active": record.is_active,
        "metadata": dict(record.metadata),
        "tags": dict(record.tags),
        "allowed_models": None if record.allowed_models is None else list(record.allowed_models),
        "limits": limits_json(record.limits),
        "budget_id": record.holding.budget_id if record.holding else None,
    }


def _there(record: KeyRecord | None, key_id: str) -> KeyRecord:
    if record is None:
        raise NotFound(f"API key with id '{key_id}' not found")
    return record
