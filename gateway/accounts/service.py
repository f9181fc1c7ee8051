"""All that is kept in the accounts database, put together: one `Accounts` per process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.accounts.audit import AuditLog
from gateway.accounts.budgets import Budgets
from gateway.accounts.changes import Broadcast, ChangeWatch
from gateway.accounts.directory import Directory
from gateway.accounts.issuing import KeyIssuer
from gateway.accounts.keys import Keys
from gateway.accounts.policies import PolicySource
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.prices import Prices
from gateway.accounts.shared_limits import SharedLimits
from gateway.accounts.store import AccountStore
from gateway.accounts.users import Users
from gateway.accounts.visitors import Visitors
from wire.errors import CallerError

_TURN_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Accounts:
    """The parts, and the tasks behind them. Nothing is opened before `start`."""

    def __init__(
        self,
        engine: Engine,
        *,
        redis_url: str | None,
        master_key: str | None,
        max_stale: float,
        visitors: Visitors | None = None,
        limits: Mapping[tuple[Scope, str], Limits],
    ) -> None:
        """`limits`: those that the configuration gives to models, providers and everybody."""
        self.store = AccountStore(engine)
        self.directory = Directory(self.store)
        self.keys = Keys(self.store, self.directory, master_key, max_stale=max_stale, visitors=visitors)
        self.issuer = KeyIssuer(self.store)
        self.users = Users(self.store)
        self.budgets = Budgets(self.store)
        self.limits = SharedLimits(self.store)
        self.prices = Prices(self.store, self.directory)
        self.audit = AuditLog(self.store)
        self.policies = PolicySource(self.directory, lambda: datetime.now(UTC), limits)
        self._watch = ChangeWatch(self.directory, redis_url)
        self._broadcast = Broadcast(redis_url) if redis_url else None
        if self._broadcast is not None:
            self.store.on_change(self._broadcast)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read the rules, and follow changes from now on. A database that is away is waited for in the background."""
        await self._watch.look()
        work = (self._watch.poll(), self._watch.listen(), self.keys.note_used(), self._turn_budgets())
        self._tasks = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.keys.flush_used()
        self.keys.close()
        if self._broadcast is not None:
            self._broadcast.close()

    async def _turn_budgets(self) -> None:
        """Put budgets into their present period in the database, until cancelled. Calls know it without that."""
        while True:
            try:
                await asyncio.to_thread(self.budgets.turn)
            except (SQLAlchemyError, CallerError) as error:
                _log.info("budgets could not be reset in the database just now: %s", type(error).__name__)
            await asyncio.sleep(_TURN_SECONDS)
