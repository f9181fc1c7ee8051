"""Prices in the database: what the operator has set for a model, from when on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update

from gateway.accounts.store import Change
from gateway.accounts.tables import prices


@dataclass(frozen=True, slots=True)
class PriceRow:
    """`price` has the names of `gateway.pricing.from_config`."""

    model_key: str
    effective_at: datetime
    price: Mapping[str, Decimal]
    created_at: datetime
    updated_at: datetime


def every(connection: Connection) -> list[PriceRow]:
    """Ascending by time."""
    query = select(prices).order_by(prices.c.effective_at)
    return [_row(row) for row in connection.execute(query).mappings()]


def of_key(connection: Connection, model_key: str) -> list[PriceRow]:
    """Ascending by time."""
    query = select(prices).where(_is(model_key)).order_by(prices.c.effective_at)
    return [_row(row) for row in connection.execute(query).mappings()]


def put(change: Change, model_key: str, effective_at: datetime, price: Mapping[str, Decimal]) -> PriceRow:
    """Set the price from that moment on, until the next one that is set."""
    here = _is(model_key) & (prices.c.effective_at == effective_at)
    values = {"price": {name: format(value, "f") for name, value in price.items()}, "updated_at": change.at}
    if not change.connection.execute(update(prices).where(here).values(values)).rowcount:
        new = {"model_key": model_key, "effective_at": effective_at, "created_at": change.at, **values}
        change.connection.execute(insert(prices).values(new))
    return _row(change.connection.execute(select(prices).where(here)).mappings().one())


def remove(change: Change, model_key: str, effective_at: datetime | None) -> None:
    """One row, or all of a key."""
    query = delete(prices).where(_is(model_key))
    if effective_at is not None:
        query = query.where(prices.c.effective_at == effective_at)
    change.connection.execute(query)


def _is(model_key: str) -> ColumnElement[bool]:
    """Whichever way its letters were written."""
    return func.lower(prices.c.model_key) == func.lower(model_key)


def _row(row: RowMapping) -> PriceRow:
    return PriceRow(
        model_key=row["model_key"],
        effective_at=row["effective_at"],
        price={name: Decimal(value) for name, value in row["price"].items()},
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
