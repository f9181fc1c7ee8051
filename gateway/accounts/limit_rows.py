"""Limits that a model, a provider or everybody shares, in the database. Those of keys and users are in their rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, insert, select, update

from gateway.accounts.key_rows import limits_json
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.store import Change
from gateway.accounts.tables import limits as table


@dataclass(frozen=True, slots=True)
class LimitRow:
    """The limits of one scope."""

    scope: Scope
    scope_id: str
    limits: Limits
    created_at: datetime
    updated_at: datetime


def every(connection: Connection) -> list[LimitRow]:
    """By scope and id."""
    query = select(table).order_by(table.c.scope, table.c.scope_id)
    return [_row(row) for row in connection.execute(query).mappings()]


def of(connection: Connection, scope: Scope, scope_id: str) -> LimitRow | None:
    row = connection.execute(select(table).where(_is(scope, scope_id))).mappings().first()
    return None if row is None else _row(row)


def put(change: Change, scope: Scope, scope_id: str, limits: Limits) -> LimitRow:
    """Set them, instead of whichever there were."""
    values = {"limits": limits_json(limits), "updated_at": change.at}
    if not change.connection.execute(update(table).where(_is(scope, scope_id)).values(values)).rowcount:
        new = {"scope": scope, "scope_id": scope_id, "created_at": change.at, **values}
        change.connection.execute(insert(table).values(new))
    return _row(change.connection.execute(select(table).where(_is(scope, scope_id))).mappings().one())


def remove(change: Change, scope: Scope, scope_id: str) -> None:
    change.connection.execute(delete(table).where(_is(scope, scope_id)))


def _is(scope: Scope, scope_id: str) -> ColumnElement[bool]:
    return and_(table.c.scope == scope, table.c.scope_id == scope_id)


def _row(row: RowMapping) -> LimitRow:
    return LimitRow(row["scope"], row["scope_id"], Limits(**row["limits"]), row["created_at"], row["updated_at"])
