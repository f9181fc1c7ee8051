"""Responses and conversations that a provider keeps under an id: who made them, and for whom.

All users share the operator's key, so the provider itself would give anybody's conversation to anybody. An id is good
for the user whose call made it, at the provider that made it, and for nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime

from sqlalchemy import Select, insert, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts.store import AccountStore
from gateway.accounts.tables import provider_objects
from wire.errors import NotFound, NotReady

_log = logging.getLogger(__name__)
_REMEMBERED = 50_000
_MAX_ID = 255
_SETTLE_SECONDS = 5.0
_LOOKS, _PAUSE = 5, 0.1  # another process may be about to write it


class ProviderObjects:
    """Answers from memory what this process has seen, from the database the rest."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._seen: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    def keep(self, object_id: str, user_id: str, provider: str) -> None:
        """Note it at once in memory, and behind the call in the database."""
        if len(object_id) > _MAX_ID or (object_id, user_id) in self._seen:
            return
        self._remember(object_id, user_id, provider)
        task = asyncio.create_task(self._write(object_id, user_id, provider))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def provider_of(self, object_id: str, user_id: str, param: str) -> str:
        """Raises NotFound for an id that is unknown or another user's, NotReady without a database to ask."""
        if known := self._seen.get((object_id, user_id)):
            return known
        for look in range(_LOOKS):
            try:
                found = await asyncio.to_thread(self._find, object_id[:_MAX_ID], user_id)
            except SQLAlchemyError as error:
                raise NotReady("The accounts database cannot be reached, try again", code="database_away") from error
            if found is not None:
                self._remember(object_id, user_id, found)
                return found
            if look + 1 < _LOOKS:
                await asyncio.sleep(_PAUSE)
        raise NotFound(f"{param} '{object_id[:100]}' not found", param=param)

    async def settle(self) -> None:
        """Wait a moment until everything noted is written (before the process ends)."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=_SETTLE_SECONDS)

    def _remember(self, object_id: str, user_id: str, provider: str) -> None:
        self._seen[object_id, user_id] = provider
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    async def _write(self, object_id: str, user_id: str, provider: str) -> None:
        try:
            await asyncio.to_thread(self._add, object_id, user_id, provider)
        except SQLAlchemyError as error:
            # The answer is out; what is lost is that a later call may go on from it elsewhere.
            _log.error("a provider's object could not be noted: %s", type(error).__name__)

    def _add(self, object_id: str, user_id: str, provider: str) -> None:
        """Known already is fine."""
        with self._store.engine.begin() as connection:
            if connection.execute(_object(object_id, user_id)).first() is None:
                connection.execute(
                    insert(provider_objects).values(
                        object_id=object_id, user_id=user_id, provider=provider, created_at=datetime.now(UTC)
                    )
                )

    def _find(self, object_id: str, user_id: str) -> str | None:
        with self._store.reading() as connection:
            found: str | None = connection.execute(_object(object_id, user_id)).scalar_one_or_none()
        return found


def _object(object_id: str, user_id: str) -> Select[str]:
    table = provider_objects.c
    return select(table.provider).where(table.object_id == object_id, table.user_id == user_id)
