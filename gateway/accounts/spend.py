"""What was spent, from the ledger: rows that the usage worker has stored. Blocks; money is whole pico-dollars."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts.policy import Scope
from gateway.accounts.records import UserRecord
from ledger import spending
from ledger.filters import UsageFilter
from ledger.summaries import totals


def spent(ledger: Engine, scope: Scope, scope_id: str, since: datetime, until: datetime | None = None) -> int:
    """Everything that one scope has spent from `since` on. Raises SQLAlchemyError when the ledger is away."""
    return totals(ledger, _filter(scope, scope_id, since, until)).cost_pico


def spent_with(
    ledger: Engine, scope: Scope, scope_id: str, since: datetime, events: Callable[[], Collection[str]]
) -> tuple[int, set[str]]:
    """The same, and which of some events are in it: see `ledger.spending`. Raises SQLAlchemyError."""
    return spending.spent(ledger, _filter(scope, scope_id, since, None), events)


def spent_by_users(ledger: Engine, users: Iterable[UserRecord]) -> dict[str, int | None]:
    """What each has spent since its `spend_since`; None where the ledger cannot be asked."""
    found: dict[str, int | None] = {}
    for user in users:
        try:
            found[user.user_id] = spent(ledger, "user", user.user_id, user.spend_since)
        except SQLAlchemyError:
            return {**found, **{each.user_id: None for each in users if each.user_id not in found}}
    return found


def _filter(scope: Scope, scope_id: str, since: datetime, until: datetime | None) -> UsageFilter:
    match scope:
        case "user":
            return UsageFilter(start=since, end=until, user_id=scope_id)
        case "key":
            return UsageFilter(start=since, end=until, key_id=scope_id)
        case "provider":
            return UsageFilter(start=since, end=until, provider=scope_id)
        case "model":
            provider, _, model = scope_id.partition(":")
            return UsageFilter(start=since, end=until, provider=provider, model=model)
        case "tag":
            name, _, value = scope_id.partition("=")
            return UsageFilter(start=since, end=until, tag=(name, value))
        case "global":
            return UsageFilter(start=since, end=until)
