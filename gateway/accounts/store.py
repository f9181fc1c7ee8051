"""The accounts database as a place: one transaction for each change, one consistent view for each read.

What is read and written stands beside its idea: `key_rows`, `user_rows`, `budget_rows`, `price_rows`, `audit`. All of
it blocks; services call it from a thread, never on the hot path. SQLAlchemy's errors pass through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gateway.accounts.tables import audit_log, changes
from gateway.ids import uuid7
from ledger.engine import reading
from wire.errors import CallerError, NotReady

_MAX_ID = 255
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: the master key over HTTP, or somebody on this machine's command line."""

    name: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What others must look at again: ids of keys and users, and whatever else the counter stands for."""

    counter: int
    keys: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


@dataclass(slots=True)
class Change:
    """A transaction that changes something. `version` goes into each row that it touches."""

    connection: Connection
    actor: Actor
    version: int
    at: datetime
    keys: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)

    def note(
        self,
        action: str,
        subject: str,
        subject_id: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the audit log's line, in this transaction. `before` and `after` are JSON, without any secret."""
        row = {
            "id": uuid7(),
            "at": self.at,
            "actor": self.actor.name,
            "request_id": self.actor.request_id,
            "action": action,
            "subject": subject,
            "subject_id": subject_id[:_MAX_ID],
            "before": before,
            "after": after,
        }
        self.connection.execute(insert(audit_log).values(row))


class AccountStore:
    """One per process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._listeners: list[Callable[[Changed], None]] = []

    def on_change(self, listener: Callable[[Changed], None]) -> None:
        """Have `listener` called from the changing thread after each commit."""
        self._listeners.append(listener)

    def ping(self) -> None:
        """Raises when the database does not answer."""
        with self.reading() as connection:
            connection.execute(select(1))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view."""
        with reading(self.engine) as connection:
            yield connection

    @contextmanager
    def changing(self, actor: Actor) -> Iterator[Change]:
        """Committed at the end, rolled back when something is raised. Changes come one after the other.

        Raises CallerError (409) when another change got in between.
        """
        try:
            with self.engine.begin() as connection:
                # First of all: it locks the row until the commit, so versions become visible in their order.
                connection.execute(update(changes).values(counter=changes.c.counter + 1))
                change = Change(connection, actor, counter(connection), datetime.now(UTC))
                yield change
        except IntegrityError as error:
            raise CallerError("Somebody else has just changed this, try again", status=409, code="conflict") from error
        changed = Changed(change.version, frozenset(change.keys), frozenset(change.users))
        for listener in self._listeners:
            listener(changed)


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """What `work` returns. Raises NotReady when the database is away."""
    try:
        return await asyncio.to_thread(work)
    except SQLAlchemyError as error:
        raise NotReady("The accounts database cannot be reached, try again", code="database_away") from error


def counter(connection: Connection) -> int:
    """The change counter as this connection sees it."""
    return int(connection.execute(select(changes.c.counter)).scalar_one_or_none() or 0)
