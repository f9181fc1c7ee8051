"""Knowing in microseconds whose a presented credential is, and whom its calls are for."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts import key_rows
from gateway.accounts.credentials import check_form, hash_key
from gateway.accounts.directory import Directory
from gateway.accounts.records import KeyRecord, UserRecord
from gateway.accounts.store import AccountStore
from gateway.accounts.visitors import Header, Visitors
from wire.errors import BadRequest, NotAllowed, NotFound, NotReady, Unauthenticated
from wire.neutral import DoorName

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)
_LOOKUP_SECONDS = 5.0
_USED_SECONDS = 300.0  # last_used_at is at most this far behind
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: the holder of `key`, else the `visitor` without one, else the holder of the master key."""

    key: KeyRecord | None
    visitor: str | None = None

    @property
    def user_id(self) -> str | None:
        """Whose calls these are, and whose rows may be seen. None: the master key, which sees all."""
        return self.visitor if self.key is None else self.key.user_id

    @property
    def is_master(self) -> bool:
        return self.user_id is None


class Keys:
    """Checks credentials from memory; only a key or user that it has not met is looked up. One per process."""

    def __init__(
        self,
        store: AccountStore,
        directory: Directory,
        master_key: str | None,
        *,
        max_stale: float,
        visitors: Visitors | None = None,
    ) -> None:
        """`max_stale`: seconds for which known keys are served while changes cannot be heard of."""
        self._visitors = visitors or Visitors(None)
        self._store = store
        self._directory = directory
        self._master = master_key.encode() if master_key else None
        self._max_stale = max_stale
        self._asking: dict[str, asyncio.Future[KeyRecord | None]] = {}
        self._used: dict[str, float] = {}  # when a key's use is to be noted next
        self._to_note: set[str] = set()
        # Threads of their own: a database that hangs must not hold up what others do in threads.
        self._threads = ThreadPoolExecutor(4, "accounts")

    async def authenticate(self, credential: str | None) -> Principal:
        """Raises Unauthenticated with the any-llm gateway's words, NotReady when the key cannot be looked up."""
        if not credential:
            raise Unauthenticated("Missing X-AnyLLM-Key or Authorization header", code="missing_credentials")
        if self._is_master(credential):
            return Principal(None)
        check_form(credential)
        digest = hash_key(credential)
        record = self._directory.key(digest)
        if record is None:
            record = await self._look_up(digest)
        elif self._directory.age() > self._max_stale:
            raise _away()
        self._check(record, digest)
        return Principal(record)

    async def admit(self, credential: str | None, door: DoorName, header: Header) -> Principal:
        """As `authenticate`, but a front door may let callers in who present nothing. Raises NotAllowed too."""
        if credential is None and (visitor := self._visitors.welcome(door, header)):
            return Principal(None, visitor)
        return await self.authenticate(credential)

    async def holder(self, key_id: str) -> Principal:
        """Who holds the key of that id, if it is good now. Raises Unauthenticated, NotReady."""

        def load() -> KeyRecord | None:
            with self._store.reading() as connection:
                return key_rows.by_id(connection, key_id)

        try:
            record = await self._in_thread(load)
        except (SQLAlchemyError, TimeoutError) as error:
            raise _away() from error
        if record is None:
            raise Unauthenticated("Invalid API key")
        self._check(record, record.key_hash)
        return Principal(record)

    def require_master(self, credential: str | None) -> None:
        """Raises Unauthenticated unless this is the master key, NotReady when there is none to compare with."""
        if self._master is None:
            raise NotReady("Master key not configured. Set GATEWAY_MASTER_KEY environment variable.")
        if not credential:
            raise Unauthenticated("Missing X-AnyLLM-Key or Authorization header", code="missing_credentials")
        if not self._is_master(credential):
            raise Unauthenticated("Invalid master key")

    async def payer(self, principal: Principal, named: str | None, *, field: str = "user") -> tuple[str, str | None]:
        """(user who pays, end-user tag) for a call that names `named` in `field` (DESIGN §3.2).

        Raises NotFound for a user that is not there, NotAllowed for one that is blocked or not the key's own.
        """
        own = principal.user_id
        if own is None:
            if not named:
                what = "'user' field" if field == "user" else f"'{field}'"
                raise BadRequest(f"When using master key, {what} is required in request body", param=field)
            _check_user(await self._user(named), named, field)
            return named, None
        _check_user(await self._user(own), own, None)
        if not named or named == own:
            return own, None
        if field == "user" and await self._exists(named):
            raise NotAllowed(f"This key may not call on behalf of user '{named}'", param=field)
        return own, named

    async def note_used(self) -> None:
        """Write behind the calls when keys were last used, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.flush_used()

    async def flush_used(self) -> None:
        """Write what is noted. What cannot be written is noted again at the key's next use."""
        noted, self._to_note = self._to_note, set()
        if not noted:
            return
        try:
            await self._in_thread(lambda: self._write_used(noted))
        except (SQLAlchemyError, TimeoutError):
            for key_id in noted:
                self._used.pop(key_id, None)
        now = asyncio.get_running_loop().time()
        self._used = {key_id: due for key_id, due in self._used.items() if due > now}

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_master(self, credential: str) -> bool:
        return self._master is not None and hmac.compare_digest(credential.encode(), self._master)

    def _check(self, record: KeyRecord, digest: str) -> None:
        if digest not in (record.key_hash, record.previous_hash):
            raise Unauthenticated("Invalid API key")
        if not record.is_active:
            raise Unauthenticated("API key is inactive", code="inactive_key")
        ends = record.is_good_until(digest)
        if ends is not None and ends <= datetime.now(UTC):
            raise Unauthenticated("API key has expired", code="expired_key")
        now = asyncio.get_running_loop().time()
        if self._used.get(record.id, 0.0) <= now:
            self._used[record.id] = now + _USED_SECONDS
            self._to_note.add(record.id)

    async def _look_up(self, digest: str) -> KeyRecord:
        if self._directory.is_unknown(digest):
            raise Unauthenticated("Invalid API key")
        asking = self._asking.get(digest)
        if asking is None:  # all who come with the same key wait for one answer
            asking = self._asking[digest] = asyncio.ensure_future(
                self._in_thread(lambda: self._directory.load_key(digest))
            )
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        try:
            record = await asyncio.shield(asking)
        except (SQLAlchemyError, TimeoutError) as error:
            raise _away() from error
        if record is None:
            raise Unauthenticated("Invalid API key")
        return record

    async def _exists(self, named: str) -> bool:
        """Whether a name that is perhaps only a tag is a user's. The payer is known: nobody waits for a database that
        is away to say so."""
        if self._directory.user(named) is None and (self._directory.is_absent(named) or not self._directory.reachable):
            return False
        try:
            user = await self._user(named)
        except NotReady:
            return False
        return user is not None and not user.deleted

    async def _user(self, user_id: str) -> UserRecord | None:
        if known := self._directory.user(user_id):
            return known
        if len(user_id) > 255 or "\x00" in user_id or not user_id.isprintable():
            return None
        try:
            return await self._in_thread(lambda: self._directory.load_user(user_id))
        except (SQLAlchemyError, TimeoutError) as error:
            raise _away() from error

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Raises what `work` raises, TimeoutError when it takes too long."""
        async with asyncio.timeout(_LOOKUP_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _write_used(self, key_ids: set[str]) -> None:
        with self._store.engine.begin() as connection:
            key_rows.note_used(connection, key_ids, datetime.now(UTC))


def _check_user(user: UserRecord | None, user_id: str, field: str | None) -> None:
    if user is None or user.deleted:
        raise NotFound(f"User '{user_id}' not found", param=field)
    if user.blocked:
        raise NotAllowed(f"User '{user_id}' is blocked", param=field)


def _away() -> NotReady:
    return NotReady("The accounts database cannot be reached, try again", code="database_away")
