"""What a process knows of the accounts: keys and users that it has met, and all rules. Read on the hot path, no I/O.

It is told of changes twice over, by the change counter and by a broadcast (`gateway.accounts.changes`). A broadcast
drops what it names, so that a key that was revoked is refused even where the database cannot be read; the counter
brings what is new.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts import budget_rows, key_rows, limit_rows, user_rows
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.records import Budget, Holding, KeyRecord, UserRecord
from gateway.accounts.store import AccountStore, Changed, counter

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")
_KNOWN = 100_000
_UNKNOWN = 10_000
_UNKNOWN_SECONDS = 2.0
_REACHABLE_SECONDS = 3.0


class Bounded(Generic[_Item]):
    """A dictionary that forgets what was stored first when it is full. Writers take turns, readers need not."""

    def __init__(self, size: int) -> None:
        self._items: dict[str, _Item] = {}
        self._size = size
        self.get = self._items.get

    def store(self, name: str, item: _Item) -> None:
        self._items[name] = item
        if len(self._items) > self._size:
            del self._items[next(iter(self._items))]

    def replace(self, name: str, item: _Item) -> None:
        """Only what is there already."""
        if name in self._items:
            self._items[name] = item

    def drop(self, name: str) -> None:
        self._items.pop(name, None)

    def clear(self) -> None:
        self._items.clear()


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that is small enough to be known whole, as of one moment."""

    budgets: dict[str, Budget] = field(default_factory=dict)
    # Of what is neither a user nor a key, by scope and id.
    holdings: Mapping[tuple[Scope, str], Sequence[Holding]] = field(default_factory=dict)
    limits: Mapping[tuple[Scope, str], Limits] = field(default_factory=dict)


class Directory:
    """One per process. `load_*` and `refresh` block: call them from a thread."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._ids: Bounded[str] = Bounded(_KNOWN * 2)  # by hash: a key that was rotated has two for a while
        self._keys: Bounded[KeyRecord] = Bounded(_KNOWN)
        self._users: Bounded[UserRecord] = Bounded(_KNOWN)
        self._unknown: Bounded[float] = Bounded(_UNKNOWN)
        self._absent: Bounded[bool] = Bounded(_KNOWN)
        self._refreshing = threading.Lock()
        self._memory = threading.Lock()
        self._seen = -1  # the counter that memory is complete up to
        self._heard = -1  # the highest counter that anybody has told of
        self._watchers: list[Callable[[Connection], None]] = []
        self.rules = Rules()
        self.confirmed_at = float("-inf")
        self._read_at = float("-inf")
        self.user = self._users.get
        store.on_change(self._changed_here)

    def key(self, key_hash: str) -> KeyRecord | None:
        """The key that has, or had, this hash, where it is known here."""
        key_id = self._ids.get(key_hash)
        return None if key_id is None else self._keys.get(key_id)

    def is_unknown(self, key_hash: str) -> bool:
        """Whether the database was asked for this key a moment ago, in vain."""
        until = self._unknown.get(key_hash)
        return until is not None and until > time.monotonic()

    def is_absent(self, user_id: str) -> bool:
        """Whether it is known that there is no such user."""
        return self._absent.get(user_id) is not None

    @property
    def reachable(self) -> bool:
        """Whether the database answered the last looks at the counter."""
        return time.monotonic() - self._read_at < _REACHABLE_SECONDS

    def age(self) -> float:
        """Seconds since it was last certain that nothing has changed but what is known here."""
        return time.monotonic() - self.confirmed_at

    def confirm(self) -> None:
        """Nothing has changed up to now but what is known already."""
        self.confirmed_at = time.monotonic()

    def drop(self, changed: Changed) -> None:
        """Forget what somebody has changed."""
        with self._memory:
            self._heard = max(self._heard, changed.counter)
            self._unknown.clear()
            for key_id in changed.keys:
                self._keys.drop(key_id)
            for user_id in changed.users:
                self._users.drop(user_id)
                self._absent.drop(user_id)

    def load_key(self, key_hash: str) -> KeyRecord | None:
        """Ask the database, and remember the answer and the key's owner. Raises SQLAlchemyError."""
        with self._store.reading() as connection:
            at = counter(connection)
            key = key_rows.by_hash(connection, key_hash)
            user = None if key is None else user_rows.by_id(connection, key.user_id)
        with self._memory:
            if at < self._heard:
                return key  # older than a change that was heard of: it serves this one request
            if key is None:
                self._unknown.store(key_hash, time.monotonic() + _UNKNOWN_SECONDS)
            else:
                self._ids.store(key_hash, key.id)
                self._keys.store(key.id, key)
            if user is not None:
                self._users.store(user.user_id, user)
        return key

    def load_user(self, user_id: str) -> UserRecord | None:
        """Ask the database, and remember the answer. Raises SQLAlchemyError."""
        with self._store.reading() as connection:
            at = counter(connection)
            user = user_rows.by_id(connection, user_id)
        with self._memory:
            if user is not None and at >= self._heard:
                self._users.store(user_id, user)
            elif at >= self._heard:
                self._absent.store(user_id, True)
        return user

    def refresh(self) -> None:
        """Look at the counter, and read what has changed since. Raises SQLAlchemyError."""
        with self._refreshing:
            started = time.monotonic()
            with self._store.reading() as connection:
                at = counter(connection)
                if at != self._seen:
                    self._read_changes(connection, at)
                    self._seen = at
            self.confirmed_at = max(self.confirmed_at, started)
            self._read_at = started

    def on_rules(self, watcher: Callable[[Connection], None]) -> None:
        """Have `watcher` read its own part of the database whenever something has changed."""
        self._watchers.append(watcher)

    def _read_changes(self, connection: Connection, at: int) -> None:
        # A counter that went back is another database, one from a backup: nothing that is known counts any more.
        anew = at < self._seen
        changed, gone = ([], []) if anew else key_rows.changed_since(connection, self._seen)
        users = [] if anew else user_rows.changed_since(connection, self._seen)
        rules = _read_rules(connection)
        with self._memory:
            self._heard = at if anew else max(self._heard, at)
            self._unknown.clear()
            if anew:
                self._keys.clear()
                self._users.clear()
                self._absent.clear()
            for key_id in gone:
                self._keys.drop(key_id)
            for key in changed:
                self._keys.replace(key.id, key)
            for user in users:
                self._users.replace(user.user_id, user)
                self._absent.drop(user.user_id)
            self.rules = rules
        for watcher in self._watchers:
            watcher(connection)

    def _changed_here(self, changed: Changed) -> None:
        """What this process has changed itself is known to it before its caller hears of the change."""
        self.drop(changed)
        try:
            self.refresh()
        except SQLAlchemyError as error:
            # The change stands; what it named is forgotten, and the rest is read once the database is back.
            _log.warning("the accounts could not be read again after a change: %s", type(error).__name__)


def _read_rules(connection: Connection) -> Rules:
    holdings: dict[tuple[Scope, str], list[Holding]] = {}
    for holder in budget_rows.shared_holders(connection):
        holdings.setdefault((holder.scope, holder.scope_id), []).append(holder.holding)
    limits = {(row.scope, row.scope_id): row.limits for row in limit_rows.every(connection)}
    return Rules(budget_rows.every(connection), holdings, limits)
