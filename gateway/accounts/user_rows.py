"""Users in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, insert, select, update

from gateway.accounts.key_rows import holding_of, limits_of
from gateway.accounts.records import UserRecord
from gateway.accounts.store import Change
from gateway.accounts.tables import budget_holders, users

_WITH_BUDGET = select(
    users,
    budget_holders.c.budget_id,
    budget_holders.c.started_at,
    budget_holders.c.since,
    budget_holders.c.next_reset_at,
).select_from(
    users.outerjoin(
        budget_holders, and_(budget_holders.c.scope == "user", budget_holders.c.scope_id == users.c.user_id)
    )
)


def by_id(connection: Connection, user_id: str) -> UserRecord | None:
    """Deleted ones too: see `UserRecord.deleted`."""
    row = connection.execute(_WITH_BUDGET.where(users.c.user_id == user_id)).mappings().first()
    return None if row is None else _record(row)


def page(connection: Connection, skip: int, limit: int) -> list[UserRecord]:
    """In the order of their making, without those that were deleted."""
    query = _WITH_BUDGET.where(users.c.deleted_at.is_(None)).order_by(users.c.created_at, users.c.user_id)
    return [_record(row) for row in connection.execute(query.offset(skip).limit(limit)).mappings()]


def changed_since(connection: Connection, version: int) -> list[UserRecord]:
    return [_record(row) for row in connection.execute(_WITH_BUDGET.where(users.c.version > version)).mappings()]


def add(
    change: Change,
    user_id: str,
    *,
    alias: str | None,
    blocked: bool = False,
    metadata: Mapping[str, Any] | None = None,
    limits: Mapping[str, int] | None = None,
) -> None:
    """A user that has not been there before."""
    change.connection.execute(
        insert(users).values(
            user_id=user_id,
            alias=alias,
            blocked=blocked,
            metadata=dict(metadata or {}),
            limits=limits,
            spend_since=change.at,
            created_at=change.at,
            updated_at=change.at,
            version=change.version,
        )
    )
    change.users.add(user_id)


def alter(change: Change, user_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of a user that is there."""
    new = {**values, "updated_at": change.at, "version": change.version}
    change.connection.execute(update(users).where(users.c.user_id == user_id).values(new))
    change.users.add(user_id)


def _record(row: RowMapping) -> UserRecord:
    return UserRecord(
        user_id=row["user_id"],
        alias=row["alias"],
        blocked=row["blocked"],
        deleted=row["deleted_at"] is not None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        spend_since=row["spend_since"],
        metadata=row["metadata"],
        limits=limits_of(row["limits"]),
        holding=holding_of(row),
    )
