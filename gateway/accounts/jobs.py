"""Calls that are made in the background, so that they outlive the request and the gateway that took it.

A job is claimed by one gateway, for a lease that it renews while it works. When the gateway dies the lease runs out,
another one (or the same, started again) claims the job and makes the call once more; after `MOST_RUNS` it has failed.
Leases are counted by the database's clock, so that gateways with different clocks agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, or_, select, update

from gateway.accounts.store import AccountStore, in_thread
from gateway.accounts.tables import jobs, users
from gateway.ids import uuid7
from gateway.settings import JobsSection
from wire.errors import LimitReached, TooLarge

State = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: Final = ("queued", "running")
MOST_RUNS: Final = 3
_PURGED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Job:
    """`request` is what was asked, `answer` what came of it, both JSON text; `status` is the HTTP status of the answer.

    `key_id` None: the master key, for `user_id`. `runs` counts the claims.
    """

    job_id: str
    user_id: str
    key_id: str | None
    state: State
    request: str
    answer: str | None
    status: int | None
    runs: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime


class Jobs:
    """One per process, which claims jobs under the name `me`. All methods raise NotReady while the database is away."""

    def __init__(self, store: AccountStore, settings: JobsSection, me: str) -> None:
        self._store = store
        self._settings = settings
        self._me = me
        self._listeners: list[Callable[[str], None]] = []
        self.added = asyncio.Event()  # set when one was added in this process; others look from time to time

    def on_cancel(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the id of each job that is cancelled by this process."""
        self._listeners.append(listener)

    async def add(self, user_id: str, key_id: str | None, request: str) -> Job:
        """Raises LimitReached when the user has too many open ones, TooLarge for a request that is too long to keep."""
        size = len(request.encode())
        if size > self._settings.max_bytes:
            raise TooLarge(
                f"A request in the background may hold {self._settings.max_bytes} bytes, this one has {size}"
            )
        job = await in_thread(lambda: self._add(user_id, key_id, request))
        self.added.set()
        return job

    async def find(self, user_id: str, job_id: str) -> Job | None:
        """None for one that is not there, or no longer, or another user's."""

        def work() -> Job | None:
            with self._store.reading() as connection:
                return _found(connection, user_id, job_id, _now(connection))

        return await in_thread(work)

    async def cancel(self, user_id: str, job_id: str) -> Job | None:
        """End an open job without an answer. One that has ended stays as it is."""

        def work() -> Job | None:
            with self._store.engine.begin() as connection:
                now = _now(connection)
                still_open = and_(_job(job_id), jobs.c.user_id == user_id, jobs.c.state.in_(OPEN))
                _touched(connection, still_open, state="cancelled", **self._ended(now))
                return _found(connection, user_id, job_id, now)

        found = await in_thread(work)
        if found is not None and found.state == "cancelled":
            for listener in self._listeners:
                listener(job_id)
        return found

    async def claim(self, most: int) -> list[Job]:
        """Open jobs that nobody works on, the oldest first. They are this gateway's until their lease runs out."""
        return await in_thread(lambda: self._claim(most))

    async def renew(self, job_id: str) -> bool:
        """False: the job is not this gateway's any more, because it was cancelled or taken over."""

        def work() -> bool:
            with self._store.engine.begin() as connection:
                until = _now(connection) + timedelta(seconds=self._settings.lease_seconds)
                return _touched(connection, self._mine(job_id), leased_until=until)

        return await in_thread(work)

    async def finish(self, job_id: str, status: int, answer: str) -> bool:
        """False: somebody else has ended it."""

        def work() -> bool:
            with self._store.engine.begin() as connection:
                state: State = "done" if status < 400 else "failed"
                values = {"state": state, "status": status, "answer": answer}
                return _touched(connection, self._mine(job_id), **values, **self._ended(_now(connection)))

        return await in_thread(work)

    async def give_back(self, job_id: str) -> None:
        """Before this gateway ends: another one may begin at once, and the run does not count."""

        def work() -> None:
            with self._store.engine.begin() as connection:
                back = {"state": "queued", "claimed_by": None, "leased_until": None, "runs": jobs.c.runs - 1}
                _touched(connection, self._mine(job_id), **back)

        await in_thread(work)

    def purge(self) -> int:
        """Delete some of those whose answer can no longer be fetched, or whose user was deleted. Where nobody makes
        jobs any more, those that wait end with their time, too. Returns how many; it blocks."""
        gone = select(users.c.user_id).where(users.c.deleted_at.is_not(None))
        with self._store.engine.begin() as connection:
            ended = jobs.c.expires_at <= _now(connection)
            if self._settings.enabled:
                ended = and_(ended, jobs.c.state.not_in(OPEN))
            query = select(jobs.c.job_id).where(or_(ended, jobs.c.user_id.in_(gone)))
            found = connection.execute(query.limit(_PURGED_AT_ONCE)).scalars().all()
            connection.execute(delete(jobs).where(jobs.c.job_id.in_(found)))
        return len(found)

    def _add(self, user_id: str, key_id: str | None, request: str) -> Job:
        with self._store.engine.begin() as connection:
            still_open = and_(jobs.c.user_id == user_id, jobs.c.state.in_(OPEN))
            count = connection.execute(select(func.count()).select_from(jobs).where(still_open)).scalar_one()
            if count >= self._settings.max_open:
                raise LimitReached(
                    f"{count} background jobs of this user are open already", code="too_many_jobs", retry_after=5
                )
            now = _now(connection)
            values = {
                "job_id": uuid7(),
                "user_id": user_id,
                "key_id": key_id,
                "state": "queued",
                "request": request,
                "runs": 0,
                "created_at": now,
                "expires_at": now + self._lifetime,
            }
            connection.execute(insert(jobs).values(values))
            row = connection.execute(select(jobs).where(_job(str(values["job_id"])))).mappings().one()
        return _read(row)

    def _claim(self, most: int) -> list[Job]:
        with self._store.reading() as connection:  # most often there is none, and nobody need wait for that
            if connection.execute(select(jobs.c.job_id).where(_free(_now(connection))).limit(1)).first() is None:
                return []
        with self._store.engine.begin() as connection:
            now = _now(connection)
            query = select(jobs).where(_free(now)).order_by(jobs.c.job_id).limit(most)
            rows = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
            claimed = []
            for row in rows:
                if row["runs"] >= MOST_RUNS:
                    lost = {"state": "failed", "status": 500, "answer": None, **self._ended(now)}
                    connection.execute(update(jobs).where(_job(row["job_id"])).values(**lost))
                    continue
                taken = {
                    "state": "running",
                    "claimed_by": self._me,
                    "leased_until": now + timedelta(seconds=self._settings.lease_seconds),
                    "runs": row["runs"] + 1,
                    "started_at": row["started_at"] or now,
                    "expires_at": now + self._lifetime,
                }
                connection.execute(update(jobs).where(_job(row["job_id"])).values(**taken))
                claimed.append(_read({**row, **taken}))
        return claimed

    def _mine(self, job_id: str) -> ColumnElement[bool]:
        return and_(_job(job_id), jobs.c.state == "running", jobs.c.claimed_by == self._me)

    @property
    def _lifetime(self) -> timedelta:
        return timedelta(hours=self._settings.ttl_hours)

    def _ended(self, now: datetime) -> dict[str, datetime | None]:
        return {"ended_at": now, "expires_at": now + self._lifetime, "leased_until": None}


def _job(job_id: str) -> ColumnElement[bool]:
    return jobs.c.job_id == job_id


def _found(connection: Connection, user_id: str, job_id: str, now: datetime) -> Job | None:
    mine = and_(_job(job_id), jobs.c.user_id == user_id, jobs.c.expires_at > now)
    row = connection.execute(select(jobs).where(mine)).mappings().first()
    return None if row is None else _read(row)


def _free(now: datetime) -> ColumnElement[bool]:
    c = jobs.c
    return or_(c.state == "queued", and_(c.state == "running", c.leased_until <= now))


def _touched(connection: Connection, which: ColumnElement[bool], **values: object) -> bool:
    return connection.execute(update(jobs).where(which).values(**values)).rowcount == 1


def _now(connection: Connection) -> datetime:
    """By the clock that all gateways share: the database's, on SQLite this machine's."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def _read(row: RowMapping | dict[str, object]) -> Job:
    return Job(**{name: row[name] for name in Job.__dataclass_fields__})  # type: ignore[arg-type]
