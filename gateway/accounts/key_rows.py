"""Virtual keys in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, insert, or_, select, update

from gateway.accounts.policy import Limits
from gateway.accounts.records import Holding, KeyRecord
from gateway.accounts.store import Change
from gateway.accounts.tables import budget_holders, keys

_WITH_BUDGET = select(
    keys,
    budget_holders.c.budget_id,
    budget_holders.c.started_at,
    budget_holders.c.since,
    budget_holders.c.next_reset_at,
).select_from(
    keys.outerjoin(budget_holders, and_(budget_holders.c.scope == "key", budget_holders.c.scope_id == keys.c.id))
)
_ALIVE = keys.c.deleted_at.is_(None)


def by_hash(connection: Connection, key_hash: str) -> KeyRecord | None:
    """The key whose present or previous hash this is."""
    either = or_(keys.c.key_hash == key_hash, keys.c.previous_hash == key_hash)
    row = connection.execute(_WITH_BUDGET.where(either, _ALIVE)).mappings().first()
    return None if row is None else _record(row)


def by_id(connection: Connection, key_id: str) -> KeyRecord | None:
    row = connection.execute(_WITH_BUDGET.where(keys.c.id == key_id, _ALIVE)).mappings().first()
    return None if row is None else _record(row)


def page(connection: Connection, skip: int, limit: int) -> list[KeyRecord]:
    """In the order of their making."""
    query = _WITH_BUDGET.where(_ALIVE).order_by(keys.c.created_at, keys.c.id).offset(skip).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def any_key(connection: Connection) -> bool:
    """Whether there is or was one."""
    return connection.execute(select(keys.c.id).limit(1)).first() is not None


def changed_since(connection: Connection, version: int) -> tuple[list[KeyRecord], list[str]]:
    """Keys changed after that version, and the ids of those that were deleted."""
    rows = list(connection.execute(_WITH_BUDGET.where(keys.c.version > version)).mappings())
    gone = [row["id"] for row in rows if row["deleted_at"]]
    return [_record(row) for row in rows if not row["deleted_at"]], gone


def of_user(connection: Connection, user_id: str) -> list[KeyRecord]:
    rows = connection.execute(_WITH_BUDGET.where(keys.c.user_id == user_id, _ALIVE)).mappings()
    return [_record(row) for row in rows]


def add(change: Change, record: KeyRecord) -> None:
    change.connection.execute(
        insert(keys).values(
            id=record.id,
            key_hash=record.key_hash,
            key_prefix=record.key_prefix,
            key_name=record.key_name,
            user_id=record.user_id,
            created_at=record.created_at,
            spend_since=record.spend_since,
            expires_at=record.expires_at,
            is_active=record.is_active,
            metadata=dict(record.metadata),
            tags=dict(record.tags),
            allowed_models=None if record.allowed_models is None else list(record.allowed_models),
            limits=limits_json(record.limits),
            version=change.version,
        )
    )
    change.keys.add(record.id)


def alter(change: Change, key_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of a key that is there."""
    new = {**values, "version": change.version}
    change.connection.execute(update(keys).where(keys.c.id == key_id).values(new))
    change.keys.add(key_id)


def note_used(connection: Connection, key_ids: Iterable[str], at: datetime) -> None:
    """When they were last used. Nobody needs to look again for that."""
    connection.execute(update(keys).where(keys.c.id.in_(list(key_ids))).values(last_used_at=at))


def limits_json(limits: Limits | None) -> dict[str, int] | None:
    """Only what is set; None when nothing is."""
    if limits is None:
        return None
    return {name: value for name, value in asdict(limits).items() if value is not None} or None


def limits_of(value: Mapping[str, int] | None) -> Limits | None:
    return Limits(**value) if value else None


def holding_of(row: RowMapping) -> Holding | None:
    """The joined columns of `account_budget_holders`."""
    if row["budget_id"] is None:
        return None
    return Holding(
        budget_id=row["budget_id"],
        started_at=row["started_at"],
        since=row["since"],
        next_reset_at=row["next_reset_at"],
    )


def _record(row: RowMapping) -> KeyRecord:
    allowed: Sequence[str] | None = row["allowed_models"]
    return KeyRecord(
        id=row["id"],
        key_hash=row["key_hash"],
        key_prefix=row["key_prefix"],
        key_name=row["key_name"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        spend_since=row["spend_since"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        is_active=row["is_active"],
        metadata=row["metadata"],
        tags=row["tags"],
        allowed_models=None if allowed is None else tuple(allowed),
        limits=limits_of(row["limits"]),
        previous_hash=row["previous_hash"],
        previous_until=row["previous_until"],
        holding=holding_of(row),
    )
