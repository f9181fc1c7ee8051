"""Virtual keys: making them, and knowing in microseconds whose a presented one is."""

from __future__ import annotations

import asyncio
import hmac
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts.credentials import check_form, hash_key, new_key
from gateway.accounts.store import AccountStore, KeyRecord
from wire.errors import BadRequest, NotAllowed, NotFound, NotReady, Unauthenticated

_Item = TypeVar("_Item")

_CACHE_SIZE = 100_000
_FRESH_SECONDS = 1.0  # how long a key is served from memory before the change counter is looked at again
_UNKNOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who presented a credential. `key` None: the master key."""

    key: KeyRecord | None

    @property
    def is_master(self) -> bool:
        return self.key is None


class BoundedCache(OrderedDict[str, _Item]):
    """Least recently stored goes first when full."""

    def store(self, name: str, item: _Item, size: int) -> None:
        self[name] = item
        while len(self) > size:
            self.popitem(last=False)


class Keys:
    """Checks credentials from memory and makes keys. One per process."""

    def __init__(self, store: AccountStore, master_key: str | None) -> None:
        self._store = store
        self._master = master_key.encode() if master_key else None
        self._known: BoundedCache[KeyRecord] = BoundedCache()
        self._unknown: BoundedCache[float] = BoundedCache()
        self._users: BoundedCache[bool] = BoundedCache()
        self._counter = -1
        self._checked_at = float("-inf")

    async def authenticate(self, credential: str | None) -> Principal:
        """Raises Unauthenticated with the any-llm gateway's words, NotReady when an unseen key cannot be looked up."""
        if not credential:
            raise Unauthenticated("Missing X-AnyLLM-Key or Authorization header", code="missing_credentials")
        if self._master is not None and hmac.compare_digest(credential.encode(), self._master):
            return Principal(None)
        check_form(credential)
        digest = hash_key(credential)
        record = self._known.get(digest)
        if record is None or self._stale():
            record = await self._look_up(digest)
        _check_state(record)
        return Principal(record)

    def _stale(self) -> bool:
        return asyncio.get_running_loop().time() - self._checked_at > _FRESH_SECONDS

    async def _look_up(self, digest: str) -> KeyRecord:
        now = asyncio.get_running_loop().time()
        if self._unknown.get(digest, 0.0) > now:
            raise Unauthenticated("Invalid API key")
        try:
            counter = await asyncio.to_thread(self._store.change_counter)
            if counter != self._counter:
                self._known.clear()
                self._unknown.clear()
                self._users.clear()
                self._counter = counter
            self._checked_at = now
            record = self._known.get(digest) or await asyncio.to_thread(self._store.find_key, digest)
        except SQLAlchemyError as error:
            if known := self._known.get(digest):
                return known
            raise NotReady("The accounts database cannot be reached, try again", code="database_away") from error
        if record is None:
            self._unknown.store(digest, now + _UNKNOWN_SECONDS, 10_000)
            raise Unauthenticated("Invalid API key")
        self._known.store(digest, record, _CACHE_SIZE)
        return record

    def require_master(self, credential: str | None) -> None:
        """Raises Unauthenticated unless this is the master key, NotReady when there is none to compare with."""
        if self._master is None:
            raise NotReady("Master key not configured. Set GATEWAY_MASTER_KEY environment variable.")
        if not credential:
            raise Unauthenticated("Missing X-AnyLLM-Key or Authorization header", code="missing_credentials")
        if not hmac.compare_digest(credential.encode(), self._master):
            raise Unauthenticated("Invalid master key")

    async def payer(self, principal: Principal, named: str | None, *, field: str = "user") -> tuple[str, str | None]:
        """(user who pays, end-user tag) for a call that names `named` in `field` (DESIGN §3.2)."""
        if principal.key is None:
            if not named:
                raise BadRequest(f"When using master key, '{field}' field is required in request body", param=field)
            if not await self._user_exists(named):
                raise NotFound(f"User '{named}' not found", param=field)
            return named, None
        own = principal.key.user_id
        if not named or named == own:
            return own, None
        if field == "user" and await self._user_exists(named):
            raise NotAllowed(f"This key may not call on behalf of user '{named}'", param=field)
        return own, named

    async def _user_exists(self, user_id: str) -> bool:
        known = self._users.get(user_id)
        if known is None or self._stale():
            user = await asyncio.to_thread(self._store.find_user, user_id)
            known = user is not None and not user.deleted
            self._users.store(user_id, known, _CACHE_SIZE)
        return known

    async def create(
        self,
        *,
        key_name: str | None = None,
        user_id: str | None = None,
        expires_at: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> tuple[KeyRecord, str]:
        """A new key and its plain text, which is told this once. Raises NotFound for a user that was deleted."""
        plain = key or new_key()
        key_id = str(uuid.uuid4())
        record = KeyRecord(
            id=key_id,
            key_name=key_name,
            key_prefix=plain[:8],
            user_id=user_id or f"apikey-{key_id}",
            created_at=datetime.now(UTC),
            last_used_at=None,
            expires_at=expires_at,
            is_active=True,
            metadata=metadata or {},
        )
        alias = f"User {user_id}" if user_id else f"Virtual user for API key: {key_name or 'unnamed'}"
        made = await asyncio.to_thread(self._store.create_key, record, hash_key(plain), user_alias=alias)
        if not made:
            raise NotFound(f"User '{user_id}' has been deleted. Recreate via POST /v1/users first.")
        self._checked_at = float("-inf")
        return record, plain


def _check_state(record: KeyRecord) -> None:
    if not record.is_active:
        raise Unauthenticated("API key is inactive")
    if record.expires_at is not None and record.expires_at <= datetime.now(UTC):
        raise Unauthenticated("API key has expired")
