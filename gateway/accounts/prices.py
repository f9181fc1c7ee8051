"""Prices that are set over the API: changed in the database, read from memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection

from gateway.accounts import price_rows
from gateway.accounts.directory import Directory
from gateway.accounts.price_rows import PriceRow
from gateway.accounts.store import AccountStore, Actor
from gateway.pricing import Price, from_config
from wire.errors import NotFound

_Item = TypeVar("_Item")
_History = tuple[list[datetime], list[PriceRow], list[Price]]


class Prices:
    """`at`, `row_at` and `keys` cost no I/O; all else blocks, and raises SQLAlchemyError when the database is away.
    Letters of a model's name count in either case."""

    def __init__(self, store: AccountStore, directory: Directory) -> None:
        self._store = store
        self._known: dict[str, _History] = {}
        directory.on_rules(self._read)

    def at(self, model_key: str, moment: datetime) -> Price | None:
        """What `provider:model` costs at a moment, where it was set here."""
        history = self._known.get(model_key.lower())
        return None if history is None else _last(history[0], history[2], moment)

    def row_at(self, model_key: str, moment: datetime) -> PriceRow | None:
        """The same with its times."""
        history = self._known.get(model_key.lower())
        return None if history is None else _last(history[0], history[1], moment)

    def keys(self) -> Sequence[str]:
        """All models that a price was set for."""
        return [rows[-1].model_key for _, rows, _ in self._known.values()]

    def put(
        self, actor: Actor, model_key: str, price: Mapping[str, Decimal], effective_at: datetime | None
    ) -> PriceRow:
        """Set a price from a moment on; None: from now."""
        with self._store.changing(actor) as change:
            moment = effective_at or change.at
            rows = price_rows.of_key(change.connection, model_key)
            before = _last([each.effective_at for each in rows], rows, moment)
            row = price_rows.put(change, model_key, moment, price)
            change.note("set", "price", model_key, before=described(before), after=described(row))
        return row

    def rows(self, model_key: str) -> list[PriceRow]:
        """The history of a model's price here, oldest first; empty when none was set."""
        with self._store.reading() as connection:
            return price_rows.of_key(connection, model_key)

    def remove(self, actor: Actor, model_key: str, effective_at: datetime | None) -> None:
        """One price, or a model's whole history. Raises NotFound."""
        with self._store.changing(actor) as change:
            rows = price_rows.of_key(change.connection, model_key)
            gone = [row for row in rows if effective_at in (None, row.effective_at)]
            if not gone:
                raise NotFound(f"Pricing for model '{model_key}' not found")
            price_rows.remove(change, model_key, effective_at)
            for row in gone:
                change.note("delete", "price", model_key, before=described(row))

    def _read(self, connection: Connection) -> None:
        known: dict[str, _History] = {}
        for row in price_rows.every(connection):
            moments, rows, prices = known.setdefault(row.model_key.lower(), ([], [], []))
            moments.append(row.effective_at)
            rows.append(row)
            prices.append(from_config(row.price))
        self._known = known


def described(row: PriceRow | None) -> dict[str, Any] | None:
    """For the audit log."""
    if row is None:
        return None
    amounts = {name: format(value, "f") for name, value in row.price.items()}
    return {"effective_at": row.effective_at.isoformat(), **amounts}


def _last(moments: list[datetime], items: Sequence[_Item], moment: datetime) -> _Item | None:
    found = bisect_right(moments, moment)
    return items[found - 1] if found else None
